"""Boundaries of events: the novelty against its matrix form, and boundaries that are known."""

import numpy as np
import pandas as pd
import pytest
from command_line import videossl
from tables import videos, write_table

from videossl.errors import UsageError
from videossl.tables import EmbeddingTable, events_of
from videossl.tables.events import find_events
from videossl.tables.novelty import novelty
from videossl.tables.times import centred, read_times
from videossl.tables.writing import write_found


def by_matrix(vectors, half_width):
    """Foote's novelty as published: the checkerboard kernel with its taper on the matrix of similarities."""
    taper = np.exp(-0.5 * ((np.arange(half_width) + 0.5) / (half_width / 2)) ** 2)
    side = np.concatenate([-taper[::-1], taper]) / taper.sum()
    kernel = np.outer(side, side)  # positive within the past and within the future, negative between them
    similarity = vectors @ vectors.T
    found = np.zeros(len(vectors))
    for place in range(half_width, len(vectors) - half_width + 1):
        around = slice(place - half_width, place + half_width)
        found[place] = (kernel * similarity[around, around]).sum()
    return found


def test_novelty_is_that_of_the_kernel_on_the_matrix_of_similarities():
    vectors = centred(np.random.default_rng(0).normal(size=(60, 7)).astype(np.float32))
    inside = slice(8, 60 - 8 + 1)
    np.testing.assert_allclose(novelty(vectors, 8)[inside], by_matrix(vectors, 8)[inside], atol=1e-5)


def test_novelty_in_pieces_of_the_width_is_the_same(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32)
    whole = novelty(vectors, 4)
    monkeypatch.setattr("videossl.tables.novelty.NUMBERS_AT_ONCE", 100)
    np.testing.assert_allclose(novelty(vectors, 4), whole, rtol=1e-5)


def scenes(lengths, rng, width=16):
    """Rows of scenes: each a direction of its own, with a little noise."""
    centres = rng.normal(size=(len(lengths), width))
    return np.concatenate(
        [centre + 0.15 * rng.normal(size=(length, width)) for centre, length in zip(centres, lengths, strict=True)]
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Three videos of 80 rows at 10 a second: cuts at rows 25 and 60; at 40; none. And one of 4 rows."""
    rng = np.random.default_rng(0)
    columns, short = videos(3, 80), videos(1, 4)
    for name, values in short.items():
        columns[name] += ["short.mp4"] * 4 if name == "video" else values
    vectors = np.concatenate([scenes(lengths, rng) for lengths in ((25, 35, 20), (40, 40), (80,), (4,))])
    return write_table(tmp_path_factory.mktemp("table") / "e", columns, vectors)


def test_boundaries_are_where_the_scenes_change_and_nowhere_else(table, tmp_path):
    done = videossl("events", "--embeddings", table, "--out", tmp_path / "events.csv")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "events.csv")
    assert list(zip(found["video"], found["frame"], strict=True)) == [("000.mp4", 25), ("000.mp4", 60), ("001.mp4", 40)]
    assert found["seconds"].tolist() == [2.5, 6.0, 4.0]
    assert "3 boundaries in 2 of 4 videos" in done.stdout
    assert "1 video is shorter than the kernel" in done.stdout


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_boundaries_are_written_in_the_form_that_the_name_asks_for(table, tmp_path, suffix):
    out = tmp_path / f"events{suffix}"
    events_of(table, kernel_seconds=1.0, deviations=6.0, min_novelty=0.5, out=out)
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}[suffix](out)
    assert read.columns.tolist() == ["video", "frame", "seconds", "novelty"]
    assert len(read) == 3


def test_nothing_is_looked_for_across_missing_rows(tmp_path):
    columns = videos(1, 80)
    columns["seconds"] = [second + 5 * (second >= 4) for second in columns["seconds"]]
    vectors = scenes((40, 40), np.random.default_rng(0))
    rows = read_times(EmbeddingTable(write_table(tmp_path / "e", columns, vectors)))
    events = find_events(rows, kernel_seconds=1.0, deviations=6.0, min_novelty=0.5)
    assert (len(events.found), events.num_gaps) == (0, 1)


def test_videos_of_one_picture_have_no_events(tmp_path):
    write_table(tmp_path / "e", videos(2, 30), np.ones((60, 4)))
    said = events_of(tmp_path / "e", kernel_seconds=1.0, deviations=6.0, min_novelty=None, out=None)
    assert said.startswith("0 boundaries in 0 of 2 videos")


def test_a_file_that_is_there_is_replaced_only_if_that_is_asked_for(table, tmp_path):
    out = tmp_path / "events.csv"
    out.write_text("mine")
    usual = {"kernel_seconds": 1.0, "deviations": 6.0, "min_novelty": None, "out": out}
    with pytest.raises(UsageError, match=r"events\.csv exists\. .* replace it with --overwrite true"):
        events_of(table, **usual)
    assert out.read_text() == "mine"
    events_of(table, **usual, overwrite=True)
    assert out.read_text().startswith("video,frame")


def test_nothing_is_written_into_the_table_that_is_read(table, tmp_path):
    (tmp_path / "link").symlink_to(table)
    shard = table / "part-00000.parquet"
    before = shard.read_bytes()
    for embeddings, out in (
        (table, shard),
        (table, table / "events.csv"),
        (table, tmp_path / "link" / "events.csv"),
        (tmp_path / "link", shard),
        (shard, shard),
    ):
        with pytest.raises(UsageError, match="the table of embeddings that is read"):
            events_of(embeddings, kernel_seconds=1.0, deviations=6.0, min_novelty=None, out=out, overwrite=True)
    assert shard.read_bytes() == before


def test_times_are_written_without_the_rounding_of_sums(tmp_path):
    write_found(pd.DataFrame({"video": ["a"], "seconds": [9.8 + 0.1 + 0.1]}), tmp_path / "E.CSV")
    assert (tmp_path / "E.CSV").read_text() == "video,seconds\na,10.0\n"


def test_options_and_tables_that_cannot_work_are_refused(table, tmp_path):
    usual = {"kernel_seconds": 1.0, "deviations": 6.0, "min_novelty": None, "out": None}
    with pytest.raises(UsageError, match="expected --kernel_seconds above 0"):
        events_of(table, **usual | {"kernel_seconds": 0})
    with pytest.raises(UsageError, match="expected --min_novelty of at most 4"):
        events_of(table, **usual | {"min_novelty": 5.0})
    with pytest.raises(UsageError, match=r"to end in .csv, .parquet, .json"):
        events_of(table, **usual | {"out": tmp_path / "events.txt"})
    write_table(tmp_path / "v", videos(3, 1), np.eye(3), level="video")
    with pytest.raises(UsageError, match="one row a video"):
        events_of(tmp_path / "v", **usual)
