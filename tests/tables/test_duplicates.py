"""Stretches that videos share: copies, excerpts at another rate, still pictures, and videos that only look alike."""

import numpy as np
import pandas as pd
import pytest
from command_line import videossl
from tables import write_table

from videossl.errors import UsageError
from videossl.tables import EmbeddingTable, duplicates_of
from videossl.tables.near_duplicates import find_duplicates
from videossl.tables.spans import end_seconds
from videossl.tables.times import read_times

WIDTH = 24


def film(num_rows, rng):
    """Rows that change slowly: each like the ones before it, none like those a second later."""
    steps = np.cumsum(rng.normal(size=(num_rows + 40, WIDTH)), axis=0)
    return steps[40:] - steps[:-40]


def table_of(folder, **of_video):
    """A table of videos given as (vectors, rows a second)."""
    columns = {"video": [], "frame": [], "seconds": []}
    for name, (vectors, rate) in of_video.items():
        columns["video"] += [name] * len(vectors)
        columns["frame"] += list(range(len(vectors)))
        columns["seconds"] += (np.arange(len(vectors)) / rate).tolist()
    return write_table(folder, columns, np.concatenate([vectors for vectors, _ in of_video.values()]))


def found_in(folder, **options):
    table = EmbeddingTable(folder)
    rows = read_times(table)
    return find_duplicates(rows, end_seconds(table, rows), **{"threshold": 0.95, "min_seconds": 2.0} | options)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_noisy_copy_and_an_excerpt_are_found_with_their_times(tmp_path, rng):
    a, b = film(100, rng), film(120, rng)
    excerpt = np.concatenate([film(30, rng), a[20:70], film(25, rng)])
    excerpt += 0.3 * rng.normal(size=excerpt.shape)
    copy = b + 0.3 * rng.normal(size=b.shape)
    table_of(tmp_path / "e", a=(a, 10), b=(b, 10), copy=(copy, 10), excerpt=(excerpt, 10), other=(film(90, rng), 10))
    done = videossl("duplicates", "--embeddings", tmp_path / "e", "--out", tmp_path / "pairs.csv")
    assert done.returncode == 0, done.stderr
    pairs = pd.read_csv(tmp_path / "pairs.csv").set_index(["video_a", "video_b"])
    assert pairs.index.tolist() == [("b", "copy"), ("a", "excerpt")]
    whole, part = pairs.iloc[0], pairs.iloc[1]
    assert (whole["start_a_seconds"], whole["end_a_seconds"], whole["share_a"]) == pytest.approx((0, 12, 1))
    times = part[["start_a_seconds", "end_a_seconds", "start_b_seconds", "end_b_seconds"]].tolist()
    assert times == pytest.approx([2, 7, 3, 8], abs=0.3)
    assert part["share_a"] == pytest.approx(0.5, abs=0.05)
    assert "2 shared stretches among 5 videos; 1 of them is two whole videos" in done.stdout
    assert "by chance" in done.stdout


def test_a_copy_at_another_frame_rate_is_found(tmp_path, rng):
    a = film(200, rng)
    table_of(tmp_path / "e", a=(a, 20), slow=(a[::3], 20 / 3), other=(film(200, rng), 20))
    found = found_in(tmp_path / "e", threshold=0.9).found
    assert found[["video_a", "video_b"]].values.tolist() == [["a", "slow"]]
    assert found.loc[0, "share_a"] > 0.95


def test_a_copy_of_a_video_shorter_than_a_stretch_is_found(tmp_path, rng):
    a = film(8, rng)
    table_of(tmp_path / "e", a=(a, 10), copy=(a, 10), other=(film(100, rng), 10))
    assert found_in(tmp_path / "e").found["video_b"].tolist() == ["copy"]


def test_a_still_picture_that_two_videos_share_is_one_stretch(tmp_path, rng):
    still = np.repeat(film(1, rng), 40, axis=0)
    one, other = (np.concatenate([film(30, rng), still, film(30, rng)]) for _ in range(2))
    table_of(tmp_path / "e", one=(one, 10), other=(other, 10), more=(film(100, rng), 10))
    found = found_in(tmp_path / "e").found
    assert len(found) == 1
    times = found.loc[0, ["start_a_seconds", "end_a_seconds", "start_b_seconds", "end_b_seconds"]].tolist()
    assert times == pytest.approx([3, 7, 3, 7], abs=0.2)


def tubelets(folder, num_frames, vectors, rate=25.0, **about):
    """Two copies of a video whose rows are tubelets of 4 frames; the last is filled up as the encoder does it."""
    frames = list(range(0, num_frames, 4))
    columns = {
        "video": ["a"] * len(frames) + ["b"] * len(frames),
        "frame": frames * 2,
        "seconds": [frame / rate for frame in frames] * 2,
        "repeated_frames": [max(0, frame + 4 - num_frames) for frame in frames] * 2,
    }
    return write_table(folder, columns, np.concatenate([vectors, vectors]), tubelet_frames=4, **about)


@pytest.mark.parametrize("about", [{"frame_stride": 1}, {"target_fps": 25.0}])
def test_a_stretch_ends_with_its_video_though_the_last_row_is_filled_up(tmp_path, rng, about):
    found = found_in(tubelets(tmp_path / "e", 97, film(25, rng), **about)).found
    assert found[["end_a_seconds", "end_b_seconds"]].values.tolist() == [[pytest.approx(97 / 25)] * 2]
    assert found[["share_a", "share_b"]].values.tolist() == [[1, 1]]


