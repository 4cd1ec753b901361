"""Extraction as a Ray Data pipeline: actors that hold the encoder make whole shards, on as many machines as Ray has."""

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from videossl.errors import UsageError, WorkError
from videossl.extraction.embedder import Embedder
from videossl.extraction.pipeline import ShardDone, Work, make_shards
from videossl.extraction.shard_plan import PlannedShard
from videossl.progress import progress


@dataclass(frozen=True)
class RayEngine:
    """Make shards with Ray; an engine for `extract`.

    Uses the cluster that this process is connected to or, without one, what `ray.init()` finds (the variable
    RAY_ADDRESS) or starts here. Every actor makes one shard after the other just as one machine does: decoding,
    encoding and writing at once. A shard is made again if its actor dies, under the same number, and it is there whole
    or not at all: nothing is lost, nothing is doubled. Videos and the folder must be within reach of every machine
    under the same paths.

    Attributes:
        num_actors: Encoders that run at a time; None: as many as the cluster has room for, at most one per shard.
        cpus_per_actor: Cores that each decodes and, without a GPU, encodes with; None: 1, or an equal part of all cores
            for each GPU.
    """

    num_actors: int | None = None
    cpus_per_actor: int | None = None

    def __post_init__(self) -> None:
        for name in ("num_actors", "cpus_per_actor"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"expected {name} of at least 1, got {value}.")

    def __call__(self, model: Embedder, work: Work, shards: Iterable[PlannedShard]) -> Iterator[ShardDone]:
        """Make shards, and yield each when it is finished, in any order.

        Raises:
            UsageError: Ray is not installed, or the cluster has too little of what an actor needs.
            WorkError: As `make_shards`.
        """
        ray = _ray()
        tasks = [{"shard": pickle.dumps(shard)} for shard in shards]
        if not tasks:
            return
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False)
        num_gpus = 1 if torch.device(work.device).type == "cuda" else 0
        cpus, room = self._room(ray.cluster_resources(), num_gpus)
        num_actors = min(self.num_actors or room, len(tasks))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        of_actor = replace(work, num_cores=cpus, num_clips=None)
        made = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map_batches(
            ShardMaker,
            fn_constructor_args=(ray.put(model), of_actor),
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=num_actors),
            num_cpus=cpus,
            num_gpus=num_gpus,
        )
        for row in progress(made.iter_rows(), total=len(tasks), description="extracting", unit="shard"):
            done = pickle.loads(row["done"])
            if isinstance(done, Exception):
                raise done
            yield done

    def _room(self, resources: dict[str, float], num_gpus: int) -> tuple[int, int]:
        """Cores for each actor, and how many actors there is room for."""
        all_cpus, all_gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        if num_gpus and not all_gpus:
            raise UsageError("--device cuda needs a GPU, and the Ray cluster has none. Give --device cpu.")
        cpus = self.cpus_per_actor or (max(1, all_cpus // all_gpus) if num_gpus else 1)
        room = min(all_cpus // cpus, all_gpus) if num_gpus else all_cpus // cpus
        if room < (self.num_actors or 1):
            raise UsageError(
                f"expected room for {self.num_actors or 1} actors of {cpus} cores each, and the Ray cluster has "
                f"{all_cpus} cores and {all_gpus} GPUs. Lower num_actors."
            )
        return cpus, room


class ShardMaker:
    """What an actor is: it makes shards with one model.

    Args:
        model: The model, or where Ray holds it.
        work: What every shard is made by.
    """

    def __init__(self, model: Any, work: Work) -> None:
        ray = _ray()
        self._model: Embedder = ray.get(model) if isinstance(model, ray.ObjectRef) else model
        self._work = work

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Pickled `PlannedShard`s under `shard` -> pickled `ShardDone`s, or what went wrong, under `done`."""
        results: list[bytes] = []
        for task in batch["shard"]:
            try:
                (done,) = make_shards(self._model, self._work, [pickle.loads(task)])
                results.append(pickle.dumps(done))
            except (UsageError, WorkError) as error:  # not to be tried again, as a dead actor is
                results.append(pickle.dumps(error))
        return {"done": results}


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(
            "--engine ray needs Ray. Install it: pip install 'videossl[ray]', or choose --engine local."
        ) from error
    return ray
