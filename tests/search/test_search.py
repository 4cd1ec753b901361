"""`videossl search`: queries from files and from the table, by the model of the table only, and what is shown."""

import csv
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import REPOSITORY, videossl
from PIL import Image

from videossl.data import PyAVReader
from videossl.errors import UsageError
from videossl.extraction import extract_run
from videossl.loading import load
from videossl.search import search
from videossl.tables import EmbeddingTable


@pytest.fixture(scope="module")
def extracted(small_run, small_world, tmp_path_factory):
    """Embeddings of 48 videos of 8 frames, one row for 4 frames; and the videos."""
    folder = tmp_path_factory.mktemp("search")
    videos = shutil.copytree(small_world / "videos", folder / "videos")
    done = videossl("extract", "--run", small_run, "--videos", videos, "--out", folder / "e", "--level", "frame")
    assert done.returncode == 0, done.stderr
    return folder / "e", videos


def hits(out):
    with (out / "hits.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_video_finds_itself_and_its_pictures_are_shown(extracted, tmp_path):
    embeddings, videos = extracted
    out = tmp_path / "found"
    query = videos / "000007.mp4"
    done = videossl("search", "--embeddings", embeddings, "--query", query, "--number", 6, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = hits(out)
    assert [int(hit["rank"]) for hit in found] == [1, 2, 3, 4, 5, 6]
    assert found[0]["video"] == "000007.mp4"
    assert found[0]["seconds"] == found[0]["query_seconds"]
    assert float(found[0]["similarity"]) == pytest.approx(1, abs=1e-5)
    assert "000007.mp4" in done.stdout
    page = (out / "contact.html").read_text()
    assert page.count("<img") == 7
    assert "http" not in page  # nothing is loaded from elsewhere
    sheet = np.asarray(Image.open(out / "contact.png"))
    assert sheet.shape[0] > 400
    assert sheet.shape[1] > 1200
    # The first picture found is that of the query: the same pixels, one tile to the right.
    tile = 240 + 12
    assert np.array_equal(sheet[20:150, 20:200], sheet[20:150, 20 + tile : 200 + tile])


def test_a_moment_of_a_video_is_searched_alone(extracted):
    embeddings, videos = extracted
    said = search(embeddings, query=videos / "000011.mp4", seconds=0.6, number=1, apart_seconds=0)
    assert said.splitlines()[0] == "nearest to 000011.mp4 at 0.50 s:"
    first = said.splitlines()[2].split()
    assert first[2:5] == ["0.50", "4", "000011.mp4"]


def test_a_picture_is_a_video_of_one_frame(extracted, tmp_path):
    embeddings, videos = extracted
    with PyAVReader(videos / "000003.mp4") as video:
        Image.fromarray(video.read([0], size=None)[0]).save(tmp_path / "frame.png")
    out = tmp_path / "found"
    said = search(embeddings, query=tmp_path / "frame.png", number=3, out=out)
    assert "nearest to frame.png" in said
    assert len(hits(out)) == 3
    assert (out / "contact.html").read_text().count("<img") == 4


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("sound.mp4", "is not a video"),
        ("bad.png", "is damaged: its bytes are not those of a jpg or png file."),
    ],
)
def test_a_query_that_cannot_be_read_is_named_with_the_cause(extracted, tmp_path, name, cause):
    query = tmp_path / name
    query.write_bytes(b"nothing to see at all")
    done = videossl("search", "--embeddings", extracted[0], "--query", query)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{query} cannot be searched for: {cause}" in done.stderr


def test_the_model_is_found_from_another_folder_and_asked_for_where_it_has_gone(
    small_run, small_world, tmp_path, monkeypatch
):
    shutil.copytree(small_run, tmp_path / "runs" / "own")
    (tmp_path / "v").mkdir()
    shutil.copy(small_world / "videos/000001.mp4", tmp_path / "v")
    monkeypatch.chdir(tmp_path)
    extract_run("runs/own", videos="v", out=tmp_path / "e")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "e/_videos.index").unlink()
    said = search(tmp_path / "e", query=tmp_path / "v/000001.mp4", number=1, out=tmp_path / "found")
    assert "no pictures" not in said
    (tmp_path / "runs/own").rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=f"its model is {tmp_path}/runs/own, .*Give --run"):
        search(tmp_path / "e", query=tmp_path / "v/000001.mp4")


