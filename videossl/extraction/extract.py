"""Embed videos and write one row a frame, clip or video, or add to what is there."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from videossl.data import VideoIndex
from videossl.data.decode.base import VideoReader
from videossl.data.store import LOCK, alone
from videossl.errors import UsageError, WorkError
from videossl.extraction.embedder import Embedder
from videossl.extraction.identity import model_sha256
from videossl.extraction.pipeline import ShardDone, Work, make_shards
from videossl.extraction.resume import Vanished, compare
from videossl.extraction.settings import ExtractionSettings, check_choice
from videossl.extraction.shard_plan import PlannedShard, planned
from videossl.extraction.stores.base import VideoEntry
from videossl.extraction.stores.formats import Format, store_of
from videossl.files import replacing
from videossl.models import Encoder
from videossl.types import Failure

FAILURES = "_failures.csv"  # readers of Parquet folders pass over names that begin with _
ABOUT = "_about.json"
INDEX = "_videos.index"  # a table, but not one that a pattern of Parquet files would find
MARKS = (ABOUT, FAILURES, INDEX, LOCK, "part-00000.parquet")  # by which a folder of embeddings is known
FRAMES_PER_SHARD = 32_768
FRAMES_PER_SHARD_OF_TOKENS = 2_048
Engine = Callable[[Embedder, Work, Iterable[PlannedShard]], Iterator[ShardDone]]


@dataclass(frozen=True)
class Extracted:
    """What an extraction leaves behind.

    Attributes:
        num_rows: Rows in the folder.
        num_new_rows: Of these, written now.
        width: Numbers in an embedding, E.
        shards: The files with the rows.
        failures: Videos that could not be read, or not to their end, now or when their rows were written.
        num_filled: Videos shorter than a clip, of those read now; filled by repeating their last frame.
        num_new: Videos read now that had no rows.
        num_kept: Videos whose rows were there already.
        changed: Videos whose rows were removed, and made anew if they could be read.
        vanished: Videos whose rows were removed because they are not among the videos any more.
    """

    num_rows: int
    num_new_rows: int
    width: int
    shards: tuple[Path, ...]
    failures: tuple[Failure, ...]
    num_filled: int
    num_new: int
    num_kept: int
    changed: tuple[str, ...]
    vanished: tuple[str, ...]


def extract(
    model: Embedder,
    index: VideoIndex,
    *,
    settings: ExtractionSettings,
    reader: type[VideoReader],
    out: Path | str,
    file_format: Format = "parquet",
    batch_size: int = 64,
    device: str = "cpu",
    compiled: bool = False,
    num_workers: int | None = None,
    frames_per_shard: int | None = None,
    vanished: Vanished = "remove",
    about: Mapping[str, object] | None = None,
    isolate: bool = True,
    deadline_seconds: float | None = 10.0,
    engine: Engine = make_shards,
) -> Extracted:
    """Embed every video of an index that has no rows in a folder yet, and write shards, `_failures.csv`, `_about.json`.

    What is written is written shard by shard, and a shard is there whole or not at all: killed at any moment, the same
    call goes on from the shards that are there. Rows of videos that have changed are removed and made anew; those of
    videos that have vanished are removed. A video that could not be read at all is tried again every time, one of which
    a part could not be read when it changes.

    Args:
        model: On `device`, in evaluation mode. A folder holds the rows of one model, known by `model_sha256`.
        index: Videos; its unreadable ones are listed among the failures.
        settings: What a row is, and how videos are sampled and cut.
        reader: Class that decodes.
        out: Folder for the shards.
        file_format: "parquet", or "npy", "safetensors" or "lance".
        batch_size: Clips per pass of the encoder; batches are filled across videos.
        device: Where the model is.
        compiled: Compile the model with `torch.compile`: worth it where hours of video are ahead.
        num_workers: Decoders that run at a time; None: one per core.
        frames_per_shard: A shard ends with the video that reaches so many sampled frames: what a kill costs at most.
            None: 32,768, and 2,048 where rows hold tokens.
        vanished: What happens to rows of videos that are not in the index: "remove" or "keep".
        about: More to be said in the metadata of the shards, for example the run. `weights_sha256`, of the file of the
            weights, must agree with that of the rows that are there if these do not know their model otherwise.
        isolate: Decode in processes beside this one: a decoder that crashes or hangs costs one video.
        deadline_seconds: A video that gives nothing for so long, to its opening or for every 256 frames that are read
            at a time, is given up; None: none is. Needs `isolate`.
        engine: What makes the shards: `make_shards` on this machine, or `ray_engine.RayEngine`.

    Raises:
        UsageError: Options that cannot work, or embeddings in `out` that were made otherwise.
        WorkError: No video could be read, or the model gives numbers that are none.
    """
    if not isinstance(index, VideoIndex):
        raise UsageError(f"expected a VideoIndex, got {index!r}. Give VideoIndex.build(videos).")
    check_options(
        model,
        settings,
        batch_size=batch_size,
        num_workers=num_workers,
        frames_per_shard=frames_per_shard,
        vanished=vanished,
        file_format=file_format,
    )
    out = Path(out)
    sampling = settings.sampling(model)
    facts = {**settings.about(model, reader), "format": file_format, **(about or {})}
    if (of_model := model_sha256(model)) is not None:
        facts["model_sha256"] = of_model
    store = store_of(file_format, out, settings.stored_type)
    work = Work(
        settings=settings,
        sampling=sampling,
        reader=reader,
        store=store,
        about=facts,
        batch_size=batch_size,
        device=device,
        compiled=compiled,
        num_workers=num_workers,
        isolate=isolate,
        deadline_seconds=deadline_seconds,
    )
    out.mkdir(parents=True, exist_ok=True)
    with alone(out):
        _check_format(out, file_format)
        store.clean()
        shards = store.finished()
        todo = compare(index.rows, shards, facts, vanished=vanished, where=str(out))
        if shards:  # the same tensors may have come from another file, but all rows of a table name the same
            facts["weights_sha256"] = shards[0].about.get("weights_sha256")
        _write_about(out / ABOUT, {**facts, "complete": False})
        if todo.changed or todo.vanished:
            store.remove({*todo.changed, *todo.vanished})
        plan = planned(
            todo.videos,
            sampling,
            frames_per_shard=frames_per_shard
            or (FRAMES_PER_SHARD_OF_TOKENS if settings.level == "token" else FRAMES_PER_SHARD),
            first_number=todo.first_number,
        )
        work = replace(work, num_clips=sum(len(sampling.windows(video)) for video in todo.videos))
        made = list(engine(model, work, plan))
        entries = [*todo.kept, *(entry for done in made for entry in done.entries)]
        failures = _failures(index, todo.kept, made)
        _write_failures(out / FAILURES, failures)
        shards = store.finished()
        num_rows = sum(shard.num_rows for shard in shards)
        _write_about(out / ABOUT, {**facts, "complete": True, **_totals(entries, num_rows)})
    if num_rows == 0:
        raise WorkError(
            f"none of the {len(index)} videos could be read; the causes are listed in {out / FAILURES}. "
            f"The first: {failures[0].video}: {failures[0].cause}"
        )
    return Extracted(
        num_rows=num_rows,
        num_new_rows=sum(entry.num_rows for done in made for entry in done.entries),
        width=int(shards[0].about["width"]),
        shards=tuple(out / name for name in store.files()),
        failures=tuple(failures),
        num_filled=sum(done.num_filled for done in made),
        num_new=len(todo.videos) - len({video.name for video in todo.videos} & set(todo.changed)),
        num_kept=len(todo.kept),
        changed=todo.changed,
        vanished=todo.vanished,
    )


def check_options(
    model: Embedder,
    settings: ExtractionSettings,
    *,
    batch_size: int,
    num_workers: int | None,
    frames_per_shard: int | None = None,
    vanished: Vanished,
    file_format: Format,
) -> None:
    """Refuse what cannot work before anything is written; the arguments are those of `extract`.

    Raises:
        UsageError: One of them cannot work, or the model does not take such clips.
    """
    counts = {"batch_size": batch_size, "num_workers": num_workers, "frames_per_shard": frames_per_shard}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"expected {name} of at least 1, got {value}.")
    check_choice("vanished", vanished, get_args(Vanished))
    check_choice("file_format", file_format, get_args(Format))
    settings.sampling(model)
    if isinstance(model.encoder, Encoder):
        model.encoder.check_size(settings.clip_frames, settings.frame_size, settings.frame_size)


def _check_format(out: Path, wanted: Format) -> None:
    """Refuse to mix formats in one folder."""
    for other in get_args(Format):
        shards = [] if other == wanted else store_of(other, out, "float32").finished()
        if any(shard.about.get("format") == other for shard in shards):
            raise UsageError(
                f"{out} holds embeddings in the format {other}, and {wanted} is asked for. Choose another --out, or "
                "replace them with --overwrite true."
            )


def _failures(index: VideoIndex, kept: Sequence[VideoEntry], made: Sequence[ShardDone]) -> list[Failure]:
    """Everything that could not be read, in the order of the index: now, or when rows that are kept were written."""
    causes = {entry.name: entry.problem for entry in kept if entry.problem is not None}
    causes |= {failure.video: failure.cause for failure in index.failures}
    causes |= {failure.video: failure.cause for done in made for failure in done.failures}
    order = {video.name: number for number, video in enumerate(index.rows)}
    return [Failure(name, causes[name]) for name in sorted(causes, key=lambda name: order.get(name, len(order)))]


def _write_failures(path: Path, failures: Sequence[Failure]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["video", "cause"])
        lines.writerows((failure.video, failure.cause) for failure in failures)


def _write_about(path: Path, facts: Mapping[str, object]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def _totals(entries: Sequence[VideoEntry], num_rows: int) -> dict[str, object]:
    """What the whole folder holds; its source fingerprint changes with any of its videos."""
    of_videos = sorted((entry.name, entry.identity) for entry in entries)
    fingerprint = hashlib.sha256(json.dumps(of_videos, ensure_ascii=False).encode()).hexdigest()
    return {"num_rows": num_rows, "num_videos": len(entries), "source_fingerprint": fingerprint}


def delete_extraction(out: Path) -> None:
    """Delete the embeddings of a folder in whatever format, and nothing else that lies there.

    Raises:
        UsageError: Another process writes there.
    """
    with alone(out):
        for file_format in get_args(Format):
            store_of(file_format, out, "float32").delete()
        for name in (FAILURES, ABOUT, INDEX):
            (out / name).unlink(missing_ok=True)
