"""LeRobot data sets of version 3: episodes and cameras as stretches of files, to the frame."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from coded_videos import codes_of, write_coded

from videossl.data import PyAVReader, find_videos
from videossl.data.decode.opening import open_video
from videossl.data.sources import VideoSet
from videossl.errors import UsageError

TOP, WRIST, DEPTH = "observation.images.top", "observation.images.wrist", "observation.images.depth"
LENGTHS = [7, 1, 12, 30, 5]
FILE_OF = [0, 0, 0, 1, 1]  # episodes 0 to 2 lie in the first file of each camera
RATE = 30


def write_dataset(root: Path, *, version: str = "v3.0", **info: Any) -> Path:
    """Frame i of episode e carries 100 e + i with the camera on top, and 512 more with the one at the wrist."""
    rows = []
    for file in (0, 1):
        episodes = [episode for episode in range(5) if FILE_OF[episode] == file]
        for camera, offset in ((TOP, 0), (WRIST, 512)):
            codes = [100 * episode + number + offset for episode in episodes for number in range(LENGTHS[episode])]
            write_coded(root / f"videos/{camera}/chunk-000/file-{file:03d}.mp4", codes, rate=RATE, gop=2)
    for file in (0, 1):
        at = 0.0
        for episode in (episode for episode in range(5) if FILE_OF[episode] == file):
            end = at + LENGTHS[episode] / RATE  # sums, as LeRobot makes them
            row: dict[str, Any] = {"episode_index": episode, "length": LENGTHS[episode]}
            row["tasks"] = [["pick"], ["place"], ["pick", "place"], ["pick"], []][episode]
            for camera in (TOP, WRIST, DEPTH):
                row |= {f"videos/{camera}/chunk_index": 0, f"videos/{camera}/file_index": file}
                row |= {f"videos/{camera}/from_timestamp": at, f"videos/{camera}/to_timestamp": end}
            rows.append(row | {"stats/action/mean": [0.0, 1.0]})
            at = end
    for number, part in enumerate((rows[3:], rows[:3])):
        path = root / f"meta/episodes/chunk-000/file-{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(part).to_parquet(path)
    features = {key: {"dtype": "video", "shape": [16, 160, 3]} for key in (TOP, WRIST)}
    features[DEPTH] = {"dtype": "video", "info": {"video.is_depth_map": True}}  # type: ignore[dict-item]
    features["action"] = {"dtype": "float32", "shape": [2]}
    video_path = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    content = {"codebase_version": version, "fps": RATE, "features": features, "video_path": video_path}
    (root / "meta" / "info.json").write_text(json.dumps(content | info))
    return root


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "robot")


def test_each_episode_of_each_camera_is_exactly_its_frames(dataset: Path) -> None:
    found = find_videos(dataset)
    assert len(found) == 10
    assert [source.error for source in found] == 10 * [None]
    assert [source.name for source in found[:3]] == [
        f"episode_000000/{TOP}",
        f"episode_000000/{WRIST}",
        f"episode_000001/{TOP}",
    ]
    assert [source.group for source in found[:3]] == ["episode_000000", "episode_000000", "episode_000001"]
    assert [source.label for source in found[::2]] == ["pick", "place", "pick; place", "pick", None]
    assert [source.num_frames for source in found[::2]] == LENGTHS
    for number, source in enumerate(found):
        episode, offset = number // 2, 512 * (number % 2)
        with open_video(source.media, PyAVReader) as reader:
            assert reader.num_frames == LENGTHS[episode]
            codes = codes_of(reader.read(range(reader.num_frames), size=None))
        assert codes == [100 * episode + frame + offset for frame in range(LENGTHS[episode])]


def test_cameras_can_be_chosen_and_depth_maps_must_be(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = find_videos(VideoSet(str(dataset), cameras=[WRIST]))
    assert [source.name for source in found] == [f"episode_{episode:06d}/{WRIST}" for episode in range(5)]
    assert caplog.text == ""
    find_videos(dataset)
    assert "depth maps are left out" in caplog.text
    depth = find_videos(VideoSet(str(dataset), cameras=[TOP, DEPTH]))[1]
    assert depth.error == "there is no such file in the data set."
    with pytest.raises(UsageError, match=f"has no camera left; it has {TOP}, {WRIST}"):
        find_videos(VideoSet(str(dataset), cameras=["left"]))


def test_files_that_are_missing_or_lead_out_of_the_data_set_are_listed(dataset: Path, tmp_path: Path) -> None:
    first = dataset / f"videos/{TOP}/chunk-000/file-000.mp4"
    first.rename(tmp_path / "outside.mp4")
    errors = [source.error for source in find_videos(dataset)]
    assert errors[:6:2] == 3 * ["there is no such file in the data set."]
    assert errors[1::2] == 5 * [None]
    first.symlink_to(tmp_path / "outside.mp4")
    assert "link to a file outside of" in str(find_videos(dataset)[0].error)
    first.unlink()
    os.mkfifo(first)
    assert "is a fifo" in str(find_videos(dataset)[0].error)


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"version": "v2.1"}, "of version v2.1; version 3 is read"),
        ({"features": {"image": {"dtype": "image"}}}, "has no videos: its pictures lie in Parquet files"),
        ({"video_path": "../{video_key}/{chunk_index}/{file_index}.mp4"}, "leads out of the data set"),
        ({"video_path": "videos/{episode_chunk}.mp4"}, "cannot be filled in"),
    ],
)
def test_data_sets_that_cannot_be_read_are_refused_in_one_line(
    tmp_path: Path, changed: dict[str, Any], cause: str
) -> None:
    write_dataset(tmp_path, **changed)
    with pytest.raises(UsageError) as caught:
        find_videos(tmp_path)
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_with_another_info_file_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    with pytest.raises(UsageError, match="is not that of a LeRobot data set"):
        find_videos(tmp_path)
