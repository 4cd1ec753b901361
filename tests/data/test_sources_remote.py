"""URLs: every form of source behind fsspec's file system in memory, which stands for S3 and the Hub."""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from coded_videos import codes_of, write_coded
from test_sources_archives import write_tar
from test_sources_lerobot import LENGTHS, write_dataset

from videossl.data import DecordReader, PyAVReader, VideoError, find_videos
from videossl.data.decode import av_file
from videossl.data.decode.content import Window
from videossl.data.decode.opening import open_video
from videossl.data.media import Media
from videossl.data.sources import Source
from videossl.errors import UsageError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket() -> Iterator[str]:
    memory = fsspec.filesystem("memory")
    yield "memory://bucket"
    memory.rm("/bucket", recursive=True)


def upload(folder: Path, url: str) -> None:
    memory = fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"{url}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def codes(source: Source) -> list[int]:
    with open_video(source.media, PyAVReader) as reader:
        return codes_of(reader.read(range(reader.num_frames), size=None))


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_folder_behind_a_url_is_a_folder_of_videos(
    tmp_path: Path, bucket: str, in_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.setattr(av_file, "IN_MEMORY_BYTES", 0)
    write_coded(tmp_path / "run" / "a b.mp4", range(20))
    write_coded(tmp_path / "jump" / "c.mp4", range(50, 70))
    write_coded(tmp_path / ".hidden" / "d.mp4", range(3))
    upload(tmp_path, f"{bucket}/set")
    found = find_videos(f"{bucket}/set/")
    assert [(source.name, source.label) for source in found] == [("jump/c.mp4", "jump"), ("run/a b.mp4", "run")]
    assert found[0].media == Media("memory://bucket/set/jump/c.mp4")
    assert [codes(source) for source in found] == [list(range(50, 70)), list(range(20))]
    (one,) = find_videos(f"{bucket}/set/jump/c.mp4")
    assert (one.name, codes(one)[0]) == ("c.mp4", 50)
    with open_video(one.media, PyAVReader) as reader:
        assert codes_of(reader.read([17, 3], size=None)) == [67, 53]
    with pytest.raises(VideoError, match="decord reads whole files on this machine only"):
        open_video(one.media, DecordReader)


def test_lists_tables_shards_and_robots_are_read_behind_urls_too(tmp_path: Path, bucket: str) -> None:
    video = write_coded(tmp_path / "set" / "a b.mp4", range(30)).read_bytes()
    (tmp_path / "set" / "list.txt").write_text("a b.mp4 run\n")
    pd.DataFrame({"path": ["a b.mp4"], "start_seconds": [1.0], "end_seconds": [1.2]}).to_parquet(
        tmp_path / "set" / "t.parquet"
    )
    write_tar(tmp_path / "shards" / "s-0.tar", {"1.mp4": video, "1.cls": b"3", "2.mp4": video})
    write_dataset(tmp_path / "robot")
    upload(tmp_path, bucket)
    (listed,) = find_videos(f"{bucket}/set/list.txt")
    assert (listed.name, listed.label, codes(listed)) == ("a b.mp4", "run", list(range(30)))
    (row,) = find_videos(f"{bucket}/set/t.parquet")
    assert codes(row) == [10, 11]
    (tmp_path / "here.txt").write_text(f"{bucket}/set/a b.mp4 far\n")
    (far,) = find_videos(tmp_path / "here.txt")
    assert (far.name, far.label, codes(far)) == (f"{bucket}/set/a b.mp4", "far", list(range(30)))
    for shards in (f"{bucket}/shards", f"{bucket}/shards/s-{{0..0}}.tar", f"{bucket}/shards/*.tar"):
        found = find_videos(shards)
        assert [(source.name, source.label) for source in found] == [("s-0.tar/1.mp4", "3"), ("s-0.tar/2.mp4", None)]
        assert codes(found[1]) == list(range(30))
    robots = find_videos(f"{bucket}/robot")
    assert [len(codes(source)) for source in robots[::2]] == LENGTHS
    assert codes(robots[4]) == [200 + frame for frame in range(12)]


def test_a_table_that_lies_in_no_folder_of_its_store_is_read() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/table.csv", b"path,label\nclips/0.mp4,a\n")
    try:
        (found,) = find_videos("memory://table.csv")
    finally:
        memory.rm("/table.csv")
    assert (found.media.path, found.label) == ("memory:///clips/0.mp4", "a")


def test_what_is_not_there_is_said_in_one_line(tmp_path: Path, bucket: str) -> None:
    upload_to = fsspec.filesystem("memory")
    upload_to.pipe_file("/bucket/broken.mp4", b"no video")
    upload_to.pipe_file("/bucket/frames/1.jpg", b"")
    for videos, cause in (
        (f"{bucket}/nothing", "no such folder or file of videos"),
        ("nosuchprotocol://a/b", "cannot be read: Protocol not known"),
        (f"{bucket}/frames", "read from this machine only"),
    ):
        with pytest.raises(UsageError) as caught:
            find_videos(videos)
        assert cause in str(caught.value)
        assert "\n" not in str(caught.value)
    for path, cause in (("gone.mp4", "cannot be opened: FileNotFoundError"), ("broken.mp4", "is not a video")):
        with pytest.raises(VideoError, match=cause) as failed:
            open_video(Media(f"{bucket}/{path}"), PyAVReader)
        assert str(failed.value).startswith(f"{bucket}/{path}: ")


def test_only_the_ranges_that_are_read_are_fetched(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tar(
        tmp_path / "a.tar", {"0.mp4": bytes(3_000_000), "1.mp4": write_coded(tmp_path / "1.mp4", range(9)).read_bytes()}
    )
    upload(tmp_path, bucket)
    fetched = 0
    read = Window.read

    def counted(self: Window, num_bytes: int = -1) -> bytes:
        nonlocal fetched
        got = read(self, num_bytes)
        fetched += len(got)
        return got

    monkeypatch.setattr(Window, "read", counted)
    source = find_videos(f"{bucket}/a.tar")[1]
    assert codes(source) == list(range(9))
    assert 0 < fetched < 200_000
    with tarfile.open(path) as archive:
        assert source.media.offset == archive.getmember("1.mp4").offset_data


def test_a_failing_network_is_a_video_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def seek(self, offset: int) -> None:
            raise RuntimeError("connection\nreset")

        def close(self) -> None:
            pass

    window = Window(Broken(), 0, 100)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="RuntimeError: connection reset"):
        window.read(4)


def test_without_fsspec_local_videos_are_found_and_urls_say_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from videossl.data import find_videos\n"
        "from videossl.errors import UsageError\n"
        f"assert len(find_videos({str(tmp_path)!r})) == 1\n"
        "try:\n    find_videos('s3://a/b')\n"
        "except UsageError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "s3://a/b is read with fsspec, which is not installed: pip install fsspec."
