"""Views of videos: the right frames, whoever reads them, and stand-ins for those that cannot be read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from videossl.data import ClipError, ClipPlanner, DecordReader, PyAVReader, VideoIndex, VideoViews, collate
from videossl.data.cache import FrameCache
from videossl.data.dataset import ReplacedFailure
from videossl.errors import UsageError, WorkError
from videossl.types import Failure, ViewBatch


def views_of(folder: Path, **arguments: Any) -> VideoViews:
    index = VideoIndex.build(folder, heldout_share=0, seed=0)
    settings: dict[str, Any] = {"planner": ClipPlanner(num_frames=3), "frame_size": 16}
    return VideoViews(index, **(settings | arguments))


def batch_of(views: VideoViews, **arguments: Any) -> ViewBatch:
    (batch,) = DataLoader(views, batch_size=len(views), collate_fn=collate, **arguments)
    assert isinstance(batch, ViewBatch)
    return batch


@pytest.mark.parametrize("cache_gib", [0, 1])
@pytest.mark.parametrize("reader", [PyAVReader, DecordReader])
def test_clips_hold_the_frames_that_they_say(folder: Path, reader: type[PyAVReader], cache_gib: float) -> None:
    views = views_of(folder, reader=reader, cache_gib=cache_gib, planner=ClipPlanner(num_frames=3, gap_frames=(0, 1)))
    for _ in range(2):  # the second time from the cache
        batch = batch_of(views)
        assert batch.clips.shape == (6, 2, 3, 3, 16, 16)
        levels = batch.clips.float().mean(dim=(-3, -2, -1))
        wanted = 20 * batch.frames + batch.videos[:, None, None]  # how `make_video` paints them
        assert (levels - wanted).abs().max() < 4
        torch.testing.assert_close(batch.seconds, batch.frames.double() / 10, atol=1e-5, rtol=0)
        assert batch.videos.tolist() == list(range(6))
        assert batch.failures == ()


@pytest.mark.parametrize(("context", "reader"), [("fork", PyAVReader), ("fork", DecordReader), ("spawn", PyAVReader)])
def test_worker_processes_give_the_same_samples(folder: Path, context: str, reader: type[PyAVReader]) -> None:
    views = views_of(folder, reader=reader, planner=ClipPlanner(num_frames=2))
    alone = [views[number] for number in range(12)]  # the parent has used its reader before it forks
    fresh = views_of(folder, reader=reader, planner=ClipPlanner(num_frames=2))
    loader = DataLoader(
        fresh,
        batch_size=3,
        sampler=range(12),
        num_workers=2,
        collate_fn=collate,
        multiprocessing_context=context,
        timeout=60,
    )
    batches = list(loader)
    assert torch.equal(torch.cat([batch.clips for batch in batches]), torch.stack([sample.clips for sample in alone]))
    assert torch.equal(torch.cat([batch.frames for batch in batches]), collate(alone).frames)


def test_forked_workers_fill_one_cache_together(folder: Path) -> None:
    views = views_of(folder)
    batch_of(views, num_workers=2, multiprocessing_context="fork")
    assert all(views._cache.get(row) is not None for row in range(6))


def test_sample_numbers_beyond_the_length_and_epochs_are_the_same_thing(folder: Path) -> None:
    views = views_of(folder, planner=ClipPlanner(num_frames=2))
    beyond = [views[12 + number].clips for number in range(6)]
    assert not all(torch.equal(views[number].clips, clip) for number, clip in enumerate(beyond))
    views.set_epoch(2)
    assert all(torch.equal(sample.clips, clip) for sample, clip in zip(views, beyond, strict=True))


def test_another_seed_cuts_other_clips(folder: Path) -> None:
    first, second = (batch_of(views_of(folder, planner=ClipPlanner(num_frames=2), seed=seed)) for seed in (0, 1))
    assert not torch.equal(first.frames, second.frames)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_video_that_breaks_after_indexing_is_replaced_and_told(folder: Path, num_workers: int) -> None:
    views = views_of(folder)
    (folder / "2.mp4").write_bytes(b"no video any more" * 100)
    (folder / "5.mp4").unlink()
    for _ in range(2):
        batch = batch_of(views, num_workers=num_workers)
        assert batch.videos.tolist() == [0, 1, 3, 3, 4, 0]
        assert [failure.video for failure in batch.failures] == ["2.mp4", "5.mp4"]
        assert "is not a video" in batch.failures[0].cause
        assert "No such file" in batch.failures[1].cause


def test_damage_that_only_decoding_finds_is_told(tmp_path: Path, awkward_folder: Path) -> None:
    for name in ("corrupt_middle.mp4", "h264_cfr.mp4"):
        shutil.copy(awkward_folder / name, tmp_path)
    views = views_of(tmp_path)
    assert len(views) == 2
    batch = batch_of(views)
    assert batch.videos.tolist() == [1, 1]
    assert "damaged at or before frame" in batch.failures[0].cause


def test_a_file_that_changed_its_length_is_a_failure(folder: Path, make_video: Callable[..., Path]) -> None:
    views = views_of(folder)
    make_video(folder / "0.mp4", num_frames=9)
    batch = batch_of(views)
    assert batch.videos.tolist() == [1, 1, 2, 3, 4, 5]
    assert "finds 9 frames where the index has 8" in batch.failures[0].cause


def test_if_nothing_can_be_read_work_stops_with_the_first_cause(folder: Path) -> None:
    views = views_of(folder)
    shutil.rmtree(folder)
    with pytest.raises(WorkError, match=r"6 videos in a row could not be read\. The first: 0\.mp4: .*No such file"):
        views[0]


def test_videos_that_are_too_short_are_counted_before_anything_is_read(
    folder: Path, make_video: Callable[..., Path]
) -> None:
    make_video(folder / "short.mp4", num_frames=3)
    with pytest.raises(ClipError) as caught:
        views_of(folder, planner=ClipPlanner(num_frames=4))
    message = str(caught.value)
    assert "1 of 7 videos are too short, for example short.mp4" in message
    assert "has 3 frames; 2 views of 4 frames at stride 1 need 8" in message
    assert "short: pad" in message
    padded = views_of(folder, planner=ClipPlanner(num_frames=4, short="pad"))
    assert padded[6].plan.frames.tolist() == [[0, 1, 2, 2], [2, 2, 2, 2]]


def test_videos_that_are_too_short_are_left_out_where_that_is_asked_and_listed(
    folder: Path, make_video: Callable[..., Path]
) -> None:
    make_video(folder / "0short.mp4", num_frames=3)
    views = views_of(folder, planner=ClipPlanner(num_frames=4, short="skip"))
    assert [video.name for video in views.videos] == [f"{number}.mp4" for number in range(6)]
    assert [failure.video for failure in views.skipped] == ["0short.mp4"]
    assert "data.clips.short=skip" in views.skipped[0].cause
    assert "has 3 frames" in views.skipped[0].cause
    batch = batch_of(views)
    assert batch.videos.tolist() == [0, 2, 3, 4, 5, 6]  # rows of the full index
    assert views_of(folder, planner=ClipPlanner(num_frames=4, short="loop")).num_lengthened == 1
    with pytest.raises(ClipError, match="all 7 videos are too short, so that none is left"):
        views_of(folder, planner=ClipPlanner(num_frames=40, short="skip"))


def test_of_failures_the_one_that_was_asked_for_is_told_apart(folder: Path) -> None:
    views = views_of(folder)
    for name in ("2.mp4", "3.mp4"):
        (folder / name).unlink()
    failures = {number: views[number].failures for number in (1, 2, 3)}
    assert [type(failure) for failure in failures[2]] == [ReplacedFailure, Failure]
    assert [type(failure) for failure in failures[3]] == [ReplacedFailure]
    assert failures[1] == ()


def test_settings_that_cannot_work_are_refused(folder: Path, tmp_path: Path) -> None:
    for wrong in ({"frame_size": 0}, {"cache_gib": -1}, {"deadline_seconds": 0}):
        with pytest.raises(UsageError, match="expected"):
            views_of(folder, **wrong)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.mp4").write_text("no video")
    with pytest.raises(UsageError, match="at least one readable video, got none of 1"):
        views_of(tmp_path / "bad")


def test_real_video_of_every_shape_makes_one_batch(tmp_path: Path, bikes: Path, awkward_folder: Path) -> None:
    shutil.copy(bikes, tmp_path)
    for name in ("rotate90.mp4", "hevc_10bit.mp4", "vfr.mp4", "bframes.avi"):
        shutil.copy(awkward_folder / name, tmp_path)
    planner = ClipPlanner(num_views=3, num_frames=4, target_fps=12.5)
    batch = batch_of(views_of(tmp_path, planner=planner, frame_size=40, cache_gib=0))
    assert batch.clips.shape == (5, 3, 4, 3, 40, 40)
    assert (batch.seconds[:, 1:, 0] > batch.seconds[:, :-1, -1]).all()
    assert len(batch.clips.float().std(dim=(3, 4, 5)).flatten().nonzero()) == 60


def test_the_cache_takes_what_fits_and_no_more() -> None:
    frame = 3 * 4 * 4
    cache = FrameCache([2, 600, 3, 2], frame_size=4, max_bytes=4 * frame)
    assert [cache.has_place(video) for video in range(4)] == [True, False, False, True]
    assert (cache.num_videos, cache.num_bytes) == (2, 4 * frame)
    frames = np.arange(2 * frame, dtype=np.uint8).reshape(2, 3, 4, 4)
    assert cache.get(3) is None
    cache.put(3, frames)
    assert np.array_equal(cache.get(3), frames)
    assert cache.get(0) is None
