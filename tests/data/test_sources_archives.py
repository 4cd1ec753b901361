"""WebDataset tar shards: videos in the archive, found by their place in it."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from coded_videos import codes_of, write_coded

from videossl.data import PyAVReader, find_videos
from videossl.data.decode.opening import open_video
from videossl.data.sources.patterns import braces_expanded
from videossl.errors import UsageError


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("videos")
    return [
        write_coded(folder / f"{number}.mp4", range(100 * number, 100 * number + 9)).read_bytes() for number in range(6)
    ]


@pytest.fixture
def shards(tmp_path: Path, videos: list[bytes]) -> Path:
    long_name = "very/long/" + 120 * "n" + "/ü.mp4"
    write_tar(
        tmp_path / "s" / "train-000.tar",
        {
            "0001.cls": b"7",
            "0001.mp4": videos[0],
            "0001.json": json.dumps({"label": "unused"}).encode(),
            "./sub/0002.mp4": videos[1],
            "./sub/0002.json": json.dumps({"fps": 5, "label": 12}).encode(),
            "0003.left.mp4": videos[2],
            "0003.txt": b"a dog runs\n",
            "._0003.mp4": b"what macOS leaves behind",
            long_name: videos[3],
        },
    )
    write_tar(tmp_path / "s" / "train-001.tar", {"0001.mp4": videos[4]})
    return tmp_path / "s"


def codes(source: object) -> list[int]:
    with open_video(source.media, PyAVReader) as reader:  # type: ignore[attr-defined]
        return codes_of(reader.read(range(reader.num_frames), size=None))


def test_members_are_videos_with_the_labels_that_lie_beside_them(shards: Path) -> None:
    found = find_videos(shards)
    assert [(source.name, source.label) for source in found] == [
        ("train-000.tar/0001.mp4", "7"),
        ("train-000.tar/sub/0002.mp4", "12"),
        ("train-000.tar/0003.left.mp4", "a dog runs"),
        ("train-000.tar/very/long/" + 120 * "n" + "/ü.mp4", None),
        ("train-001.tar/0001.mp4", None),
    ]
    assert [codes(source)[0] for source in found] == [0, 100, 200, 300, 400]
    assert codes(found[1]) == list(range(100, 109))
    assert {source.path for source in found} == {shards / "train-000.tar", shards / "train-001.tar"}


def test_one_shard_and_patterns_of_shards_are_found(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = find_videos(shards)
    for pattern in ("train-{000..001}.tar", "train-00{0,1}.tar", "train-*.tar", "train-00[01].tar", "{train-*}.tar"):
        assert find_videos(str(shards / pattern)) == whole, pattern
    assert find_videos(shards / "train-001.tar") == whole[4:]
    monkeypatch.chdir(shards)
    assert find_videos("train-{000..001}.tar") == whole
    assert braces_expanded("a{8..10}b{x,y}") == ["a8bx", "a8by", "a9bx", "a9by", "a10bx", "a10by"]
    for pattern, cause in (
        ("train-{000..003}.tar", "2 of the 4 shards of train-{000..003}.tar do not exist"),
        ("x-*.tar", "stands for 0 paths"),
        ("*.mp4", "Patterns are for shards"),
        ("train-{5..2}.tar", "the range {5..2} in train-{5..2}.tar is empty"),
    ):
        with pytest.raises(UsageError) as caught:
            find_videos(pattern)
        assert cause in str(caught.value)


def test_shards_that_cannot_be_read_are_listed_with_their_cause(shards: Path, videos: list[bytes]) -> None:
    whole = (shards / "train-000.tar").read_bytes()
    (shards / "train-002.tar").write_bytes(whole[: 512 * 3 + len(videos[0]) + 700])
    (shards / "train-003.tar").write_text("no archive" * 100)
    write_tar(shards / "train-004.tar.gz", {"1.mp4": videos[0]}, "w:gz")
    write_tar(shards / "train-005.tar", {"1.mp4": videos[0]}, "w:xz")
    write_tar(shards / "train-006.tar", {})
    os.mkfifo(shards / "train-007.tar")
    found = find_videos(shards)
    errors = {source.name: source.error for source in found if source.error is not None}
    assert len(found) - len(errors) == 6  # of the shard that was cut off, the first is whole
    assert "cannot be read to its end as a tar archive" in str(errors["train-002.tar"])
    assert "as a tar archive" in str(errors["train-003.tar"])
    assert "is compressed (gzip): its members cannot be read at random. Unpack it" in str(errors["train-004.tar.gz"])
    assert "is compressed (xz)" in str(errors["train-005.tar"])
    assert "holds no video" in str(errors["train-006.tar"])
    assert errors["train-007.tar"] == "is a fifo (named pipe), not a file."
    with pytest.raises(UsageError, match=r"none of the 1 videos .* is compressed \(gzip\)"):
        find_videos(shards / "train-004.tar.gz")


def test_members_that_are_no_plain_files_are_listed_and_not_followed(tmp_path: Path, videos: list[bytes]) -> None:
    path = tmp_path / "a.tar"
    write_tar(path, {"1.mp4": videos[0], "2.mp4": b""})
    with tarfile.open(path, "a") as archive:
        for name, kind in (("3.mp4", tarfile.SYMTYPE), ("4.mp4", tarfile.FIFOTYPE), ("5.mp4", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    found = find_videos(path)
    assert [(source.name, source.error is None) for source in found] == [
        (f"a.tar/{number}.mp4", number == 1) for number in range(1, 6)
    ]
    assert "is empty" in str(found[1].error)
    assert "a link, a device or a sparse file" in str(found[2].error)
    write_tar(path, {"notes.txt": b"x"})
    with pytest.raises(UsageError, match="holds no video: no member of"):
        find_videos(path)
