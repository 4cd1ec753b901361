"""An extraction that is killed ten times, at random moments, ends with the rows of one that is not."""

import multiprocessing
import random
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from grey_videos import GreyLevel, extracted, ordered, write_grey
from torch import Tensor

from videossl.types import Embeddings

LENGTHS = {f"{number}.mp4": 4 + number for number in range(12)}
KILLS = 10


class Slow(GreyLevel):
    def embed(self, frames: Tensor) -> Embeddings:
        time.sleep(0.05)
        return super().embed(frames)


def slowly_extracted(videos: Path, out: Path, begun: Event) -> None:
    begun.set()
    extracted(videos, out, Slow(), batch_size=1, frames_per_shard=1)


def check(table: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """The same rows."""
    got, expected = ordered(table), ordered(wanted)
    pd.testing.assert_frame_equal(got.drop(columns="embedding"), expected.drop(columns="embedding"))
    np.testing.assert_allclose(np.stack(got.embedding.tolist()), np.stack(expected.embedding.tolist()), atol=1e-6)


def test_killed_at_ten_moments_it_ends_with_the_same_rows(tmp_path: Path) -> None:
    videos, out = write_grey(tmp_path / "videos", LENGTHS), tmp_path / "0"
    began = time.perf_counter()
    _, wanted = extracted(videos, tmp_path / "undisturbed", Slow(), batch_size=1, frames_per_shard=1)
    longest = (time.perf_counter() - began) / 3  # on this machine, whatever else it does
    # A server that has imported nearly everything: each process starts within milliseconds, as a copy of it.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pandas", "videossl.extraction", "videossl.worlds.video_file", "av"])
    draw = random.Random(0)
    kills = num_held = 0
    while kills < KILLS:
        begun = processes.Event()
        process = processes.Process(target=slowly_extracted, args=(videos, out, begun))
        process.start()
        assert begun.wait(timeout=60)
        process.join(timeout=draw.uniform(0.0, longest))
        process.kill()
        process.join()
        shards = sorted(out.glob("part-*.parquet"))
        if process.exitcode == 0:  # it was done before: kill another one
            check(pd.read_parquet(out), wanted)
            out, num_held = tmp_path / f"{kills}", 0
            continue
        kills += 1
        longest *= 1.0 if len(shards) > num_held else 1.5
        num_held = len(shards)
        held = pd.concat([pq.read_table(shard).to_pandas() for shard in shards]) if shards else wanted[:0]
        assert not held.duplicated(["video", "frame"]).any()
        for name, rows in held.groupby("video"):
            assert len(rows) == (wanted.video == name).sum()  # whole videos only
    done, table = extracted(videos, out, frames_per_shard=1)
    assert done.num_kept == num_held
    check(table, wanted)
    assert not (out / "_unfinished").exists() or not any((out / "_unfinished").iterdir())