def test_the_last_frames_between_those_that_were_sampled_are_not_claimed(tmp_path, rng):
    columns = {"video": ["a"] * 25 + ["b"] * 25, "frame": list(range(0, 200, 8)) * 2}
    columns |= {"seconds": [frame / 25 for frame in columns["frame"]], "repeated_frames": [0] * 50}
    vectors = np.tile(film(25, rng), (2, 1))
    found = found_in(write_table(tmp_path / "e", columns, vectors, tubelet_frames=4, frame_stride=2)).found
    assert found["end_a_seconds"].tolist() == [pytest.approx(199 / 25)]  # frames 192, 194, 196 and 198 are behind it


def test_clips_that_overlap_end_after_their_own_frames(tmp_path, rng):
    columns = {"video": ["a"] * 20 + ["b"] * 20, "frame": list(range(0, 80, 4)) * 2}
    columns |= {"seconds": [frame / 10 for frame in columns["frame"]], "repeated_frames": [0] * 40}
    vectors = np.tile(film(20, rng), (2, 1))
    about = {"level": "clip", "clip_frames": 16, "step_frames": 4, "frame_stride": 1, "tubelet_frames": 4}
    table = EmbeddingTable(write_table(tmp_path / "e", columns, vectors, **about))
    ends = end_seconds(table, read_times(table))
    np.testing.assert_allclose(ends[:20], (np.arange(20) * 4 + 16) / 10)


def test_of_a_video_of_one_row_nobody_says_when_it_ends(tmp_path, rng):
    columns = {"video": ["a", "b"] + ["long"] * 20, "frame": [0, 0, *range(20)]}
    columns["seconds"] = [frame / 10 for frame in columns["frame"]]
    one = film(1, rng)
    folder = write_table(tmp_path / "e", columns, np.concatenate([one, one, film(20, rng)]))
    said = duplicates_of(folder, threshold=0.95, min_seconds=1.0, out=tmp_path / "pairs.csv")
    assert "a 0.00 s to its end = b 0.00 s to its end" in said
    assert "1 shared stretch among 3 videos; 1 of them is two whole videos" in said
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert pairs[["end_a_seconds", "end_b_seconds"]].isna().all(axis=None)
    assert pairs[["share_a", "share_b"]].values.tolist() == [[1, 1]]


def test_a_stretch_does_not_last_through_rows_that_are_missing(tmp_path, rng):
    table = EmbeddingTable(tubelets(tmp_path / "e", 80, film(20, rng), frame_stride=1))
    rows = read_times(table)
    rows = rows.among(np.flatnonzero(~np.isin(rows.columns["frame"], (40, 44))))
    ends = end_seconds(table, rows)
    np.testing.assert_allclose(ends[[8, 9, 10]], [36 / 25 + 4 / 25 * place for place in (0, 1, 4)])


def test_of_one_video_there_is_nothing_to_compare(tmp_path, rng):
    said = duplicates_of(table_of(tmp_path / "e", a=(film(9, rng), 10)), threshold=0.9, min_seconds=1.0, out=None)
    assert said == "the table has 1 video, and no other to compare it with"


def test_blocks_change_nothing(tmp_path, rng, monkeypatch):
    a = film(150, rng)
    table_of(tmp_path / "e", a=(a, 10), copy=(a, 10), other=(film(150, rng), 10))
    whole = found_in(tmp_path / "e").found
    monkeypatch.setattr("videossl.tables.near_duplicates.SIMILARITIES_AT_ONCE", 1000)
    pd.testing.assert_frame_equal(found_in(tmp_path / "e").found, whole)
    assert len(whole) == 1


def test_films_that_are_not_alike_share_nothing_and_chance_is_said(tmp_path, rng):
    table_of(tmp_path / "e", **{f"film{n}": (film(100, rng), 10) for n in range(5)})
    duplicates = found_in(tmp_path / "e")
    assert (len(duplicates.found), duplicates.num_videos) == (0, 5)
    assert duplicates.share_by_chance < 0.001
    assert found_in(tmp_path / "e", threshold=0.05, min_seconds=30).share_by_chance > 0.2


def test_a_threshold_that_says_nothing_is_refused(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("videossl.tables.near_duplicates.MOST_HITS", 10)
    table_of(tmp_path / "e", a=(film(100, rng), 10), b=(film(100, rng), 10))
    with pytest.raises(UsageError, match="Raise --threshold"):
        found_in(tmp_path / "e", threshold=0.01)


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path):
    (tmp_path / "pairs.json").write_text("mine")
    with pytest.raises(UsageError, match="replace it with --overwrite true"):
        duplicates_of(tmp_path / "e", threshold=0.9, min_seconds=1.0, out=tmp_path / "pairs.json")
    assert (tmp_path / "pairs.json").read_text() == "mine"


@pytest.mark.parametrize(("threshold", "min_seconds"), [(0.0, 1.0), (1.5, 1.0), (0.9, 0.0)])
def test_options_that_cannot_work_are_refused(tmp_path, threshold, min_seconds):
    with pytest.raises(UsageError, match="expected --"):
        duplicates_of(tmp_path / "e", threshold=threshold, min_seconds=min_seconds, out=None)
