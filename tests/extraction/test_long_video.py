"""Three hours of video in bounded memory."""

import resource
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from videossl.data import Media, Video, VideoIndex
from videossl.data.decode.base import VideoReader
from videossl.extraction import ExtractionSettings, extract
from videossl.extraction.pieces import PIECE_BYTES
from videossl.extraction.pipeline import DECODED_BYTES
from videossl.types import Embeddings

NUM_FRAMES, FPS, STRIDE, SIZE = 3 * 3600 * 25, 25, 5, 64
FRAME_BYTES = SIZE * SIZE * 3


class Held:
    """How many frames were decoded and have not reached the model yet."""

    def __init__(self) -> None:
        self.now = self.most = self.decoded = 0
        self.lock = threading.Lock()

    def add(self, frames: int) -> None:
        with self.lock:
            self.now += frames
            self.decoded += max(0, frames)
            self.most = max(self.most, self.now)


held = Held()


class HoursReader(VideoReader):
    """Frame i has the number i in the red of its first pixels, a byte each."""

    @property
    def seconds(self) -> np.ndarray:
        return np.arange(NUM_FRAMES) / FPS

    def read(self, frames: Sequence[int], *, size: int | None) -> np.ndarray:
        assert size is not None
        held.add(len(frames))
        pictures = np.zeros((len(frames), size, size, 3), np.uint8)
        for place in range(3):
            pictures[:, 0, place, 0] = np.asarray(frames) >> 8 * place & 255
        return pictures

    def close(self) -> None:
        pass


class Encoder:
    tubelet_frames = 2


class Numbers:
    """The number of the first frame of each tubelet as its vector."""

    encoder = Encoder()
    pooling = "mean"

    def embed(self, frames: Tensor) -> Embeddings:
        held.add(-frames.shape[0] * frames.shape[1])
        vectors = (frames[:, ::2, 0, 0, :3].float() * torch.tensor([1.0, 256.0, 65536.0])).sum(-1, keepdim=True)
        return Embeddings(vectors[:, 0], vectors[:, 0], vectors)


def test_three_hours_of_video_are_never_held_at_once(tmp_path: Path) -> None:
    video = Video(
        video=0,
        name="hours.mp4",
        media=Media("/hours.mp4"),
        label=None,
        label_id=-1,
        num_frames=NUM_FRAMES,
        seconds=np.arange(NUM_FRAMES) / FPS,
        height=SIZE,
        width=SIZE,
        split="train",
        error=None,
        keyframes=np.arange(0, NUM_FRAMES, 250),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    done = extract(
        Numbers(),
        VideoIndex([video]),
        settings=ExtractionSettings(frame_size=SIZE, clip_frames=16, frame_stride=STRIDE),
        reader=HoursReader,
        out=tmp_path,
        num_workers=2,
        isolate=False,
    )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    num_sampled = NUM_FRAMES // STRIDE
    assert num_sampled * FRAME_BYTES > 4 * DECODED_BYTES
    assert held.decoded >= num_sampled
    assert held.most * FRAME_BYTES <= DECODED_BYTES + 3 * PIECE_BYTES
    assert after - before <= 2.5 * DECODED_BYTES
    table = pq.read_table(tmp_path / "part-00000.parquet")
    assert done.num_rows == len(table) == num_sampled // 2
    frames = table["frame"].to_numpy()
    np.testing.assert_array_equal(frames, np.arange(0, NUM_FRAMES, 2 * STRIDE))
    np.testing.assert_array_equal(table["embedding"].combine_chunks().flatten().to_numpy(), frames)
    assert held.now == 0
