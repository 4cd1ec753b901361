"""Properties of the clip planner, over all videos and plans."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from videossl.data import ClipError, ClipPlan, ClipPlanner
from videossl.errors import UsageError


@st.composite
def planners(draw: st.DrawFn, **fixed: Any) -> ClipPlanner:
    mode = fixed.pop("mode", None) or draw(st.sampled_from(["future", "random"]))
    least = draw(st.integers(0, 4))
    by_time = fixed.pop("by_time", None)
    by_time = draw(st.booleans()) if by_time is None else by_time
    chosen = {
        "num_views": draw(st.integers(1, 4)),
        "num_frames": draw(st.integers(1, 6)),
        "frame_stride": 1 if by_time else draw(st.integers(1, 4)),
        "target_fps": draw(st.floats(1, 60)) if by_time else None,
        "mode": mode,
        "gap_frames": (least, least + draw(st.integers(0, 6))) if mode == "future" else (0, 0),
        "short": draw(st.sampled_from(["error", "pad", "loop"])),
    }
    return ClipPlanner(**(chosen | fixed))


@st.composite
def times(draw: st.DrawFn, max_frames: int = 60) -> np.ndarray:
    """Presentation times of a video of constant or variable frame rate."""
    count = draw(st.integers(1, max_frames))
    if draw(st.booleans()):
        return np.arange(count) / draw(st.sampled_from([8.0, 24.0, 25.0, 29.97, 60.0]))
    gaps = draw(st.lists(st.floats(0.005, 3.0), min_size=count - 1, max_size=count - 1))
    return np.cumsum([0.0, *gaps])


def plan(planner: ClipPlanner, seconds: np.ndarray, sample: int = 0, epoch: int = 0, seed: int = 0) -> ClipPlan:
    return planner.plan(seconds, epoch=epoch, sample=sample, seed=seed)


@given(planners(), times(), st.integers(0, 99))
def test_plans_have_the_right_shape_and_name_real_frames(
    planner: ClipPlanner, seconds: np.ndarray, sample: int
) -> None:
    if not planner.fits(seconds) and planner.short == "error":
        with pytest.raises(ClipError, match=r"need .*short: pad"):
            plan(planner, seconds, sample)
        return
    found = plan(planner, seconds, sample)
    assert found.frames.shape == found.seconds.shape == (planner.num_views, planner.num_frames)
    assert found.frames.dtype == np.int64
    assert (found.frames >= 0).all()
    assert (found.frames < len(seconds)).all()
    assert np.array_equal(found.seconds, seconds[found.frames])


@given(planners(), times(), st.integers(0, 99), st.integers(0, 9), st.integers(-5, 2**40))
def test_a_plan_is_a_pure_function_of_its_arguments(
    planner: ClipPlanner, seconds: np.ndarray, sample: int, epoch: int, seed: int
) -> None:
    assume(planner.fits(seconds))
    first, again = (plan(planner, seconds, sample, epoch, seed) for _ in range(2))
    assert np.array_equal(first.frames, again.frames)


@given(planners(mode="future", by_time=False), times(), st.integers(0, 99))
def test_futures_begin_behind_the_view_before_with_the_gap_asked_for(
    planner: ClipPlanner, seconds: np.ndarray, sample: int
) -> None:
    assume(planner.fits(seconds))
    frames = plan(planner, seconds, sample).frames
    assert (np.diff(frames, axis=1) == planner.frame_stride).all()
    steps = (frames[1:, 0] - frames[:-1, -1]) // planner.frame_stride
    least, most = planner.gap_frames
    assert (steps - 1 >= least).all()
    assert (steps - 1 <= most).all()


@given(planners(mode="future", by_time=True), times(), st.integers(0, 99))
def test_by_time_too_no_future_shares_a_frame_with_its_context(
    planner: ClipPlanner, seconds: np.ndarray, sample: int
) -> None:
    assume(planner.fits(seconds))
    frames = plan(planner, seconds, sample).frames
    assert (np.diff(frames, axis=1) >= 0).all()
    assert (frames[1:, 0] > frames[:-1, -1]).all()


@given(planners(by_time=True), times(), st.integers(0, 99))
def test_by_time_each_instant_takes_its_nearest_frame(planner: ClipPlanner, seconds: np.ndarray, sample: int) -> None:
    assume(planner.fits(seconds))
    assert planner.target_fps is not None
    first = plan(planner, seconds, sample).frames[0]
    wanted = seconds[first[0]] + np.arange(planner.num_frames) / planner.target_fps
    distance = np.abs(seconds[:, None] - wanted)
    np.testing.assert_allclose(np.abs(seconds[first] - wanted), distance.min(axis=0), atol=1e-6)


@given(planners(by_time=False), times())
def test_a_video_fits_exactly_if_it_has_the_frames_needed(planner: ClipPlanner, seconds: np.ndarray) -> None:
    assert planner.fits(seconds) == (len(seconds) >= planner.frames_needed)


@given(planners(by_time=False), st.sampled_from([8.0, 25.0, 29.97]))
def test_at_the_rate_of_the_video_both_ways_of_stepping_are_the_same(planner: ClipPlanner, rate: float) -> None:
    by_frames = ClipPlanner(planner.num_views, planner.num_frames, 1, None, "future", planner.gap_frames)
    by_time = ClipPlanner(planner.num_views, planner.num_frames, 1, rate, "future", planner.gap_frames)
    seconds = np.arange(by_frames.frames_needed + 3) / rate
    assert by_time.starts(seconds) == by_frames.starts(seconds) == range(4)
    assert np.array_equal(plan(by_time, seconds).frames, plan(by_frames, seconds).frames)


@given(planners(), times(), st.integers(0, 99))
def test_a_planned_start_is_a_valid_start(planner: ClipPlanner, seconds: np.ndarray, sample: int) -> None:
    assume(planner.mode == "future")
    assume(planner.fits(seconds))
    assert plan(planner, seconds, sample).frames[0, 0] in planner.starts(seconds)


@given(planners(), times())
def test_anchored_plans_begin_where_they_are_told_and_only_there(planner: ClipPlanner, seconds: np.ndarray) -> None:
    starts = planner.starts(seconds)
    for start in {*starts[:2], *starts[-2:]}:
        found = planner.plan_at(seconds, start)
        assert found.frames[0, 0] == start
        assert np.array_equal(found.frames, planner.plan_at(seconds, start).frames)
    for start in (-1, len(starts)):
        with pytest.raises(ClipError):
            planner.plan_at(seconds, start)


def test_every_start_and_every_gap_is_drawn() -> None:
    seconds = np.arange(20) / 10
    planner = ClipPlanner(num_views=2, num_frames=3, gap_frames=(1, 3))
    plans = [plan(planner, seconds, sample).frames for sample in range(2000)]
    assert {frames[1, 0] - frames[0, -1] - 1 for frames in plans} == {1, 2, 3}
    assert {frames[0, 0] for frames in plans} == set(planner.starts(seconds))
    first = [
        plan(ClipPlanner(num_views=2, num_frames=3, mode="random"), seconds, sample).frames for sample in range(500)
    ]
    assert {frames[view, 0] for frames in first for view in (0, 1)} == set(range(18))


def test_the_gap_is_as_wide_as_a_short_video_allows() -> None:
    planner = ClipPlanner(num_views=2, num_frames=2, gap_frames=(0, 100))
    seconds = np.arange(7) / 10
    gaps = {int(np.diff(plan(planner, seconds, sample).frames[:, 0])[0]) - 2 for sample in range(200)}
    assert gaps == {0, 1, 2, 3}


def test_samples_epochs_and_seeds_differ() -> None:
    seconds = np.arange(1000) / 10
    planner = ClipPlanner()
    asked = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    starts = {int(plan(planner, seconds, sample, epoch, seed).frames[0, 0]) for sample, epoch, seed in asked}
    assert len(starts) == 4


def test_short_videos_are_padded_or_looped_as_asked() -> None:
    seconds = np.arange(3) / 10
    padded = plan(ClipPlanner(num_views=2, num_frames=3, short="pad"), seconds)
    assert padded.frames.tolist() == [[0, 1, 2], [2, 2, 2]]
    looped = plan(ClipPlanner(num_views=2, num_frames=4, short="loop"), seconds)
    assert looped.frames.tolist() == [[0, 1, 2, 0], [1, 2, 0, 1]]
    looped = plan(ClipPlanner(num_views=1, num_frames=5, target_fps=10, short="loop"), seconds)
    assert looped.frames.tolist() == [[0, 1, 2, 0, 1]]
    single = plan(ClipPlanner(num_views=2, num_frames=2, target_fps=10, short="pad"), np.zeros(1))
    assert single.frames.tolist() == [[0, 0], [0, 0]]


def test_a_future_waits_until_a_pause_of_the_video_is_over() -> None:
    seconds = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 5.2, 5.3])
    found = ClipPlanner(num_views=2, num_frames=3, target_fps=10).plan_at(seconds, 0)
    assert found.frames[0].tolist() == [0, 1, 2]
    assert found.frames[1, 0] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_views": 0}, "num_views of at least 1, got 0"),
        ({"num_frames": -1}, "num_frames of at least 1"),
        ({"target_fps": 0.0}, "target_fps above 0"),
        ({"target_fps": 5.0, "frame_stride": 2}, "frame_stride or target_fps"),
        ({"mode": "past"}, "future, random, next_frame, uniform, got past"),
        ({"short": "drop"}, "error, pad, loop, skip, got drop"),
        ({"gap_frames": (3, 2)}, "least <= most"),
        ({"mode": "random", "gap_frames": (0, 1)}, "gap_frames needs mode"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ClipPlanner(**arguments)


def test_a_future_behind_a_pause_does_not_fall_back_on_the_context_by_rounding() -> None:
    planner = ClipPlanner(num_views=2, num_frames=1, target_fps=3.0)
    frames = planner.plan(np.array([0.0, 1.9524717]), epoch=0, sample=0, seed=0).frames
    assert frames.tolist() == [[0], [1]]
