"""What packets tell of frames, and when they are not to be believed."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from videossl.data.decode.timeline import PacketFacts, Timeline, TimelineCache, from_decoding, from_packets

UNIT = Fraction(1, 100)


def packet(
    pts: int | None, dts: int | None, *, key: bool = False, hidden: bool = False, cut: bool = False
) -> PacketFacts:
    return PacketFacts(pts, dts, key, hidden, cut)


def timeline(packets: list[PacketFacts], *, reorders: bool = True, promised: float | None = None) -> Timeline | None:
    return from_packets(packets, UNIT, reorders=reorders, promised_seconds=promised)


def pts_of(found: Timeline | None) -> list[int]:
    assert found is not None
    assert found.pts is not None
    return found.pts.tolist()


@given(st.permutations(range(12)), st.integers(-50, 50))
def test_frames_are_sorted_by_presentation_time_whatever_order_they_are_decoded_in(
    order: list[int], offset: int
) -> None:
    order = [0, *(number + 1 for number in order)]
    packets = [packet(4 * shown + offset, 4 * place - 100, key=place == 0) for place, shown in enumerate(order)]
    found = timeline(packets, reorders=order != sorted(order))
    assert pts_of(found) == [4 * number + offset for number in range(13)]
    assert found is not None
    np.testing.assert_allclose(found.seconds, 0.04 * np.arange(13))


def test_frames_before_the_first_key_frame_have_no_number() -> None:
    packets = [packet(0, 0), packet(4, 4), packet(12, 8, key=True), packet(8, 12), packet(16, 16)]
    assert pts_of(timeline(packets)) == [12, 16]


def test_hidden_frames_of_an_edit_list_have_no_number() -> None:
    packets = [packet(0, 0, key=True, hidden=True), packet(4, 4, hidden=True), packet(8, 8), packet(12, 12)]
    assert pts_of(timeline(packets, reorders=False)) == [8, 12]


def test_decoding_times_in_the_place_of_presentation_times_are_not_believed() -> None:
    packets = [packet(4 * number, 4 * number, key=number == 0) for number in range(5)]
    assert timeline(packets, reorders=True) is None
    assert pts_of(timeline(packets, reorders=False)) == [0, 4, 8, 12, 16]


def test_missing_repeated_or_restarting_timestamps_are_not_believed() -> None:
    assert timeline([packet(None, None, key=True), packet(None, None)]) is None
    assert timeline([packet(0, 0, key=True), packet(0, 4)]) is None
    assert timeline([packet(0, 50, key=True), packet(4, 0)]) is None
    assert timeline([packet(0, 0), packet(4, 4)]) is None


def test_frames_that_may_be_missing_behind_a_cut_are_left_out() -> None:
    packets = [packet(0, -8, key=True), packet(12, -4), packet(4, 0), packet(8, 4), packet(24, 8, cut=True)]
    assert pts_of(timeline(packets)) == [0, 4]


def test_a_hole_at_the_end_of_a_file_that_ends_too_early_is_no_pause() -> None:
    packets = [packet(0, 0, key=True), packet(8, 1), packet(4, 4), packet(20, 8)]
    assert pts_of(timeline(packets, promised=10.0)) == [0, 4, 8]
    assert pts_of(timeline(packets, promised=0.24)) == [0, 4, 8, 20]


def test_the_key_frame_before_a_frame_is_found_by_presentation_time() -> None:
    packets = [packet(0, 0, key=True), packet(4, 4), packet(12, 8, key=True), packet(8, 12), packet(16, 16)]
    found = timeline(packets)
    assert found is not None
    assert [found.key_before(frame) for frame in range(5)] == [0, 0, 0, 1, 1]


def test_frames_without_times_are_counted_by_the_frame_rate() -> None:
    for pts in ([None, None, None], [2, 8, 4]):
        np.testing.assert_allclose(from_decoding(pts, UNIT, Fraction(25)).seconds, [0, 0.04, 0.08])
    np.testing.assert_allclose(from_decoding([5, 10, 30], UNIT, Fraction(25)).seconds, [0, 0.05, 0.25])


def test_the_cache_forgets_the_least_recently_used_timeline() -> None:
    cache = TimelineCache(max_frames=10)
    first, second, third = (Timeline(np.arange(4) / 10) for _ in range(3))
    cache.put(("a", 0, 0), first)
    cache.put(("b", 0, 0), second)
    assert cache.get(("a", 0, 0)) is first
    cache.put(("c", 0, 0), third)
    assert cache.get(("b", 0, 0)) is None
    assert cache.get(("a", 0, 0)) is first
