"""The same rows from Ray as from one machine, whatever happens to an actor."""

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import grey_videos
import numpy as np
import pandas as pd
import pytest
import ray
from grey_videos import GreyLevel, extracted, ordered, write_grey
from torch import Tensor

from videossl.data import PyAVReader, VideoIndex
from videossl.errors import UsageError, WorkError
from videossl.extraction import ExtractionSettings
from videossl.extraction.pipeline import Work
from videossl.extraction.ray_engine import RayEngine, ShardMaker
from videossl.extraction.shard_plan import PlannedShard
from videossl.extraction.stores.parquet import ParquetStore
from videossl.types import Embeddings

LENGTHS = {f"{number}.mp4": 3 + number for number in range(8)}


@pytest.fixture(scope="module", autouse=True)
def two_cores() -> Iterator[None]:
    # Actors cannot import the modules of these tests: they are sent what is in them.
    for module in (grey_videos, sys.modules[__name__]):
        ray.cloudpickle.register_pickle_by_value(module)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80 * 2**20,
        configure_logging=False,
    )
    yield
    ray.shutdown()


class KilledOnce(GreyLevel):
    """Takes its process down at its third call, if none has been before."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.mark = mark

    def embed(self, frames: Tensor) -> Embeddings:
        if len(self.batch_sizes) == 2 and not self.mark.exists():
            self.mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(frames)


class Broken(GreyLevel):
    def embed(self, frames: Tensor) -> Embeddings:
        one = super().embed(frames)
        return Embeddings(one.representation, one.embedding, one.frames / 0)


def test_an_actor_is_killed_and_the_rows_are_those_of_one_machine(tmp_path: Path) -> None:
    videos = write_grey(tmp_path / "videos", LENGTHS)
    (videos / "broken.mp4").write_bytes(b"no video")
    _, wanted = extracted(videos, tmp_path / "local", frames_per_shard=8)
    mark, out = tmp_path / "mark", tmp_path / "ray"
    options = {"frames_per_shard": 8, "batch_size": 1, "engine": RayEngine(num_actors=2)}
    done, table = extracted(videos, out, KilledOnce(mark), **options)
    assert int(mark.read_text()) != os.getpid()
    assert not table.duplicated(["video", "frame"]).any()
    got, expected = ordered(table), ordered(wanted)
    pd.testing.assert_frame_equal(got.drop(columns="embedding"), expected.drop(columns="embedding"))
    np.testing.assert_allclose(np.stack(got.embedding.tolist()), np.stack(expected.embedding.tolist()), atol=1e-6)
    assert (done.num_rows, len(done.shards)) == (len(wanted), len(list((tmp_path / "local").glob("part-*"))))
    assert [failure.video for failure in done.failures] == ["broken.mp4"]

    write_grey(videos, {"new.mp4": 4})
    again, table = extracted(videos, out, frames_per_shard=8)  # another engine goes on where this one has stopped
    assert (again.num_new, again.num_kept) == (1, len(LENGTHS))
    assert set(table.video) == {*LENGTHS, "new.mp4"}


def test_what_is_wrong_with_the_model_is_told_and_is_no_death_of_an_actor(tmp_path: Path) -> None:
    videos = write_grey(tmp_path / "videos", {"a.mp4": 4})
    index = VideoIndex.build(videos, heldout_share=0.0, num_workers=0)
    settings, model = ExtractionSettings(frame_size=32, clip_frames=4), Broken()
    work = Work(
        settings=settings,
        sampling=settings.sampling(model),
        reader=PyAVReader,
        store=ParquetStore(tmp_path, "float32"),
        about={},
        batch_size=4,
        device="cpu",
        compiled=False,
        num_workers=1,
        isolate=False,
        deadline_seconds=None,
    )
    task = pickle.dumps(PlannedShard(0, index.rows))
    (answer,) = ShardMaker(model, work)({"shard": [task]})["done"]
    error = pickle.loads(answer)
    assert isinstance(error, WorkError)
    assert "not finite" in str(error)


def test_more_actors_than_there_is_room_for_are_refused(tmp_path: Path) -> None:
    videos = write_grey(tmp_path / "videos", {"a.mp4": 4})
    with pytest.raises(UsageError, match="room for 3 actors of 1 cores each, and the Ray cluster has 2 cores"):
        extracted(videos, tmp_path / "out", engine=RayEngine(num_actors=3))


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = write_grey(tmp_path / "videos", {"a.mp4": 4})
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'videossl\[ray\]'"):
        extracted(videos, tmp_path / "out", engine=RayEngine())
