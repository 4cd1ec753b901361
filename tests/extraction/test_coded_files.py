"""Frame numbers and times of rows, against files whose frames carry their number as a bar code."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from grey_videos import extracted
from torch import Tensor

from videossl.data import VideoIndex
from videossl.data.decode.pyav import PyAVReader
from videossl.extraction import pieces
from videossl.types import Embeddings

AWKWARD = Path(__file__).parents[1] / "data" / "awkward"
MANIFEST = {entry["file"]: entry for entry in json.loads((AWKWARD / "manifest.json").read_text())}
CODED = {name: entry for name, entry in MANIFEST.items() if entry.get("codes") and not entry.get("optional_codec")}


class CodeReader(PyAVReader):
    """Paints pictures of the size that is asked for in the colour of the bar code of the frame."""

    def read(self, frames: Sequence[int], *, size: int | None) -> np.ndarray:
        assert size is not None
        pictures = super().read(frames, size=None)
        turns = -1 if pictures.shape[1] > pictures.shape[2] else 0  # the codes were painted before it was turned
        codes = [_code(np.rot90(picture, turns)) for picture in pictures]
        colours = np.array([(code // 256, code % 256, 0) for code in codes], dtype=np.uint8)
        return np.broadcast_to(colours[:, None, None], (len(frames), size, size, 3))


def _code(picture: np.ndarray) -> int:
    return sum(1 << bit for bit in range(10) if picture[4:12, 16 * bit + 4 : 16 * bit + 12, 1].mean() > 127)


class Encoder:
    tubelet_frames = 2


class Codes:
    """The codes of the frames of each tubelet as its vector."""

    encoder = Encoder()
    pooling = "mean"

    def embed(self, frames: Tensor) -> Embeddings:
        red_green = frames[:, :, :2, 0, 0].float()
        codes = (red_green[..., 0] * 256 + red_green[..., 1]).unflatten(1, (-1, 2))  # (B, T', 2)
        return Embeddings(codes[:, 0], codes[:, 0], codes)


def listed(names: Sequence[str], path: Path) -> Path:
    path.write_text("path\n" + "".join(f"{AWKWARD / name}\n" for name in names))
    return path


def rows_of(tmp_path: Path, names: Sequence[str], **options: object) -> tuple[object, dict[str, pd.DataFrame]]:
    done, table = extracted(
        listed(names, tmp_path / "list.csv"),
        tmp_path / "out",
        Codes(),  # type: ignore[arg-type]
        reader=CodeReader,
        frame_size=8,
        **options,
    )
    return done, {Path(name).name: rows for name, rows in table.groupby("video", sort=False)}


@pytest.mark.parametrize(
    ("options", "piece_bytes"),
    [
        ({"clip_frames": 8}, pieces.PIECE_BYTES),
        ({"clip_frames": 8, "step_frames": 2}, 8 * 8 * 8 * 3 * 3),  # pieces of three windows
        ({"clip_frames": 4, "frame_stride": 3}, 1),
    ],
)
def test_rows_of_frames_stand_at_the_frames_that_they_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], piece_bytes: int
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", piece_bytes)
    done, tables = rows_of(tmp_path, list(CODED), num_workers=2, batch_size=5, **options)
    assert done.failures == ()  # type: ignore[attr-defined]
    index = {Path(video.name).name: video for video in VideoIndex.build(tmp_path / "list.csv", num_workers=0)}
    stride = int(options.get("frame_stride", 1))  # type: ignore[call-overload]
    for name, entry in CODED.items():
        rows, first, last = tables[name], *entry["codes"]
        num_frames = last - first + 1
        assert rows.frame.tolist() == list(range(0, num_frames, 2 * stride)), name
        codes = np.stack(rows.embedding.tolist())
        np.testing.assert_array_equal(codes[:, 0], rows.frame + first)
        sampled = range(0, num_frames, stride)
        np.testing.assert_array_equal(codes[:, 1], np.minimum(rows.frame + stride, sampled[-1]) + first)
        np.testing.assert_allclose(rows.seconds, index[name].seconds[rows.frame])
        assert rows.repeated_frames.sum() == len(sampled) % 2
        assert not rows.near_damage.any()


def test_rows_by_time_stand_at_the_frame_that_is_shown_then(tmp_path: Path) -> None:
    _, tables = rows_of(tmp_path, ["vfr.mp4", "h264_cfr.mp4"], clip_frames=8, target_fps=10.0)
    for name in ("vfr.mp4", "h264_cfr.mp4"):
        rows = tables[name]
        np.testing.assert_array_equal(np.stack(rows.embedding.tolist())[:, 0], rows.frame)
        wanted = np.arange(len(rows)) * 2 / 10
        shown = np.abs(rows.seconds - wanted) <= 0.041  # half of its longest usual gap
        assert shown.all() or name == "vfr.mp4"
    # In the pause of two seconds the same frame is shown again and again, and the rows say so.
    assert tables["vfr.mp4"].repeated_frames.sum() >= 10
    assert tables["h264_cfr.mp4"].repeated_frames.sum() <= 1


def test_a_damaged_file_keeps_its_right_rows_and_marks_those_beside_the_damage(tmp_path: Path) -> None:
    done, tables = rows_of(tmp_path, ["corrupt_middle.mp4", "h264_cfr.mp4"], clip_frames=4)
    (failure,) = done.failures  # type: ignore[attr-defined]
    assert "corrupt_middle" in failure.video
    assert "clips are lost" in failure.cause
    rows = tables["corrupt_middle.mp4"]
    assert 0 < len(rows) < 30
    np.testing.assert_array_equal(np.stack(rows.embedding.tolist())[:, 0], rows.frame)
    missing = sorted(set(range(0, 60, 2)) - set(rows.frame))
    beside = {frame for frame in rows.frame if {frame // 4 - 1, frame // 4 + 1} & {gone // 4 for gone in missing}}
    assert set(rows.frame[rows.near_damage]) == beside
    assert not tables["h264_cfr.mp4"].near_damage.any()
