"""Properties of what the clip planner does beyond context and future: other modes, windows, gaps in seconds, jitter."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from videossl.data import ClipError, ClipPlan, ClipPlanner
from videossl.errors import UsageError

STEP = 1e-6


@st.composite
def planners(draw: st.DrawFn, **fixed: Any) -> ClipPlanner:
    """Any planner of up to 8 views."""
    by_time = fixed.pop("by_time", None)
    by_time = draw(st.booleans()) if by_time is None else by_time
    mode = fixed.pop("mode", None) or draw(st.sampled_from(["future", "random", "next_frame", "uniform"]))
    with_seconds = fixed.pop("with_seconds", None)
    with_seconds = mode == "future" and (draw(st.booleans()) if with_seconds is None else with_seconds)
    least = draw(st.floats(0, 0.6))
    chosen = {
        "num_views": draw(st.integers(1, 8)),
        "num_frames": draw(st.integers(1, 6)),
        "frame_stride": 1 if by_time else draw(st.integers(1, 4)),
        "target_fps": draw(st.floats(2, 60)) if by_time else None,
        "mode": mode,
        "gap_seconds": (least, least + draw(st.floats(0, 1))) if with_seconds else None,
        "gap_frames": (0, draw(st.integers(0, 3))) if mode == "future" and not with_seconds else (0, 0),
        "short": draw(st.sampled_from(["error", "pad", "loop", "skip"])),
        "shift_frames": draw(st.integers(1, 4)) if mode == "next_frame" else 1,
        "window_seconds": draw(st.one_of(st.none(), st.floats(0.5, 20))),
    }
    stride = chosen["frame_stride"]
    if mode != "next_frame" and (by_time or stride > 2):
        chosen["frame_jitter"] = draw(st.sampled_from([0.0, 0.4, 0.49]))
    chosen |= fixed
    if chosen["window_seconds"] is not None:
        needed = ClipPlanner(**(chosen | {"window_seconds": None})).seconds_needed
        chosen["window_seconds"] = max(chosen["window_seconds"], needed)
    return ClipPlanner(**chosen)


@st.composite
def times(draw: st.DrawFn, max_frames: int = 80) -> np.ndarray:
    """Presentation times: constant rate, variable rate, or constant with pauses; one frame now and then."""
    count = draw(st.one_of(st.integers(1, max_frames), st.just(max_frames)))
    rate = draw(st.sampled_from([8.0, 24.0, 25.0, 29.97, 60.0]))
    kind = draw(st.sampled_from(["constant", "variable", "paused"]))
    if kind == "constant":
        return np.arange(count) / rate
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    if kind == "variable":
        return np.cumsum([0.0, *random.uniform(0.005, 0.3, count - 1)])
    return np.cumsum([0.0, *np.where(random.random(count - 1) < 0.1, random.uniform(1, 5), 1 / rate)])


def plan(planner: ClipPlanner, seconds: np.ndarray, sample: int = 0, epoch: int = 0, seed: int = 0) -> ClipPlan:
    return planner.plan(seconds, epoch=epoch, sample=sample, seed=seed)


def gaps_of(found: ClipPlan) -> np.ndarray:
    return found.seconds[1:, 0] - found.seconds[:-1, -1]


@given(planners(), times(), st.integers(0, 99))
def test_plans_are_in_range_in_order_and_say_if_they_were_lengthened(
    planner: ClipPlanner, seconds: np.ndarray, sample: int
) -> None:
    if not planner.fits(seconds) and planner.short in ("error", "skip"):
        with pytest.raises(ClipError, match=r"need .*short: skip"):
            plan(planner, seconds, sample)
        return
    found = plan(planner, seconds, sample)
    assert found.frames.shape == (planner.num_views, planner.num_frames)
    assert found.frames.dtype == np.int64
    assert found.frames.min() >= 0
    assert found.frames.max() < len(seconds)
    assert np.array_equal(found.seconds, seconds[found.frames])
    assert found.short == (None if planner.fits(seconds) else planner.short)
    if found.short != "loop":
        assert (np.diff(found.frames, axis=1) >= (planner.target_fps is None and found.short is None)).all()
    if found.short is None and planner.mode != "random":
        assert (np.diff(found.frames[:, 0]) >= 0).all()


@given(planners(), times(), st.integers(0, 99), st.integers(0, 9), st.integers(-5, 2**40))
def test_a_plan_depends_on_its_arguments_and_nothing_else(
    planner: ClipPlanner, seconds: np.ndarray, sample: int, epoch: int, seed: int
) -> None:
    assume(planner.fits(seconds))
    first = plan(planner, seconds, sample, epoch, seed)
    plan(planner, seconds, sample + 1, epoch, seed)  # other samples in between
    again = plan(planner, seconds.copy(), sample, epoch, seed)
    assert np.array_equal(first.frames, again.frames)


@given(planners(mode="future"), times(), st.integers(0, 99))
def test_futures_share_no_frame_with_what_came_before(planner: ClipPlanner, seconds: np.ndarray, sample: int) -> None:
    assume(planner.fits(seconds))
    frames = plan(planner, seconds, sample).frames
    assert (frames[1:, 0] > frames[:-1, -1]).all()


@given(planners(mode="future", with_seconds=True, num_views=3), times(), st.integers(0, 99))
def test_gaps_in_seconds_are_in_their_range_wherever_the_video_has_a_frame_there(
    planner: ClipPlanner, seconds: np.ndarray, sample: int
) -> None:
    assume(planner.fits(seconds))
    assert planner.gap_seconds is not None
    least, most = planner.gap_seconds
    found = plan(planner, seconds, sample)
    for last, first, gap in zip(found.frames[:-1, -1], found.frames[1:, 0], gaps_of(found), strict=True):
        assert gap >= least - 2 * STEP
        if gap > most + 2 * STEP:  # then no frame lies in the range: this is the first one behind it
            behind = seconds[last + 1 :] - seconds[last]
            assert not ((behind >= least + 2 * STEP) & (behind <= most - 2 * STEP)).any()
            assert first == last + 1 or seconds[first - 1] - seconds[last] < least + 2 * STEP


@given(planners(mode="next_frame"), times(), st.integers(0, 99))
def test_views_of_next_frame_are_the_first_one_shifted(planner: ClipPlanner, seconds: np.ndarray, sample: int) -> None:
    assume(planner.fits(seconds))
    frames, shift = plan(planner, seconds, sample).frames, planner.shift_frames
    if planner.target_fps is None:
        assert (np.diff(frames, axis=0) == shift * planner.frame_stride).all()
    if shift < planner.num_frames:  # what overlaps is the same frames
        assert np.array_equal(frames[:-1, shift:], frames[1:, :-shift])


@given(planners(mode="uniform", window_seconds=None), times(), st.integers(0, 99))
def test_uniform_views_lie_in_the_parts_of_the_video_and_share_no_frame_where_they_fit(
    planner: ClipPlanner, seconds: np.ndarray, sample: int
) -> None:
    assume(planner.fits(seconds))
    assume(planner.target_fps is None)
    V, length = planner.num_views, planner.frames_needed
    for frames in (plan(planner, seconds, sample).frames, planner.plan_at(seconds, 0).frames):
        bounds = np.arange(V + 1) * len(seconds) // V
        if np.diff(bounds).min() >= length:
            assert (frames[:, 0] >= bounds[:-1]).all()
            assert (frames[:, -1] < bounds[1:]).all()
        else:
            assert (np.diff(frames[:, 0]) >= 0).all()
            free = len(seconds) - length
            assert (np.abs(frames[:, 0] - (np.arange(V) + 0.5) * free / V) <= free / V / 2 + 1).all()


@given(st.integers(1, 8), st.integers(1, 6), st.sampled_from([8.0, 25.0, 29.97]), st.floats(2, 30), st.integers(0, 99))
def test_uniform_views_by_time_share_no_frame_at_a_constant_rate(
    V: int, T: int, rate: float, target_fps: float, sample: int
) -> None:
    each = (T - 1) / target_fps + 2 / rate
    seconds = np.arange(int(V * each * rate) + 2) / rate
    planner = ClipPlanner(V, T, target_fps=target_fps, mode="uniform")
    for frames in (plan(planner, seconds, sample).frames, planner.plan_at(seconds, 0).frames):
        assert (frames[1:, 0] > frames[:-1, -1]).all()
        begins = seconds[frames[:, 0]] / seconds[-1] * V
        assert (np.minimum(np.floor(begins + 1e-9), V - 1) == np.arange(V)).all()


@given(planners(window_seconds=1.5), times(), st.integers(0, 99))
def test_all_views_lie_within_their_window(planner: ClipPlanner, seconds: np.ndarray, sample: int) -> None:
    assume(planner.fits(seconds) or planner.short in ("pad", "loop"))
    found = plan(planner, seconds, sample)
    assert planner.window_seconds is not None
    assert found.seconds.max() - found.seconds.min() <= planner.window_seconds + 2 * STEP


@given(planners(window_seconds=None, by_time=False, with_seconds=False), times())
def test_a_window_that_holds_the_whole_video_asks_for_nothing_more(planner: ClipPlanner, seconds: np.ndarray) -> None:
    wide = ClipPlanner(**(vars(planner) | {"window_seconds": float(seconds[-1]) + 1}))
    assert wide.fits(seconds) == planner.fits(seconds) == (len(seconds) >= planner.frames_needed)


@given(planners(by_time=True, mode="random", frame_jitter=0.0), times(), st.integers(0, 99))
def test_every_instant_of_every_view_takes_the_nearest_frame(
    planner: ClipPlanner, seconds: np.ndarray, sample: int
) -> None:
    assume(planner.fits(seconds) and planner.window_seconds is None)
    assert planner.target_fps is not None
    frames = plan(planner, seconds, sample).frames
    wanted = seconds[frames[:, :1]] + np.arange(planner.num_frames) / planner.target_fps
    distance = np.abs(seconds - wanted[..., None]).min(axis=-1)
    np.testing.assert_allclose(np.abs(seconds[frames] - wanted), distance, atol=1e-6)


@given(planners(frame_jitter=0.0, window_seconds=None), times(), st.integers(0, 99))
def test_jitter_moves_inner_frames_by_less_than_half_a_step(
    planner: ClipPlanner, seconds: np.ndarray, sample: int
) -> None:
    assume(planner.mode != "next_frame" and planner.fits(seconds))
    assume(planner.target_fps is not None or planner.frame_stride > 2)
    still = plan(planner, seconds, sample)
    moved = plan(ClipPlanner(**(vars(planner) | {"frame_jitter": 0.4})), seconds, sample)
    assert np.array_equal(still.frames[:, [0, -1]], moved.frames[:, [0, -1]])
    if planner.target_fps is None:
        assert np.abs(still.frames - moved.frames).max() <= 0.4 * planner.frame_stride


def test_every_place_of_a_window_and_of_a_part_is_drawn() -> None:
    seconds = np.arange(40) / 10
    windowed = ClipPlanner(num_views=3, num_frames=2, mode="random", window_seconds=1.0)
    firsts = np.concatenate([plan(windowed, seconds, sample).frames[:, 0] for sample in range(600)])
    assert set(firsts) == set(range(39))
    uniform = ClipPlanner(num_views=4, num_frames=3, mode="uniform")
    starts = np.stack([plan(uniform, seconds, sample).frames[:, 0] for sample in range(300)])
    assert [set(column) for column in starts.T] == [set(range(10 * v, 10 * v + 8)) for v in range(4)]
    assert uniform.plan_at(seconds, 0).frames[:, 0].tolist() == [3, 13, 23, 33]
    assert list(uniform.starts(seconds)) == [0]


def test_a_gap_in_seconds_is_drawn_from_all_of_its_range_and_as_wide_as_the_video_allows() -> None:
    planner = ClipPlanner(num_views=2, num_frames=2, gap_seconds=(0.2, 0.5))
    gaps = {round(float(gaps_of(plan(planner, np.arange(30) / 10, sample))[0]), 3) for sample in range(200)}
    assert gaps == {0.2, 0.3, 0.4, 0.5}
    gaps = {round(float(gaps_of(plan(planner, np.arange(6) / 10, sample))[0]), 3) for sample in range(200)}
    assert gaps == {0.2, 0.3}
    assert planner.plan_at(np.arange(30) / 10, 4).frames.tolist() == [[4, 5], [7, 8]]


def test_short_videos_of_every_mode_are_padded_or_looped_and_say_so() -> None:
    seconds = np.arange(3) / 10
    for short, wanted in (("pad", [[0, 1, 2, 2]] * 2), ("loop", [[0, 1, 2, 0]] * 2)):
        found = plan(ClipPlanner(2, 4, mode="uniform", short=short), seconds)
        assert (found.frames.tolist(), found.short) == (wanted, short)
    shifted = plan(ClipPlanner(2, 3, mode="next_frame", short="pad"), seconds)
    assert shifted.frames.tolist() == [[0, 1, 2], [1, 2, 2]]
    apart = plan(ClipPlanner(2, 2, gap_seconds=(0.2, 0.2), short="loop"), seconds)
    assert apart.frames.tolist() == [[0, 1], [0, 1]]
    single = plan(ClipPlanner(2, 2, target_fps=10, gap_seconds=(0.2, 0.2), short="pad"), np.zeros(1))
    assert single.frames.tolist() == [[0, 0], [0, 0]]
    assert plan(ClipPlanner(2, 3, mode="random"), seconds).short is None


def test_views_in_order_for_evaluation_come_from_every_mode() -> None:
    for settings in (
        {"mode": "next_frame", "shift_frames": 3},
        {"mode": "uniform", "num_views": 8, "window_seconds": 1.0, "target_fps": 4.0},
        {"frame_stride": 4, "frame_jitter": 0.4},
        {"gap_seconds": (0.1, 0.4), "window_seconds": 9.0},
    ):
        planner = ClipPlanner(**settings).in_order(2)
        frames = planner.plan_at(np.arange(100) / 10, 5).frames
        assert frames[0, 0] == 5
        assert frames[1, 0] > frames[0, -1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"shift_frames": 0, "mode": "next_frame"}, "shift_frames of at least 1"),
        ({"shift_frames": 2}, "shift_frames needs mode"),
        ({"gap_seconds": (0.5, 0.2)}, "gap_seconds as"),
        ({"gap_seconds": (0.1, float("inf"))}, "gap_seconds as"),
        ({"gap_seconds": (0.1, 0.2), "gap_frames": (0, 1)}, "got both"),
        ({"gap_seconds": (0.1, 0.2), "mode": "uniform"}, "gap_seconds needs mode"),
        ({"window_seconds": 0.0}, "window_seconds above 0"),
        ({"window_seconds": 0.5, "target_fps": 4.0}, "window_seconds of at least 1.75"),
        ({"window_seconds": 0.5, "gap_seconds": (0.6, 1.0)}, "window_seconds of at least 0.6"),
        ({"frame_jitter": 0.5, "frame_stride": 4}, "below 0.5"),
        ({"frame_jitter": 0.4}, "moves no frame at frame_stride 1"),
        ({"frame_jitter": 0.4, "mode": "next_frame", "frame_stride": 4}, "share"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ClipPlanner(**arguments)