def test_what_is_lost_of_a_damaged_query_is_said(extracted):
    said = search(extracted[0], query=REPOSITORY / "tests/data/awkward/corrupt_middle.mp4", number=1)
    assert "the query was not read whole: damaged at" in said
    assert "clips are lost" in said


def test_a_row_of_the_table_needs_neither_model_nor_videos(extracted, tmp_path):
    embeddings = shutil.copytree(extracted[0], tmp_path / "e")
    (embeddings / "_videos.index").unlink()
    shard = embeddings / "part-00000.parquet"
    table = pq.read_table(shard)
    about = json.loads(table.schema.metadata[b"videossl"]) | {"videos": "gone", "run": "gone"}
    pq.write_table(table.replace_schema_metadata({b"videossl": json.dumps(about)}), shard)
    out = tmp_path / "found"
    said = search(embeddings, query_video="000005.mp4", query_frame=6, number=4, out=out)
    assert "nearest to 000005.mp4 at 0.50 s" in said
    assert "so no pictures are shown" in said
    assert "Give --videos" in said
    page = (out / "contact.html").read_text()
    assert page.count("<img") == 0
    assert page.count("video not found") == 5
    assert ("000005.mp4", "4") not in [(hit["video"], hit["frame"]) for hit in hits(out)]
    said = search(embeddings, query_video="000005.mp4", number=4, out=out, overwrite=True, videos=str(extracted[1]))
    assert (out / "contact.html").read_text().count("<img") == 5


def test_an_index_of_lancedb_gives_the_same(extracted, tmp_path):
    embeddings = shutil.copytree(extracted[0], tmp_path / "e")
    exact, indexed = (
        search(embeddings, query_video="000005.mp4", number=5, index=index) for index in ("exact", "lancedb")
    )
    assert indexed.splitlines()[:7] == exact.splitlines()[:7]
    assert f"made an index of {EmbeddingTable(embeddings).num_rows} rows" in indexed


def test_another_model_is_refused(extracted, small_twin):
    embeddings, videos = extracted
    done = videossl("search", "--embeddings", embeddings, "--query", videos / "000000.mp4", "--run", small_twin)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is not the model that made" in done.stderr


def test_the_model_is_known_by_its_tensors_when_it_was_saved_again(extracted, small_run, tmp_path):
    embeddings, videos = extracted
    load(small_run).save_pretrained(tmp_path / "m")
    saved, first = tmp_path / "m/model.safetensors", small_run / "weights.safetensors"
    assert saved.read_bytes() != first.read_bytes()
    said = search(embeddings, query=videos / "000007.mp4", number=1, run=str(tmp_path / "m"))
    assert "000007.mp4" in said.splitlines()[2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "either --query"),
        ({"query": "a.mp4", "query_video": "b"}, "either --query"),
        ({"query": "a.mp4"}, "no such query"),
        ({"query": "."}, "is a folder"),
        ({"query_video": "b"}, "has no video b"),
        ({"query_video": "000001.mp4", "query_frame": -1}, "no row at frame -1"),
        ({"query_video": "000001.mp4", "seconds": 1.0}, "--seconds belongs to --query"),
        ({"query_video": "000001.mp4", "number": 0}, "--number >= 1"),
    ],
)
def test_queries_that_cannot_work_are_refused(extracted, tmp_path, options, says):
    if "query" in options:
        options = options | {"query": tmp_path / options["query"]}
    with pytest.raises(UsageError, match=says):
        search(extracted[0], **options)


def test_a_table_that_does_not_say_its_model_is_searched_by_its_rows_only(extracted, tmp_path):
    embeddings, videos = extracted
    table = pq.read_table(embeddings / "part-00000.parquet").replace_schema_metadata(None)
    (tmp_path / "e").mkdir()
    pq.write_table(table, tmp_path / "e" / "rows.parquet")
    with pytest.raises(UsageError, match="does not say which model made it"):
        search(tmp_path / "e", query=videos / "000000.mp4")
    assert "000000.mp4" in search(tmp_path / "e", query_video="000000.mp4", number=3)
