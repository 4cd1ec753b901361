"""CSV and Parquet tables with named columns."""

from pathlib import Path

import pandas as pd
import pytest
from coded_videos import codes_of, write_coded

from videossl.data import PyAVReader, find_videos
from videossl.data.decode.opening import open_video
from videossl.data.sources import Columns, VideoSet
from videossl.errors import UsageError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def said(videos: Path | VideoSet) -> str:
    with pytest.raises(UsageError) as caught:
        find_videos(videos)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_csv_table_has_its_columns_by_name_with_quotes_and_line_breaks(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "sub/b, c.mp4")
    table = tmp_path / "t.csv"
    table.write_text('fold,label,path\n1,"long\njump",a.mp4\n2,001,"sub/b, c.mp4"\n3,,gone.mp4\n', encoding="utf-8-sig")
    found = find_videos(table)
    assert [(source.name, source.label) for source in found] == [
        ("a.mp4", "long\njump"),
        ("sub/b, c.mp4", "001"),
        ("gone.mp4", None),
    ]
    assert [source.error is None for source in found] == [True, True, False]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_columns_can_have_any_names(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    frame = pd.DataFrame({"clip": ["a.mp4", "b.mp4"], "verb": [3, None], "id": ["x", "y"], "share": [3.0, 1.0]})
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame["verb"] = ["3", None]
        frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    columns = Columns(path="clip", label="verb", name="id", weight="share")
    found = find_videos(VideoSet(str(path), columns=columns))
    assert [(source.name, source.label, source.weight) for source in found] == [("x", "3", 1.5), ("y", None, 0.5)]
    wrong = said(VideoSet(str(path), columns=Columns(path="video")))
    assert "has no column video; it has clip, verb, id, share" in wrong
    assert "has no column noun" in said(VideoSet(str(path), columns=Columns(path="clip", label="noun")))


def test_rows_can_be_stretches_of_files(tmp_path: Path) -> None:
    write_coded(tmp_path / "a.mp4", range(30))
    table = tmp_path / "t.csv"
    table.write_text("path,label,start_seconds,end_seconds\na.mp4,x,0.5,0.8\na.mp4,y,2.8,\na.mp4,z,,0.2\n")
    found = find_videos(table)
    assert [source.name for source in found] == ["a.mp4#0.5-0.8", "a.mp4#2.8-end", "a.mp4#0-0.2"]
    assert {source.group for source in found} == {"a.mp4"}  # held out together or not at all
    codes = []
    for source in found:
        with open_video(source.media, PyAVReader) as reader:
            codes.append(codes_of(reader.read(range(reader.num_frames), size=None)))
    assert codes == [[5, 6, 7], [28, 29], [0, 1]]


def test_wrong_tables_are_told_apart_in_one_line(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    table = tmp_path / "t.csv"

    def wrong(text: str) -> str:
        table.write_text(text)
        return said(table)

    assert "has no rows" in wrong("path,label\n")
    assert "row 2 of the table" in wrong("path,label\na.mp4,x\n,y\n")
    assert "has 2 as" not in wrong("path,label,weight\na.mp4,x,many\n")
    assert "has many as its weight; expected a number" in wrong("path,label,weight\na.mp4,x,many\n")
    assert "has the weight -1.0" in wrong("path,label,weight\na.mp4,x,-1\n")
    assert "expected 0 <= start < end in seconds, got 2.0 and 1.0" in wrong(
        "path,start_seconds,end_seconds\na.mp4,2,1\n"
    )
    assert "names a.mp4 2 times" in wrong("path,label\na.mp4,x\na.mp4,y\n")
    assert "line 2 of" in wrong("path,label\na.mp4,x,z\n")
    assert "has no column path; it has id, clip, verb, noun" in wrong("id,clip,verb,noun\n1,a.mp4,x,y\n")
    (tmp_path / "t.parquet").write_text("no table")
    assert "is not a Parquet table" in said(tmp_path / "t.parquet")


def test_a_csv_without_names_is_a_list(tmp_path: Path) -> None:
    touch(tmp_path, "a b.mp4", "c.mp4")
    table = tmp_path / "t.csv"
    for text in ("a b.mp4 1\nc.mp4 2\n", "a b.mp4,1\nc.mp4,2\n", "video,class\na b.mp4,1\nc.mp4,2\n"):
        table.write_text(text)
        assert [(source.name, source.label) for source in find_videos(table)] == [("a b.mp4", "1"), ("c.mp4", "2")]
