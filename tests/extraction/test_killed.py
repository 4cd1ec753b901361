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


def test_killed_at_ten_moments_it_ends_with_the_same_rows(tmp_path: Path) -> None:
    videos, out = write_grey(tmp_path / "videos", LENGTHS), tmp_path / "out"
    began = time.perf_counter()
    _, wanted = extracted(videos, tmp_path / "undisturbed", Slow(), batch_size=1, frames_per_shard=1)
    seconds = time.perf_counter() - began  # whatever else this machine does at the moment
    # A server that has imported nearly everything: each process starts within milliseconds, as a copy of it.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pandas", "videossl.extraction", "videossl.worlds.video_file", "av"])
    draw = random.Random(0)
    interrupted = 0
    for _ in range(KILLS):
        begun = processes.Event()
        process = processes.Process(target=slowly_extracted, args=(videos, out, begun))
        process.start()
        assert begun.wait(timeout=60)
        process.join(timeout=draw.uniform(0.0, seconds / 3))
        process.kill()
        process.join()
        interrupted += process.exitcode != 0
        shards = sorted(out.glob("part-*.parquet"))
        held = pd.concat([pq.read_table(shard).to_pandas() for shard in shards]) if shards else wanted[:0]
        assert not held.duplicated(["video", "frame"]).any()
        for name, rows in held.groupby("video"):
            assert len(rows) == (wanted.video == name).sum()  # whole videos only
    assert interrupted >= KILLS // 2
    done, table = extracted(videos, out, frames_per_shard=1)
    assert done.num_kept > 0
    got, expected = ordered(table), ordered(wanted)
    pd.testing.assert_frame_equal(got.drop(columns="embedding"), expected.drop(columns="embedding"))
    np.testing.assert_allclose(np.stack(got.embedding.tolist()), np.stack(expected.embedding.tolist()), atol=1e-6)
    assert not (out / "_unfinished").exists() or not any((out / "_unfinished").iterdir())
