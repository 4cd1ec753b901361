"""One vector for each time: tokens are averaged, and what all rows share is taken away."""

import numpy as np
from tables import videos, write_table

from videossl.tables import EmbeddingTable
from videossl.tables.times import centred, mean_tokens, read_times


def test_tokens_of_a_time_are_averaged(tmp_path):
    columns = {name: list(np.repeat(values, 3)) for name, values in videos(2, 2).items()}
    columns |= {"token_row": [0] * 12, "token_column": [0, 1, 2] * 4}
    vectors = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    table = EmbeddingTable(write_table(tmp_path / "e", columns, vectors, level="token"))
    times, first, place = mean_tokens(table.read())
    np.testing.assert_allclose(times.vectors, vectors.reshape(4, 3, 5).mean(axis=1), rtol=1e-5)
    assert times.columns[["video", "frame"]].values.tolist() == [
        ["000.mp4", 0], ["000.mp4", 1], ["001.mp4", 0], ["001.mp4", 1],
    ]  # fmt: skip
    assert (first.tolist(), place.tolist()) == ([0, 3, 6, 9], np.arange(4).repeat(3).tolist())
    assert len(read_times(table)) == 4


def test_centred_vectors_have_unit_length_and_forget_what_all_share():
    vectors = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    away = centred(vectors + 50)
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(away, centred(vectors), atol=1e-4)
    assert not centred(np.full((5, 3), 0.1, np.float32)).any()
