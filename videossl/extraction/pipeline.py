"""The road from videos to finished shards on one machine: decoding, encoding and writing at once.

Decoders run in processes of their own, each fed by a thread; encoder calls run in threads (torch lets go of the
interpreter while it computes); the thread that takes the shards makes the rows and writes them. All give their results
in the order of the videos, so that the rows are the same whatever is fast.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, groupby

import torch

from videossl.data.decode.base import VideoReader
from videossl.extraction.embedder import Embedder
from videossl.extraction.encoding import BatchEncoder, EmbeddedClip, batches
from videossl.extraction.in_order import in_order
from videossl.extraction.levels import rows_of
from videossl.extraction.pieces import PIECE_BYTES, pieces
from videossl.extraction.reading import PieceReader
from videossl.extraction.sampling import SampledVideo, Sampling
from videossl.extraction.settings import ExtractionSettings
from videossl.extraction.shard_plan import PlannedShard
from videossl.extraction.stores.base import Shard, Store, VideoEntry
from videossl.progress import progress
from videossl.types import Failure

DECODED_BYTES = 4 * PIECE_BYTES  # of frames that wait for the encoder


@dataclass(frozen=True)
class Work:
    """All that a machine must know, besides the model, to make shards.

    Attributes:
        settings: What is extracted.
        sampling: How videos are cut for the model.
        reader: Class that decodes.
        store: Where shards go.
        about: What is written into every shard about how its rows were made.
        batch_size: Clips per call of the encoder.
        device: Where the model is.
        compiled: Whether it is compiled.
        num_workers: Decoders that run at a time; None: one per core.
        isolate: Decode in processes beside this one.
        deadline_seconds: A video that gives nothing for so long is given up.
        num_clips: Windows of all videos, to show how far the work is; None shows nothing.
        num_cores: Cores that may be used; None: all that this process may use.
    """

    settings: ExtractionSettings
    sampling: Sampling
    reader: type[VideoReader]
    store: Store
    about: dict[str, object]
    batch_size: int
    device: str
    compiled: bool
    num_workers: int | None
    isolate: bool
    deadline_seconds: float | None
    num_clips: int | None = None
    num_cores: int | None = None


@dataclass(frozen=True)
class ShardDone:
    """What was made of a planned shard.

    Attributes:
        number: Of the shard.
        entries: Videos that have rows in it.
        failures: Videos that could not be read, or not whole.
        num_clips: Windows of all its videos.
        num_filled: Videos shorter than a window.
    """

    number: int
    entries: tuple[VideoEntry, ...]
    failures: tuple[Failure, ...]
    num_clips: int
    num_filled: int


def make_shards(model: Embedder, work: Work, shards: Iterable[PlannedShard]) -> Iterator[ShardDone]:
    """Make shards one after the other, and yield each when it is finished; batches are filled across them."""
    cores = work.num_cores or num_cores()
    on_cpu = torch.device(work.device).type == "cpu"
    num_workers = work.num_workers or cores  # decoders that are ahead wait, and leave their core to the encoder
    num_encoders = min(cores, 4) if on_cpu else 2  # 2: one copies to the device while the other computes on it
    threads_before = torch.get_num_threads()
    encoder = BatchEncoder(
        model,
        level=work.settings.level,
        device=work.device,
        precision=work.settings.torch_precision,
        compiled=work.compiled,
        batch_size=work.batch_size,
        # One call with few threads beside another uses cores better than one call with many.
        threads_each=max(1, threads_before // num_encoders) if on_cpu else None,
    )
    planned: list[PlannedShard] = []

    def videos() -> Iterator[SampledVideo]:
        for shard in shards:
            planned.append(shard)
            yield from map(work.sampling.sampled, shard.videos)

    reader = PieceReader(
        work.reader,
        frame_size=work.settings.frame_size,
        isolate=work.isolate,
        deadline_seconds=work.deadline_seconds,
    )
    try:
        with reader:
            decoded = in_order(
                reader,
                pieces(videos(), work.settings.frame_size),
                num_threads=num_workers,
                budget=DECODED_BYTES,
                cost=lambda piece: piece.num_bytes,
            )
            clips = chain.from_iterable(decoded)
            embedded = in_order(
                encoder, batches(clips, work.batch_size), num_threads=num_encoders, budget=num_encoders + 1
            )
            with closing(embedded), closing(decoded):
                results: Iterator[EmbeddedClip] = chain.from_iterable(embedded)
                if work.num_clips is not None:
                    results = progress(results, total=work.num_clips, description="extracting", unit="clip")
                yield from _written(results, planned, work)
    finally:
        torch.set_num_threads(threads_before)


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _written(clips: Iterator[EmbeddedClip], planned: list[PlannedShard], work: Work) -> Iterator[ShardDone]:
    """Write the clips of all videos; `planned` grows ahead of them."""
    of_videos = groupby(clips, key=lambda embedded: embedded.clip.video)
    for video, of_video in of_videos:
        shard = planned.pop(0)
        writing = work.store.begin(shard.number, work.about)
        done = _Making(work, writing)
        try:
            done.add(video, of_video)
            for _ in shard.videos[1:]:
                done.add(*next(of_videos))
            writing.finish(done.entries)
        except BaseException:
            writing.discard()
            raise
        yield ShardDone(
            shard.number,
            tuple(done.entries),
            tuple(done.failures),
            done.num_clips,
            done.num_filled,
        )


class _Making:
    """One shard that is being made."""

    def __init__(self, work: Work, writing: Shard) -> None:
        self._work = work
        self._writing = writing
        self.entries: list[VideoEntry] = []
        self.failures: list[Failure] = []
        self.num_clips = 0
        self.num_filled = 0

    def add(self, video: SampledVideo, clips: Iterable[EmbeddedClip]) -> None:
        causes: list[str] = []

        def noted() -> Iterator[EmbeddedClip]:
            for embedded in clips:
                if embedded.vectors is None:
                    causes.append(embedded.clip.cause)
                yield embedded

        settings = self._work.settings
        num_rows = 0
        stream = noted()
        for rows in rows_of(stream, settings.level, settings.video_pooling):
            self._writing.add(rows)
            num_rows += len(rows.positions)
        for _ in stream:  # a video of which a clip is lost may have been left early
            pass
        num_windows = len(video.windows)
        problem = None
        if causes:
            lost = f"; {len(causes)} of {num_windows} clips are lost" if len(causes) < num_windows else ""
            problem = causes[0].rstrip(".") + lost
            self.failures.append(Failure(video.name, problem))
        if num_rows:
            self.entries.append(VideoEntry(video.name, video.identity, num_rows, problem))
        self.num_clips += num_windows
        self.num_filled += len(video.frames) < video.windows.clip_frames
