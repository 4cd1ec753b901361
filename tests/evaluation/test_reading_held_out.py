"""Contexts come from held-out videos only, at the right frames, and what cannot be used is counted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from videossl.data.clips import ClipError, ClipPlanner
from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.picture import centre_square
from videossl.data.index import Video, VideoIndex
from videossl.data.media import Media
from videossl.errors import UsageError
from videossl.evaluation import read_held_out
from videossl.evaluation.places import even_places
from videossl.evaluation.world_clips import PROBE_SEED, centre_squares, probe_clips
from videossl.worlds import Digits

PLANNER = ClipPlanner(num_frames=4)
LENGTHS = {f"{number:02d}.mp4": 40 + number for number in range(20)}


class PaintedReader(VideoReader):
    """Every pixel of frame f of video v is (v, f, 0); remembers what was opened."""

    opened: list[str] = []  # noqa: RUF012
    broken: set[str] = set()  # noqa: RUF012

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.opened.append(path.name)
        if path.name in self.broken:
            raise VideoError(path, "no picture in it")

    @property
    def seconds(self):
        return np.arange(LENGTHS[self.path.name]) / 10

    def read(self, frames, *, size):
        self._check_numbers(frames)
        pictures = np.zeros((len(frames), size, size, 3), np.uint8)
        pictures[..., 0] = int(self.path.stem)
        pictures[..., 1] = np.asarray(frames)[:, None, None]
        return pictures

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def forget():
    PaintedReader.opened.clear()
    PaintedReader.broken.clear()


def video(number: int, *, split="heldout", num_frames=None, name=None, label_id=-1) -> Video:
    name = name or f"{number:02d}.mp4"
    count = num_frames or LENGTHS[name]
    return Video(
        video=number, name=name, media=Media(str(Path("somewhere", name))), label=None, label_id=label_id,
        num_frames=count,
        seconds=np.arange(count) / 10, height=48, width=48, split=split, error=None,
    )  # fmt: skip


def index(num_heldout: int = 10) -> VideoIndex:
    return VideoIndex([video(n, split="heldout" if n < num_heldout else "train") for n in range(20)])


def read(videos=None, planner=PLANNER, **options):
    return read_held_out(videos or index(), planner, PaintedReader, frame_size=8, isolate=False, **options)


def test_no_training_video_is_opened():
    read()
    assert sorted(PaintedReader.opened) == [f"{number:02d}.mp4" for number in range(10)]


def test_every_video_is_opened_once():
    read(num_contexts=1000)
    assert len(PaintedReader.opened) == len(set(PaintedReader.opened))


def test_the_future_follows_its_context_in_the_same_video():
    held_out = read()
    for clips in (held_out.contexts, held_out.futures):
        assert torch.equal(clips[:, :, 0, 0, 0], held_out.videos[:, None].expand(-1, 4).to(torch.uint8))
    frames = torch.cat([held_out.contexts, held_out.futures], dim=1)[:, :, 1, 0, 0].long()
    assert (frames.diff(dim=1) == 1).all()
    torch.testing.assert_close(held_out.seconds, frames[:, 0].double() / 10)


def test_decoys_are_of_the_same_video_and_share_no_frame_with_the_future():
    held_out = read()
    decoys, futures = held_out.decoys[..., 0, 0], held_out.futures[..., 0, 0]
    assert decoys.shape[1] > 3
    assert (decoys[:, :, :, 0] == held_out.videos[:, None, None]).all()
    assert not (decoys[:, :, :, None, 1] == futures[:, None, None, :, 1]).any()
    assert any("decoys from other times" in note for note in held_out.notes) == (decoys.shape[1] < 8)


def test_contexts_of_a_video_do_not_overlap():
    places = even_places(video(0), PLANNER, num_places=100, num_decoys=0, seed=0)
    frames = np.concatenate([np.concatenate([place.context, place.future]) for place in places])
    assert len(places) == 40 // 8
    assert len(set(frames.tolist())) == len(frames)


def test_fewer_contexts_than_would_fit_are_spread_over_the_whole_video():
    places = even_places(video(0), PLANNER, num_places=3, num_decoys=0, seed=0)
    assert [int(place.context[0]) for place in places] == [0, 16, 32]


def test_too_many_videos_are_thinned_and_counted():
    held_out = read(index(20), num_contexts=12)
    assert len(held_out) == len(set(held_out.videos.tolist())) == 12
    assert held_out.notes[0] == "8 of 20 held-out videos, to keep within num_contexts"


def test_memory_is_bounded_and_what_is_left_out_is_said():
    held_out = read(index(20), max_gib=10 * (2 + 8) * 4 * 3 * 8 * 8 / 2**30)
    assert len(held_out) <= 10
    assert "to keep within max_gib" in held_out.notes[0]


@pytest.mark.parametrize(
    ("options", "message"), [({"num_contexts": 0}, "0 by num_contexts"), ({"max_gib": 0}, "0 by max_")]
)
def test_no_room_for_contexts_is_wrong_use(options, message):
    with pytest.raises(UsageError, match=message):
        read(**options)


def test_the_planner_of_random_views_is_asked_for_a_context_and_its_future():
    held_out = read(planner=ClipPlanner(num_views=5, num_frames=4, mode="random"))
    assert held_out.contexts.shape[1:] == (4, 3, 8, 8)


def test_a_video_that_cannot_be_read_is_named_and_the_rest_goes_on():
    PaintedReader.broken.add("03.mp4")
    held_out = read()
    assert [(failure.video, failure.cause) for failure in held_out.failures] == [("03.mp4", "no picture in it")]
    assert 3 not in held_out.videos


def test_where_next_to_nothing_can_be_read_the_first_cause_is_said():
    PaintedReader.broken.update(LENGTHS)
    with pytest.raises(UsageError, match=r"got 0: 10 held-out video\(s\) could not be read.*: no picture in it"):
        read()


def test_a_video_that_is_too_short_is_named_and_the_rest_goes_on():
    rows = [replace(row, num_frames=5, seconds=row.seconds[:5]) if row.video == 2 else row for row in index()]
    held_out = read(VideoIndex(rows))
    assert held_out.notes[0].startswith("1 held-out video(s) shorter than a context and its future (8 frames): 02.mp4")
    assert 2 not in held_out.videos


def test_classes_of_folders_become_the_probe():
    held_out = read(VideoIndex([video(n, label_id=n % 2) for n in range(10)]))
    assert torch.equal(held_out.probe.targets["class"], held_out.videos % 2)


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        (VideoIndex([video(0, split="train")]), "held-out videos, got none of 1.*heldout_share above 0"),
        (VideoIndex([video(n, num_frames=8) for n in range(3)]), "at least 8 held-out contexts, got 3 from 3"),
    ],
)
def test_too_few_held_out_videos_are_wrong_use(videos, message):
    with pytest.raises(UsageError, match=message):
        read(videos)
    assert PaintedReader.opened == []


def test_videos_that_are_all_too_short_are_wrong_use():
    with pytest.raises(ClipError, match="5"):
        read(VideoIndex([video(n, num_frames=5) for n in range(10)]))


@pytest.fixture(scope="module")
def digits():
    world = Digits(canvas=32, digit_size=12)
    truth = world.truth(20, 0)
    return world, replace(truth, video=np.array([f"videos/{number:02d}.mp4" for number in range(20)]))


class WorldReader(PaintedReader):
    """Shows the videos of the world `digits` as they were rendered."""

    def read(self, frames, *, size):
        world = Digits(canvas=32, digit_size=12)
        clip = world.render(world.truth(20, 0)[int(self.path.stem)])[0].permute(0, 2, 3, 1).numpy()
        return np.stack([centre_square(clip[frame], size) for frame in frames])


def world_videos(num_heldout: int = 10, folder: str = "videos", num_frames: int = 8) -> VideoIndex:
    rows = [video(n, num_frames=num_frames, split="heldout" if n < num_heldout else "train") for n in range(20)]
    return VideoIndex([replace(row, media=Media(str(Path("anywhere", folder, row.name)))) for row in rows])


@pytest.mark.parametrize("frame_size", [32, 24])
def test_the_branch_taken_is_the_observed_future_pixel_for_pixel(digits, frame_size):
    held_out = read_held_out(
        world_videos(), PLANNER, WorldReader, frame_size=frame_size, world=digits, num_probe_clips=10
    )
    assert held_out.has_branches
    taken = held_out.branches[torch.arange(10), held_out.taken]
    assert torch.equal(taken, held_out.futures)
    motion = held_out.trajectories
    assert torch.equal(motion.branches[torch.arange(10), held_out.taken], motion.futures)
    assert held_out.decoys.shape[:2] == (10, 17)
    assert held_out.probe.contexts.shape == (10, 4, 3, frame_size, frame_size)


def test_shorter_views_meet_at_the_branching(digits):
    held_out = read_held_out(
        world_videos(), ClipPlanner(num_frames=2), WorldReader, frame_size=32, world=digits, num_probe_clips=10
    )
    assert held_out.seconds.tolist() == [0.2] * 10
    assert torch.equal(held_out.branches[torch.arange(10), held_out.taken], held_out.futures)


def test_where_nothing_bounces_is_known_of_each_context_as_far_as_its_future_shows(digits):
    world, truth = digits
    planner = ClipPlanner(num_frames=2)
    held_out = read_held_out(world_videos(), planner, WorldReader, frame_size=32, world=digits, num_probe_clips=200)
    free = world.moves_freely(truth[held_out.videos.numpy()], 2)
    np.testing.assert_array_equal(held_out.moves_freely, free)
    assert 0 < free.sum() < len(free)
    # Of the probe too, which is a draw of its own.
    fresh = world.truth(200, PROBE_SEED)
    np.testing.assert_allclose(held_out.probe.trajectories, fresh.positions[:, 4:6], rtol=1e-6)
    np.testing.assert_array_equal(held_out.probe.moves_freely, world.moves_freely(fresh, 2))
    assert 0 < held_out.probe.moves_freely.sum() < 200


def test_trajectories_are_those_of_the_frames_that_the_future_shows(digits):
    world, truth = digits
    planner = ClipPlanner(num_frames=2, frame_stride=2)  # the future is frames 4 and 6
    held_out = read_held_out(world_videos(), planner, WorldReader, frame_size=24, world=digits, num_probe_clips=10)
    motion, heldout = held_out.trajectories, truth[held_out.videos.numpy()]
    np.testing.assert_allclose(motion.futures, heldout.positions[:, [4, 6]], rtol=1e-6)
    np.testing.assert_allclose(motion.branches, world.branches(heldout).positions[:, :, [0, 2]], rtol=1e-6)


@pytest.mark.parametrize(
    ("videos", "planner", "message"),
    [
        (world_videos(folder="other"), PLANNER, "truth of the world, got 00.mp4"),
        (world_videos(num_frames=9), PLANNER, "videos of 8 frames, as this world makes them, got 9"),
        (world_videos(num_frames=8), ClipPlanner(num_frames=3, gap_frames=(2, 2)), None),
        (world_videos(), ClipPlanner(num_frames=5, short="pad"), "both sides of frame 4"),
    ],
)
def test_videos_and_views_that_do_not_fit_the_world_are_wrong_use(digits, videos, planner, message):
    def call():
        return read_held_out(videos, planner, WorldReader, frame_size=32, world=digits, num_probe_clips=10)

    if message is None:  # a gap over the branching fits: context 0-2, future 5-7
        assert len(call()) == 10
    else:
        with pytest.raises(UsageError, match=message):
            call()


def test_probe_clips_are_fresh_videos_of_the_world(digits):
    world, truth = digits
    plan = PLANNER.plan_at(np.arange(8) / 10, 0)
    clips = probe_clips(world, truth, plan, frame_size=32, num_clips=300, seed=0)
    same = (clips.contexts[:, None] == world.render(truth)[None, :, :4]).flatten(2).all(dim=2)
    assert not same.any()
    fresh = world.truth(300, PROBE_SEED)
    assert torch.equal(world.render(fresh[:5])[:, 4:], clips.futures[:5])
    np.testing.assert_allclose(clips.trajectories, fresh.positions[:, 4:], rtol=1e-6)
    assert {name: tuple(target.shape) for name, target in clips.targets.items()} == {
        "class": (300,),
        "position": (300, 2),
        "velocity": (300, 2),
        "kick": (300, 2),
    }


def test_rendered_clips_are_cut_and_resized_as_a_reader_does():
    clips = torch.randint(256, (2, 3, 3, 30, 44), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one_by_one = [[centre_square(frame.permute(1, 2, 0).numpy(), 16) for frame in clip] for clip in clips]
    assert np.array_equal(centre_squares(clips, 16).permute(0, 1, 3, 4, 2).numpy(), np.array(one_by_one))


def test_of_a_few_videos_a_stretch_is_read_too_for_surprise_over_time():
    held_out = read()
    assert len(held_out.films) == 6
    for film in held_out.films:
        number = int(film.name[:2])
        assert (film.frames[:, 0, 0, 0] == number).all()
        assert (film.clip_frames, film.shift) == (4, 4)
        assert len(film.frames) == len(film.seconds)
