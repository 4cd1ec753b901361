import pytest
from hypothesis import given
from hypothesis import strategies as st

from videossl.extraction.windows import Windows

lengths = st.integers(1, 60)
clip_lengths = st.integers(1, 12)
tubelets = st.integers(1, 4)


@given(lengths, clip_lengths, tubelets)
def test_every_frame_is_in_exactly_one_row(num_frames: int, clip_frames: int, tubelet_frames: int) -> None:
    covered: list[int] = []
    for window in Windows(num_frames, clip_frames=clip_frames, tubelet_frames=tubelet_frames):
        for time, first in window.rows:
            frames = window.positions[time * tubelet_frames : (time + 1) * tubelet_frames]
            assert frames[0] == first
            covered += sorted(set(frames))
    assert covered == list(range(num_frames))


@given(lengths, clip_lengths, tubelets)
def test_every_window_is_a_run_of_frames_of_the_asked_length_inside_the_video(
    num_frames: int, clip_frames: int, tubelet_frames: int
) -> None:
    for window in Windows(num_frames, clip_frames=clip_frames, tubelet_frames=tubelet_frames):
        assert len(window.positions) == clip_frames
        assert window.positions == tuple(min(window.start + i, num_frames - 1) for i in range(clip_frames))
        assert window.start <= window.new


@given(lengths, clip_lengths, tubelets)
def test_the_new_frames_of_all_windows_are_the_frames_of_the_video(
    num_frames: int, clip_frames: int, tubelet_frames: int
) -> None:
    windows = Windows(num_frames, clip_frames=clip_frames, tubelet_frames=tubelet_frames)
    assert sum(window.num_new for window in windows) == num_frames


@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 4))
def test_a_video_longer_than_a_clip_is_filled_by_less_than_a_tubelet(
    more_frames: int, tubelets_per_clip: int, tubelet_frames: int
) -> None:
    clip_frames = tubelets_per_clip * tubelet_frames
    windows = Windows(clip_frames + more_frames, clip_frames=clip_frames, tubelet_frames=tubelet_frames)
    assert [window.num_repeated for window in windows[:-1]] == [0] * (len(windows) - 1)
    assert windows[-1].num_repeated < tubelet_frames


def test_the_last_window_is_moved_back_to_end_with_the_video() -> None:
    windows = Windows(10, clip_frames=4, tubelet_frames=2)
    assert [window.positions for window in windows] == [(0, 1, 2, 3), (4, 5, 6, 7), (6, 7, 8, 9)]
    assert [window.rows for window in windows] == [((0, 0), (1, 2)), ((0, 4), (1, 6)), ((1, 8),)]


def test_a_single_image_is_a_clip() -> None:
    (window,) = Windows(1, clip_frames=4, tubelet_frames=2)
    assert window.positions == (0, 0, 0, 0)
    assert window.rows == ((0, 0),)
    assert window.num_repeated == 3


def test_clips_of_one_frame_give_a_row_per_frame() -> None:
    assert [window.rows for window in Windows(3, clip_frames=1, tubelet_frames=2)] == [((0, 0),), ((0, 1),), ((0, 2),)]


@pytest.mark.parametrize("wrong", [(0, 4, 2), (4, 0, 2), (4, 4, 0)])
def test_lengths_below_one_are_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Windows(wrong[0], clip_frames=wrong[1], tubelet_frames=wrong[2])


steps = st.integers(1, 4)


@given(lengths, steps, steps, st.integers(1, 3), st.booleans())
def test_overlapping_windows_cover_every_frame_once_with_the_overlap_before_it(
    num_frames: int, tubelets_per_step: int, more_tubelets: int, tubelet_frames: int, fill_end: bool
) -> None:
    step = tubelets_per_step * tubelet_frames
    overlap = more_tubelets * tubelet_frames
    windows = Windows(
        num_frames,
        clip_frames=step + overlap,
        tubelet_frames=tubelet_frames,
        step_frames=step,
        fill_end=fill_end,
    )
    covered: list[int] = []
    for number, window in enumerate(windows):
        assert number == 0 or window.start >= overlap - (window.new - window.start)
        for time, first in window.rows:
            frames = window.positions[time * tubelet_frames : (time + 1) * tubelet_frames]
            assert frames[0] == first
            assert number == 0 or first - window.start >= overlap
            covered += sorted(set(frames))
    assert covered == list(range(num_frames))


@given(lengths, st.integers(1, 20), clip_lengths, steps, tubelets)
def test_frames_that_follow_change_no_window_before_them_where_the_end_is_filled(
    num_frames: int, more_frames: int, clip_frames: int, step_frames: int, tubelet_frames: int
) -> None:
    cut = {"clip_frames": clip_frames, "step_frames": step_frames, "tubelet_frames": tubelet_frames, "fill_end": True}
    short, long = Windows(num_frames, **cut), Windows(num_frames + more_frames, **cut)  # type: ignore[arg-type]
    for before, after in zip(short, long, strict=False):
        assert (before.start, before.new) == (after.start, after.new)
        assert set(before.rows) <= set(after.rows)


def test_steps_longer_than_a_clip_leave_frames_out() -> None:
    windows = Windows(20, clip_frames=4, tubelet_frames=2, step_frames=8)
    assert [window.start for window in windows] == [0, 8, 16]
    assert [window.positions for window in windows[1:]] == [(8, 9, 10, 11), (16, 17, 18, 19)]


def test_windows_of_hours_take_no_memory() -> None:
    windows = Windows(3 * 3600 * 25, clip_frames=16, tubelet_frames=2)
    assert len(windows) == 16875
    assert windows[-1].positions[-1] == 3 * 3600 * 25 - 1
    with pytest.raises(IndexError):
        windows[16875]
