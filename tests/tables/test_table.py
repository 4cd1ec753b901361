"""Tables of embeddings are read as they lie on disk, and what is none is refused."""

import numpy as np
import pandas as pd
import pytest
from tables import videos, write_table

from videossl.errors import UsageError, WorkError
from videossl.tables import EmbeddingTable


def test_rows_of_several_files_come_in_order_of_video_and_frame(tmp_path):
    columns, vectors = videos(5, 4), np.arange(20 * 3).reshape(20, 3)
    order = np.random.default_rng(0).permutation(20)
    shuffled = {name: np.array(values)[order].tolist() for name, values in columns.items()}
    write_table(tmp_path / "e", shuffled, vectors[order], num_files=3)
    table = EmbeddingTable(tmp_path / "e")
    rows = table.read()
    assert (len(table.files), table.num_rows, table.width, table.level) == (3, 20, 3, "frame")
    np.testing.assert_array_equal(rows.vectors, vectors)
    assert rows.columns["frame"].tolist() == columns["frame"]
    assert [(name, numbers.tolist()) for name, numbers in rows.videos()][1] == ("001.mp4", [4, 5, 6, 7])


def test_half_precision_is_read_as_float32_and_other_files_of_the_folder_are_left_alone(tmp_path):
    write_table(tmp_path / "e", videos(2, 2), np.eye(4) / 3, dtype="float16")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "e" / "_index.parquet")
    rows = EmbeddingTable(tmp_path / "e").read()
    assert rows.vectors.dtype == np.float32
    np.testing.assert_allclose(rows.vectors, np.eye(4) / 3, atol=2e-4)


def test_one_file_is_a_table_too(tmp_path):
    write_table(tmp_path / "e", videos(2, 2), np.eye(4))
    assert EmbeddingTable(tmp_path / "e" / "part-00000.parquet").num_rows == 4


def test_files_of_different_models_are_refused(tmp_path):
    write_table(tmp_path / "e", videos(2, 2), np.eye(4), weights_sha256="a")
    (tmp_path / "e" / "part-00000.parquet").rename(tmp_path / "e" / "part-00001.parquet")
    write_table(tmp_path / "e", videos(2, 2), np.eye(4), weights_sha256="b")
    with pytest.raises(UsageError, match="another weights_sha256"):
        EmbeddingTable(tmp_path / "e")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda path: None, "no such table"),
        (lambda path: path.mkdir(), "no Parquet files"),
        (lambda path: pd.DataFrame({"video": ["a"]}).to_parquet(path), "needs the columns video, frame, seconds"),
        (lambda path: path.write_bytes(b"not Parquet"), "cannot be read as Parquet"),
        (
            lambda path: pd.DataFrame(
                {"video": ["a"], "frame": [0], "seconds": [0.0], "embedding": [[1.0, 2.0]]}
            ).to_parquet(path),
            "fixed-size lists",
        ),
    ],
)
def test_what_is_no_table_of_embeddings_is_refused(tmp_path, made, says):
    made(tmp_path / "e")
    with pytest.raises(UsageError, match=says):
        EmbeddingTable(tmp_path / "e")


def test_vectors_that_are_not_finite_are_refused(tmp_path):
    write_table(tmp_path / "e", videos(1, 2), np.array([[0.0, 1.0], [np.nan, 1.0]]))
    with pytest.raises(WorkError, match="not finite"):
        EmbeddingTable(tmp_path / "e").read()
