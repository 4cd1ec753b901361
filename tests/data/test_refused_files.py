"""Files that are regular and still not to be read as the video that they are called."""

import os
import shutil
from pathlib import Path

import pytest

from videossl.data import PyAVReader, VideoError


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("ffconcat version 1.0\nfile other.mp4\n", "concat"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n", "hls"),
    ],
)
def test_a_list_of_other_files_that_calls_itself_a_video_is_refused(tmp_path: Path, content: str, kind: str) -> None:
    shutil.copy(Path(__file__).parent / "awkward" / "h264_cfr.mp4", tmp_path / "other.mp4")
    (tmp_path / "list.mp4").write_text(content)
    with pytest.raises(VideoError, match=rf"list.mp4: is (no video but a list of other files \({kind}\)|not a video)"):
        PyAVReader(tmp_path / "list.mp4")


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.mp4"
    shutil.copy(Path(__file__).parent / "awkward" / "h264_cfr.mp4", path)
    monkeypatch.setattr(os, "access", lambda asked, mode: Path(asked) != path or mode != os.R_OK)
    with pytest.raises(VideoError, match="may not be read by this user: permission denied"):
        PyAVReader(path)
