"""Names of videos relative to different folders."""

from pathlib import Path

from videossl.path_ends import rows_by_path_end

KNOWN = ["videos/0.mp4", "videos/1.mp4", "a/x.mp4", "b/x.mp4"]


def test_a_longer_path_is_found_by_the_known_one_in_which_it_ends():
    assert rows_by_path_end(KNOWN, [Path("/data/world/videos/1.mp4"), "a/x.mp4"]) == [1, 2]


def test_a_shorter_path_is_found_if_one_known_one_ends_in_it():
    assert rows_by_path_end(KNOWN, ["0.mp4", "x.mp4"]) == [0, None]


def test_other_folders_are_other_videos():
    assert rows_by_path_end(KNOWN, ["other/0.mp4", "2.mp4"]) == [None, None]
