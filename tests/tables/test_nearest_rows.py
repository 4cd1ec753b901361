"""Exact search against comparing everything, and what is passed over."""

import numpy as np
import pytest
from tables import videos, write_table

from videossl.tables import EmbeddingTable, LanceIndex, nearest_rows


@pytest.fixture
def table(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(600, 16))
    return EmbeddingTable(write_table(tmp_path / "e", videos(20, 30), vectors, num_files=3))


def cosines(table, query):
    rows = table.read()
    lengths = np.linalg.norm(rows.vectors, axis=1) * np.linalg.norm(query)
    return rows, rows.vectors @ query / lengths


def test_hits_are_the_rows_of_highest_cosine(table, monkeypatch):
    monkeypatch.setattr("videossl.tables.table.ROWS_AT_ONCE", 70)
    query = np.random.default_rng(1).normal(size=16).astype(np.float32)
    rows, expected = cosines(table, query)
    hits, passed_over = nearest_rows(table, query[None]).best(10, apart_seconds=0.0)
    best = np.argsort(-expected)[:10]
    found = rows.columns.loc[best, ["video", "frame"]].apply(tuple, axis=1).tolist()
    assert [(hit.video, hit.frame) for hit in hits] == found
    np.testing.assert_allclose([hit.similarity for hit in hits], expected[best], atol=1e-6)
    assert passed_over == 0


def test_of_several_queries_the_nearest_counts(table):
    rows = table.read()
    hits, _ = nearest_rows(table, 3 * rows.vectors[[40, 500]]).best(2, apart_seconds=0.0)
    assert [(hit.video, hit.frame, hit.query) for hit in sorted(hits, key=lambda hit: hit.query)] == [
        ("001.mp4", 10, 0), ("016.mp4", 20, 1),
    ]  # fmt: skip


def test_rows_near_a_better_one_and_the_query_itself_are_passed_over(tmp_path):
    vectors = np.ones((60, 3)) + 0.05 * np.arange(60)[:, None] * [1, 0, 0]
    table = EmbeddingTable(write_table(tmp_path / "e", videos(2, 30), vectors))
    hits, passed_over = nearest_rows(table, np.ones((1, 3), np.float32)).best(
        5, apart_seconds=1.0, without=("000.mp4", 0.0)
    )
    assert [(hit.video, hit.frame) for hit in hits] == [
        ("000.mp4", 10), ("000.mp4", 20), ("001.mp4", 0), ("001.mp4", 10), ("001.mp4", 20),
    ]  # fmt: skip
    assert passed_over == 45


def test_a_vector_of_zeros_is_like_nothing(tmp_path):
    vectors = np.eye(4)
    vectors[2] = 0
    table = EmbeddingTable(write_table(tmp_path / "e", videos(1, 4), vectors))
    assert nearest_rows(table, np.ones((1, 4), np.float32)).similarity[2] == 0


def test_an_index_finds_what_comparing_everything_finds_and_is_made_once(tmp_path):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, 32))
    vectors = centres.repeat(100, axis=0) + 0.3 * rng.normal(size=(5000, 32))
    table = EmbeddingTable(write_table(tmp_path / "e", videos(50, 100), vectors))
    index = LanceIndex(table)
    assert index.was_made
    query = centres[:3].astype(np.float32)
    exact, _ = nearest_rows(table, query).best(30, apart_seconds=0.0)
    found, _ = index.nearest(query, 40).best(30, apart_seconds=0.0)
    assert len({(hit.video, hit.frame) for hit in exact} & {(hit.video, hit.frame) for hit in found}) >= 27
    np.testing.assert_allclose(found[0].similarity, exact[0].similarity, atol=1e-5)
    assert not LanceIndex(table).was_made
    assert EmbeddingTable(tmp_path / "e").num_rows == 5000  # the index is no part of the table
    write_table(tmp_path / "e", videos(2, 100), vectors[:200])
    again = LanceIndex(EmbeddingTable(tmp_path / "e"))
    assert again.was_made
    assert len(again.nearest(query[:1], 1000).similarity) == 200
