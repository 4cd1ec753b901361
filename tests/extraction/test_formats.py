"""The other formats: the same rows, resumed and replaced like those in Parquet."""

import shutil
import sys
from pathlib import Path

import lancedb
import numpy as np
import pandas as pd
import pytest
from grey_videos import GreyLevel, extracted, ordered, write_grey
from safetensors.numpy import load_file

from videossl.errors import UsageError
from videossl.extraction.extract import delete_extraction
from videossl.extraction.stores.formats import Format, store_of

FORMATS: tuple[Format, ...] = ("parquet", "npy", "safetensors", "lance")


def read(folder: Path, file_format: Format) -> pd.DataFrame:
    if file_format == "parquet":
        return pd.read_parquet(folder)
    if file_format == "lance":
        return lancedb.connect(folder).open_table("embeddings").to_pandas().drop(columns="shard")
    tables = []
    for shard in store_of(file_format, folder, "float32").finished():
        rows = pd.read_parquet(folder / f"rows-{shard.number:05d}.parquet")
        path = folder / shard.about["vectors"]
        vectors = np.load(path) if file_format == "npy" else load_file(path)["embedding"]
        assert vectors.dtype == np.dtype(str(shard.about["dtype"]))
        tables.append(rows.assign(embedding=list(vectors)))
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_format_holds_the_same_rows(videos: Path, tmp_path: Path, file_format: Format, dtype: str) -> None:
    _, wanted = extracted(videos, tmp_path / "wanted", dtype=dtype)
    done, _ = written(videos, tmp_path / "out", file_format, dtype=dtype, frames_per_shard=9)
    got = ordered(read(tmp_path / "out", file_format))
    pd.testing.assert_frame_equal(got[wanted.columns], ordered(wanted))
    assert done.num_rows == len(wanted)
    assert all(path.exists() for path in done.shards)


def written(videos: Path, out: Path, file_format: Format, model: GreyLevel | None = None, **options: object):  # type: ignore[no-untyped-def]
    return extracted(videos, out, model, file_format=file_format, read=False, **options)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("frames_per_shard", [1, 1000])
def test_every_format_is_added_to_and_replaced_in(
    videos: Path, tmp_path: Path, file_format: Format, frames_per_shard: int
) -> None:
    own, out = Path(shutil.copytree(videos, tmp_path / "videos")), tmp_path / "out"
    written(own, out, file_format, frames_per_shard=frames_per_shard)
    write_grey(own, {"long/b.mp4": 6, "long/it's new.mp4": 4}, first=3)
    (own / "short" / "c.mp4").unlink()
    for _ in range(2):
        done, _ = written(own, out, file_format, frames_per_shard=frames_per_shard)
    assert (done.num_kept, done.num_new_rows) == (4, 0)
    (own / "long" / "it's new.mp4").unlink()
    done, _ = written(own, out, file_format, frames_per_shard=frames_per_shard)
    assert done.vanished == ("long/it's new.mp4",)
    _, wanted = extracted(own, tmp_path / "wanted")
    pd.testing.assert_frame_equal(ordered(read(out, file_format))[wanted.columns], ordered(wanted))


@pytest.mark.parametrize("file_format", FORMATS)
def test_what_was_begun_and_not_finished_is_not_there(videos: Path, tmp_path: Path, file_format: Format) -> None:
    done, _ = written(videos, tmp_path, file_format, frames_per_shard=1)
    before = read(tmp_path, file_format)
    store = store_of(file_format, tmp_path, "float32")
    if file_format == "lance":  # killed between the rows and the line that says that they are there
        lancedb.connect(tmp_path).open_table("shards").delete("shard = 1")
    elif file_format == "parquet":
        (tmp_path / "part-00001.parquet").rename(tmp_path / "_unfinished" / "part-00001.parquet.tmp")
    else:
        (tmp_path / "rows-00001.parquet").unlink()
    assert [shard.number for shard in store.finished()] == [0, 2, 3]
    model = GreyLevel()
    again, _ = written(videos, tmp_path, file_format, model)
    assert (again.num_new, again.num_kept, sum(model.batch_sizes)) == (1, 3, 2)
    pd.testing.assert_frame_equal(ordered(read(tmp_path, file_format)), ordered(before))
    assert done.num_rows == again.num_rows
    delete_extraction(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}


def test_formats_are_not_mixed_in_one_folder(videos: Path, tmp_path: Path) -> None:
    for other in ("npy", "lance"):
        written(videos, tmp_path / other, other)
        with pytest.raises(UsageError, match=f"in the format {other}, and safetensors is asked for"):
            written(videos, tmp_path / other, "safetensors")


def test_without_lancedb_the_extra_is_named(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(UsageError, match=r"pip install 'videossl\[lance\]'"):
        written(videos, tmp_path, "lance")
