"""Open a video wherever it lies with the reader that was asked for."""

from pathlib import Path

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.frames_folder import FramesFolderReader
from videossl.data.decode.picture_file import PictureFileReader, is_picture
from videossl.data.decode.stretch import StretchReader
from videossl.data.media import Media

STORED_SUFFIX = ".u8"


def open_video(media: Media, reader: type[VideoReader]) -> VideoReader:
    """An open reader of this video; use it as a context manager.

    Folders of frames are read by `FramesFolderReader`, pictures by `PictureFileReader` and stores by `StoreReader`,
    whatever was asked for: they need no decoder of videos. A stretch is read out of the whole that it is part of.
    Everything else goes to `reader`, which may refuse what it cannot open (`DecordReader`: URLs and members of
    archives).

    Raises:
        VideoError: It cannot be read.
    """
    if media.is_stretch:
        whole = open_video(media.whole, reader)
        try:
            return StretchReader(media, whole)
        except BaseException:
            whole.close()
            raise
    if media.is_frame_folder and media.is_url:
        raise VideoError(media, "frame folders are read from this machine only. Copy it.")
    if media.path.endswith(STORED_SUFFIX) and media.num_bytes is not None:
        from videossl.data.stored import StoreReader  # it makes use of this package itself

        return StoreReader(media)
    if is_picture(media):
        return PictureFileReader(media)
    if media.is_frame_folder or (not media.is_url and Path(media.path).is_dir()):
        return FramesFolderReader(media)
    # Whole files by their path: that is all that many readers know.
    return reader(media if media.is_url or not media.is_whole_file else Path(media.path))
