"""Every metric gives one process's value when its contexts are spread over several."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

from videossl.evaluation import (
    BestOfK,
    BranchAccuracy,
    BranchCalibration,
    BranchCoverage,
    BranchPrecision,
    CandidateNLL,
    EnergyScore,
    FutureRetrieval,
    RankHistogram,
    SpreadSkill,
    TrajectoryEnergy,
)

K, M, J, D = 5, 4, 3, 8
PROBABILITIES = torch.tensor([0.4, 0.3, 0.2, 0.1])
METRICS = {
    "best of K": lambda: BestOfK(K),
    "curve": lambda: BestOfK(K, curve=True),
    "energy": EnergyScore,
    "energy of motion": TrajectoryEnergy,
    "coverage": BranchCoverage,
    "precision": BranchPrecision,
    "calibration": lambda: BranchCalibration(M),
    "pooled calibration": lambda: BranchCalibration(M, pooled=True),
    "accuracy of told samples": BranchAccuracy,
    "likelihood": CandidateNLL,
    "retrieval": FutureRetrieval,
    "ranks": lambda: RankHistogram(K),
    "spread": SpreadSkill,
}
OF_BRANCHES = {"coverage", "precision", "calibration", "pooled calibration"}


def contexts(n: int = 11) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"samples": (n, K, D), "futures": (n, D), "branches": (n, M, D), "decoys": (n, J, D)}
    return {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}


def feed(name: str, metric: Metric, rows: slice) -> None:
    given = {key: value[rows] for key, value in contexts().items()}
    if name in OF_BRANCHES:
        probabilities = PROBABILITIES.expand(len(given["samples"]), -1)
        metric.update(given["samples"], given["branches"], decoys=given["decoys"], probabilities=probabilities)
    elif name == "energy of motion":  # two frames, two objects
        metric.update(given["samples"].unflatten(2, (2, 2, 2)), given["futures"].unflatten(1, (2, 2, 2)))
    elif name == "accuracy of told samples":
        told = torch.arange(K).expand(len(given["samples"]), -1) % M
        metric.update(given["samples"], told, given["branches"], given["decoys"])
    elif name == "likelihood":
        metric.update(given["samples"][:, 0, :M], PROBABILITIES.expand(len(given["samples"]), -1))
    elif name == "retrieval":
        metric.update(given["samples"], given["futures"], given["decoys"])
    else:
        metric.update(given["samples"], given["futures"])


def value_of_all(name: str) -> Tensor | dict[str, Tensor]:
    metric = METRICS[name]()
    feed(name, metric, slice(None))
    return metric.compute()


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_does_not_depend_on_how_contexts_are_batched(name):
    metric = METRICS[name]()
    for rows in (slice(0, 1), slice(1, 8), slice(8, None)):
        feed(name, metric, rows)
    torch.testing.assert_close(metric.compute(), value_of_all(name))


@pytest.mark.parametrize("name", METRICS)
def test_merged_states_give_the_value_of_all_contexts(name):
    first, second = METRICS[name](), METRICS[name]()
    feed(name, first, slice(0, 4))
    feed(name, second, slice(4, None))
    first.merge_state(second)
    torch.testing.assert_close(first.compute(), value_of_all(name))


def one_of_two_processes(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    values = {}
    for name, make in METRICS.items():
        metric = make()
        feed(name, metric, slice(0, 4) if rank == 0 else slice(4, None))  # unequal shares
        values[name] = metric.compute()
    torch.save(values, Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


def test_two_processes_give_the_value_of_one(tmp_path):
    torch.multiprocessing.start_processes(one_of_two_processes, args=(str(tmp_path),), nprocs=2, start_method="spawn")
    for rank in range(2):
        values = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name in METRICS:
            torch.testing.assert_close(values[name], value_of_all(name))
