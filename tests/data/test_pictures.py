"""Pictures as videos of one frame."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videossl.data import VideoIndex, VideoSet, find_videos
from videossl.data.decode.base import VideoError
from videossl.data.decode.opening import open_video
from videossl.data.decode.pyav import PyAVReader
from videossl.data.media import Media
from videossl.errors import UsageError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number, name in enumerate(["cats/one.png", "cats/two.JPG", "dogs/one.jpeg"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 32), (50 * number, 100, 200)).save(folder / name)
    (folder / "dogs" / "notes.txt").write_text("not a picture")
    return folder


def test_each_picture_of_a_folder_is_a_video_of_one_frame_when_they_are_images(photos: Path) -> None:
    index = VideoIndex.build({"videos": str(photos), "images": True}, num_workers=0)
    assert [video.name for video in index] == ["cats/one.png", "cats/two.JPG", "dogs/one.jpeg"]
    assert [video.label for video in index] == ["cats", "cats", "dogs"]
    assert {(video.num_frames, video.width, video.height, video.error) for video in index} == {(1, 48, 32, None)}
    assert len(find_videos(str(photos))) == 2  # without images, folders of frames


def test_a_picture_file_is_a_source_of_one_frame(photos: Path) -> None:
    (source,) = find_videos(str(photos / "dogs" / "one.jpeg"))
    with open_video(source.media, PyAVReader) as reader:
        assert reader.seconds.tolist() == [0.0]
        pictures = reader.read([0, 0], size=16)
        assert pictures.shape == (2, 16, 16, 3)
        assert abs(pictures.astype(int) - (100, 100, 200)).max() <= 3
        assert reader.read([0], size=None).shape == (1, 32, 48, 3)
        with pytest.raises(VideoError, match="no frame 1"):
            reader.read([1], size=None)
    with pytest.raises(VideoError, match="was closed"):
        reader.read([0], size=None)


def test_a_list_may_name_pictures(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("photos/cats/one.png a\nphotos/dogs/one.jpeg b\n")
    index = VideoIndex.build(tmp_path / "list.txt", num_workers=0)
    assert [(video.label, video.num_frames) for video in index] == [("a", 1), ("b", 1)]


@pytest.mark.parametrize(("content", "says"), [(b"nothing", "is damaged"), (None, "is a folder|no such file|damaged")])
def test_what_is_no_picture_is_listed_with_its_cause(photos: Path, content: bytes | None, says: str) -> None:
    broken = photos / "cats" / "broken.png"
    broken.write_bytes(content or b"")
    index = VideoIndex.build({"videos": str(photos), "images": True}, num_workers=0)
    (failure,) = index.failures
    assert failure.video == "cats/broken.png"
    with pytest.raises(VideoError, match=says):
        open_video(Media(str(broken)), PyAVReader)


def test_deep_pictures_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(VideoError, match="more than 8 bits"):
        open_video(Media(str(tmp_path / "deep.png")), PyAVReader)


def test_images_of_another_form_of_source_are_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="images belongs to a folder of pictures"):
        find_videos(VideoSet(str(photos / "cats" / "one.png"), images=True))
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="no picture in the folder"):
        find_videos(VideoSet(str(tmp_path / "none"), images=True))
