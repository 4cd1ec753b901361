"""Which frames of its video stand behind a row of a table, and when they end."""

import numpy as np
from numpy.typing import NDArray

from videossl.tables.table import REPEATED, EmbeddingTable, Rows
from videossl.tables.times import GAP_STEPS, step_seconds


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
    length, stride = _length(table), table.about.get("frame_stride")
    if length is not None and isinstance(stride, int):
        return frames + (length - 1) * stride
    last = frames.copy()
    for _, of_video in rows.videos():
        distinct, place = np.unique(frames[of_video], return_inverse=True)
        if len(distinct) > 1:
            steps = np.diff(distinct)
            ends = np.append(distinct[1:], distinct[-1] + int(np.median(steps))) - 1
            last[of_video] = ends[place]
    return last


def end_seconds(table: EmbeddingTable, rows: Rows) -> NDArray[np.float64]:
    """(n,) second of its video at which each row ends; NaN for the only row of a video, of which no table says it.

    A row ends where the next one of its video begins, or, where rows are missing or it is a clip, after its own frames.
    The last row ends with its last frame that fills nothing up (`repeated_frames`). A frame is as long as it usually is
    in its video. Where the table does not say how many frames are behind a row, the last is as long as those before it.

    Args:
        table: That the rows are of.
        rows: One for each time of a video, ordered by video and time.
    """
    frames = rows.columns["frame"].to_numpy(np.int64)
    seconds = rows.columns["seconds"].to_numpy(np.float64)
    repeated = np.zeros(len(rows), np.int64)
    if REPEATED in rows.columns:
        repeated = rows.columns[REPEATED].fillna(0).to_numpy(np.int64)
    length, stride, rate = _length(table), table.about.get("frame_stride"), table.about.get("target_fps")
    ends = np.full(len(rows), np.nan)
    for _, of_video in rows.videos():
        starts = seconds[of_video]
        usual = step_seconds(starts)
        if usual <= 0:
            continue
        found = np.append(starts[1:], starts[-1] + usual)
        moved = np.diff(frames[of_video])
        missing = moved > length * stride if length and stride else np.diff(starts) > GAP_STEPS * usual
        found[:-1][missing] = (starts[:-1] + usual)[missing]
        if length is not None and (stride or rate) and (moved > 0).all():
            frame_seconds = float(np.median(np.diff(starts) / moved))
            apart = 1.0 / rate if rate else (stride or 1) * frame_seconds  # from a sampled frame to the next
            real = max(1, length - int(repeated[of_video[-1]]))
            found[-1] = starts[-1] + (real - 1) * apart + min(frame_seconds, apart)
            if table.level == "clip":  # clips overlap, or leave frames out
                found[:-1] = np.minimum(starts[:-1] + length * apart, found[-1])
        ends[of_video] = found
    return ends


def _length(table: EmbeddingTable) -> int | None:
    """Sampled frames behind a row; None where the table does not say."""
    about = table.about
    length = about.get("clip_frames", about.get("num_frames")) if table.level == "clip" else about.get("tubelet_frames")
    return length if isinstance(length, int) else None
