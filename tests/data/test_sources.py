"""Folders, files and lists of videos; wrong ones get one clear line."""

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from videossl.data import PyAVReader, VideoError, find_videos
from videossl.data.decode.opening import open_video
from videossl.data.media import Media
from videossl.data.sources import Columns, VideoSet
from videossl.errors import UsageError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_folder_tree_is_searched_whatever_the_case_of_suffixes(tmp_path: Path) -> None:
    touch(tmp_path, "b.MP4", "a/ü b.webm", "a/c/d.Avi", "a/notes.txt", ".hidden.mp4", ".trash/x.mp4", "a/._e.mov")
    assert [source.name for source in find_videos(tmp_path)] == ["a/c/d.Avi", "a/ü b.webm", "b.MP4"]
    assert all(source.path.is_absolute() and source.path.is_file() for source in find_videos(tmp_path))


def test_folders_are_labels_if_there_are_several(tmp_path: Path) -> None:
    touch(tmp_path, "train/run/1.mp4", "train/jump/2.mp4", "val/run/3.mp4", "4.mp4")
    labels = {source.name: source.label for source in find_videos(tmp_path)}
    assert labels == {"train/run/1.mp4": "run", "train/jump/2.mp4": "jump", "val/run/3.mp4": "run", "4.mp4": None}


def test_a_single_folder_is_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "videos/1.mp4", "videos/2.mp4", "truth.parquet")
    assert [source.label for source in find_videos(tmp_path)] == [None, None]
    assert [source.label for source in find_videos(tmp_path / "videos")] == [None, None]


def test_links_are_followed_in_the_folder_and_refused_where_they_lead_out_of_it(tmp_path: Path) -> None:
    touch(tmp_path, "real/1.mp4", "set/2.mp4", "set/sub/3.mp4", "set/z/4.mp4")
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "more").symlink_to(tmp_path / "real")
    (tmp_path / "set" / "link.mp4").symlink_to(tmp_path / "real" / "1.mp4")
    (tmp_path / "set" / "inside.mp4").symlink_to("sub/3.mp4")
    (tmp_path / "set" / "lost.mp4").symlink_to(tmp_path / "set" / "nothing")
    (tmp_path / "set" / "y").symlink_to("z")
    found = {source.name: source.error or "" for source in find_videos(tmp_path / "set")}
    assert [name for name, error in found.items() if not error] == ["2.mp4", "inside.mp4", "sub/3.mp4", "y/4.mp4"]
    assert "a link to a folder outside of" in found["more"]
    assert "a link to a file outside of" in found["link.mp4"]
    assert "link to nothing" in found["lost.mp4"]
    (tmp_path / "root").symlink_to(tmp_path / "set" / "z")
    assert [source.name for source in find_videos(tmp_path / "root")] == ["4.mp4"]


