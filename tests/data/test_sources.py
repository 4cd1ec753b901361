"""Folders, files and lists of videos; wrong ones get one clear line."""

from pathlib import Path

import pytest

from videossl.data import find_videos
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


def test_links_to_folders_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "real/1.mp4", "set/2.mp4")
    (tmp_path / "set" / "more").symlink_to(tmp_path / "real")
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set")
    assert [source.name for source in find_videos(tmp_path / "set")] == ["2.mp4", "more/1.mp4"]


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


def said(videos: Path) -> str:
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
    listed.write_text("a.mp4 run\nb c.mp4 run\n")
    assert f"line 2 of {listed} names a file that does not exist" in said(listed)
    listed.write_text("# nothing\n")
    assert "names no video" in said(listed)
    listed.write_text("a.mp4\na.mp4 run\n")
    assert "names a.mp4 2 times" in said(listed)
    listed.write_bytes(bytes(range(128, 256)))
    assert "neither a video" in said(listed)
