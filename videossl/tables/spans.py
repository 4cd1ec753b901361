"""Which frames of its video stand behind a row of a table."""

import numpy as np
from numpy.typing import NDArray

from videossl.tables.table import EmbeddingTable, Rows


def last_frames(table: EmbeddingTable, rows: Rows) -> NDArray[np.int64]:
    """(n,) number of the last frame that each row has seen as its own: of its clip, its tubelet, or its video.

    The table says how many frames are in a clip or tubelet, and their stride. Where it gives a rate instead of a
    stride, or says nothing, a row ends where the next one of its video begins, and the last one is as long as those
    before it. Frames after the end of a video, by which it was filled up, are counted too.

    Args:
        table: That the rows are of.
        rows: Ordered by video and frame.
    """
    frames = rows.columns["frame"].to_numpy(np.int64)
    if table.level == "video":
        return np.full(len(frames), np.iinfo(np.int64).max)
    about = table.about
    length = about.get("clip_frames", about.get("num_frames")) if table.level == "clip" else about.get("tubelet_frames")
    stride = about.get("frame_stride")
    if isinstance(length, int) and isinstance(stride, int):
        return frames + (length - 1) * stride
    last = frames.copy()
    for _, of_video in rows.videos():
        distinct, place = np.unique(frames[of_video], return_inverse=True)
        if len(distinct) > 1:
            steps = np.diff(distinct)
            ends = np.append(distinct[1:], distinct[-1] + int(np.median(steps))) - 1
            last[of_video] = ends[place]
    return last