def test_the_links_of_the_hugging_face_cache_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "blobs/abc", "other/def.mp4")
    snapshot = tmp_path / "snapshots" / "123"
    snapshot.mkdir(parents=True)
    (snapshot / "a.mp4").symlink_to("../../blobs/abc")
    (snapshot / "b.mp4").symlink_to("../../other/def.mp4")
    assert [(source.name, source.error is None) for source in find_videos(snapshot)] == [
        ("a.mp4", True),
        ("b.mp4", False),
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs fifos")
def test_what_is_no_file_is_listed_and_never_opened(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    os.mkfifo(tmp_path / "b.mp4")
    os.mkfifo(tmp_path / "list.txt")
    (tmp_path / "d.mp4").mkdir()
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.path.relpath(tmp_path / "c.mp4"))  # whole paths of sockets are short
        found = {source.name: source.error for source in find_videos(tmp_path)}
    assert found == {"a.mp4": None, "b.mp4": "is a fifo (named pipe), not a file.", "c.mp4": "is a socket, not a file."}
    assert "is a fifo" in said(tmp_path / "b.mp4")
    assert "is a fifo" in said(tmp_path / "list.txt")
    with pytest.raises(VideoError, match="is a fifo"):
        open_video(Media(str(tmp_path / "b.mp4")), PyAVReader)
    (tmp_path / "a.mp4").unlink()
    assert "none of the 2 videos of" in said(tmp_path)
    with pytest.raises(VideoError, match="is a device"):
        open_video(Media("/dev/null"), PyAVReader)


def test_links_in_a_circle_and_names_that_are_not_utf8_are_found_with_their_cause(tmp_path: Path) -> None:
    (tmp_path / "0.mp4").write_bytes(b"")
    (tmp_path / "a.mp4").symlink_to("b.mp4")
    (tmp_path / "b.mp4").symlink_to("a.mp4")
    (tmp_path / os.fsdecode(b"z\xff.mp4")).write_bytes(b"")
    found = {source.name: source.error for source in find_videos(tmp_path)}
    assert found == {
        "0.mp4": None,
        "a.mp4": "is a link that leads back to itself.",
        "b.mp4": "is a link that leads back to itself.",
        "z\\udcff.mp4": "has a name that is not UTF-8. Rename it.",
    }


def test_folders_that_cannot_be_listed_are_found_with_their_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("closed", "open"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.mp4").write_bytes(b"")
    scandir = os.scandir

    def without_right(path: Path) -> Any:  # rights do not hold root back, and tests may be run by root
        if path.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", without_right)
    found = [(source.name, source.error) for source in find_videos(tmp_path)]
    assert found == [("closed", "is a folder that cannot be listed: Permission denied."), ("open/0.mp4", None)]
    with pytest.raises(UsageError, match="cannot be listed: Permission denied"):
        find_videos(tmp_path / "closed")


def test_a_single_file_is_one_video(tmp_path: Path) -> None:
    touch(tmp_path, "a b.mkv")
    (source,) = find_videos(tmp_path / "a b.mkv")
    assert (source.name, source.label, source.path) == ("a b.mkv", None, tmp_path / "a b.mkv")


def test_a_list_has_paths_with_spaces_and_labels(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a b.mp4", "sub/c.mp4", "sub/d e.mp4", "f.mp4")
    outside = tmp_path.parent / "outside.mp4"
    outside.touch()
    listed = tmp_path / "list.txt"
    listed.write_text(
        f"# a comment\n\nsub/a b.mp4\nsub/c.mp4 run\nsub/d e.mp4\tlong jump\n  f.mp4  \n{outside} run\n",
        encoding="utf-8",
    )
    assert [(source.name, source.label) for source in find_videos(listed)] == [
        ("sub/a b.mp4", None),
        ("sub/c.mp4", "run"),
        ("sub/d e.mp4", "long jump"),
        ("f.mp4", None),
        (outside.as_posix(), "run"),
    ]


def rows(listed: Path, text: str) -> list[tuple[str, str | None]]:
    listed.write_text(text)
    return [(source.name, source.label) for source in find_videos(listed)]


def test_a_list_is_separated_by_spaces_commas_or_tabs_with_a_header_or_without(tmp_path: Path) -> None:
    touch(tmp_path, "a b.mp4", "c.mp4", "d,e.mp4", 'f "g".mp4')
    listed = tmp_path / "list.txt"
    wanted: list[tuple[str, str | None]] = [("a b.mp4", "run"), ("c.mp4", "12")]
    for text in (
        "a b.mp4 run\nc.mp4 12\n",
        "path label\na b.mp4 run\nc.mp4   12\n",
        "\ufeffVideo,Label\r\na b.mp4,run\r\nc.mp4, 12\r\n",
        '"a b.mp4","run"\n"c.mp4", 12\n',
        '"a b.mp4" run\nc.mp4 12\n',
        "filename\tclass\na b.mp4\trun\nc.mp4\t12\n",
    ):
        assert rows(listed, text) == wanted, text
    assert rows(listed, 'c.mp4,long jump\nd,e.mp4,run\n"f ""g"".mp4",x\n') == [
        ("c.mp4", "long jump"),
        ("d,e.mp4", "run"),
        ('f "g".mp4', "x"),
    ]
    assert rows(listed, "c.mp4\nd,e.mp4\n") == [("c.mp4", None), ("d,e.mp4", None)]


def test_missing_files_of_a_list_are_found_with_their_cause(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    listed = tmp_path / "list.csv"
    listed.write_text("a.mp4,run\nb c.mp4,jump\n")
    one, other = find_videos(listed)
    assert (one.error, one.weight) == (None, 1.0)
    assert (other.name, other.label, other.error, other.weight) == (
        "b c.mp4",
        "jump",
        "cannot be opened: No such file or directory.",
        0.0,
    )


def test_the_three_columns_of_videomae_are_read_as_it_means_them(tmp_path: Path) -> None:
    touch(tmp_path, "a b.mp4", *(f"one/img_{n:05}.jpg" for n in range(1, 7)), *(f"two/{n}.jpg" for n in range(8, 12)))
    listed = tmp_path / "list.txt"
    assert rows(listed, "a b.mp4 0 -1\n") == [("a b.mp4", None)]
    assert rows(listed, "a b.mp4,0,-1\n") == [("a b.mp4", None)]

    def media(text: str) -> list[tuple[str | None, int | None, float | None, float | None]]:
        listed.write_text(text)
        return [
            (source.label, source.num_frames, source.media.start_seconds, source.media.end_seconds)
            for source in find_videos(listed)
        ]

    assert media("one 6 3\ntwo 4 1\n") == [("3", 6, None, None), ("1", 4, None, None)]
    assert media("one 1 6\ntwo 8 4\n") == [(None, 6, None, None), (None, 4, None, None)]
    assert media("one 3 2\ntwo 8 4\n") == [(None, 2, 2 / 25, 4 / 25), (None, 4, None, None)]
    assert [source.group for source in find_videos(listed)] == ["one", "two"]
    listed.write_text("one 6 3\ntwo 5 1\n")
    assert "line 1" in said(listed)
    assert "neither `folder start total` nor" in said(listed)
    listed.write_text("one 1 0\n")
    assert "says 1 0" in said(listed)
    listed.write_text("a b.mp4 0 300\n")
    assert "two numbers behind a video: 0 300" in said(listed)
    listed.write_text("a b.mp4 long jump\n")
    assert "Put a tab or a comma before a label" in said(listed)


def test_folders_of_pictures_are_videos_where_there_are_no_video_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "run/a/1.jpg", "run/a/2.JPG", "run/a/notes.txt", "jump/b/1.png", "jump/c/1.jpeg", "jump/.d/1.jpg")
    found = find_videos(tmp_path)
    assert [(source.name, source.label) for source in found] == [
        ("jump/b", "jump"),
        ("jump/c", "jump"),
        ("run/a", "run"),
    ]
    assert found[2].media == Media(str(tmp_path / "run" / "a"), frames_per_second=25)
    assert "taken to have 25" in caplog.text
    caplog.clear()
    (one,) = find_videos(VideoSet(str(tmp_path / "run" / "a"), frames_per_second=12))
    assert (one.name, one.media.frames_per_second, caplog.text) == ("a", 12, "")
    (tmp_path / "run" / "a" / "3.jpg").symlink_to("/etc/hostname")
    errors = [source.error for source in find_videos(tmp_path)]
    assert errors[:2] == [None, None]
    assert errors[2] is not None
    assert errors[2].startswith("holds 3.jpg, which is a link to a file outside of")
    touch(tmp_path, "run/film.mp4")
    assert [source.name for source in find_videos(tmp_path)] == ["run/film.mp4"]


def said(videos: Path | VideoSet) -> str:
    with pytest.raises(UsageError) as caught:
        find_videos(videos)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wrong_folders_are_told_apart_in_one_line(tmp_path: Path) -> None:
    assert "no such folder or file" in said(tmp_path / "nothing")
    assert "is empty" in said(tmp_path)
    touch(tmp_path, "a.txt", "b.txt", "c.csv", "d")
    message = said(tmp_path)
    assert "no video in the folder" in message
    assert "2 x .txt, 1 x .csv, 1 x no suffix" in message
    assert "mp4" in message


def test_wrong_lists_are_told_apart_in_one_line(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    touch(tmp_path, "a.mp4")
    listed.write_text("a.mp4 run\nb c run\n")
    assert f"line 2 of the list {listed} names no video that exists: b c run" in said(listed)
    listed.write_text("b.mp4 run\nb c.mp4 run\n")
    assert "none of the 2 videos of" in said(listed)
    assert "No such file" in said(listed)
    listed.write_text("# nothing\n")
    assert "names no video" in said(listed)
    listed.write_text("a.mp4\na.mp4 run\n")
    assert "names a.mp4 2 times" in said(listed)
    listed.write_bytes(bytes(range(128, 256)))
    assert "neither a video" in said(listed)


def test_an_option_of_another_form_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    assert "frames_per_second belongs to frame folders" in said(VideoSet(str(tmp_path), frames_per_second=5))
    assert "cameras belong to a LeRobot" in said(VideoSet(str(tmp_path), cameras=["top"]))
    assert "columns belong to a table" in said(VideoSet(str(tmp_path), columns=Columns(label="verb")))
