"""Two processes (gloo) with a share of the videos each: loss and gradients of one process with the whole batch.

One pair of processes goes through all objectives, because starting it takes longer than the rest. A new objective is
one line in `OBJECTIVES`.
"""

import socket
import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from videossl import objectives
from videossl.objectives import AdaSSL, FixedBeta, Loss, MultiViewObjective, MVInfoNCE, TeacherObjective
from videossl.objectives.an_info_nce import AnInfoNCE
from videossl.objectives.average import Average
from videossl.objectives.clip_style import ClipStyle
from videossl.objectives.dino import DINO
from videossl.objectives.distillation import Distillation
from videossl.objectives.factor_cl import FactorCL
from videossl.objectives.h_info_nce import HInfoNCE
from videossl.objectives.info_nce import InfoNCE
from videossl.objectives.multi_positive import MultiPositive
from videossl.objectives.mv_dhel import MVDHEL
from videossl.objectives.nt_xent import NTXent
from videossl.objectives.pairwise import Pairwise
from videossl.objectives.poly_view import PolyView
from videossl.objectives.prediction import Prediction
from videossl.objectives.sigreg import SIGReg
from videossl.objectives.similarity_graph import label_similarity
from videossl.objectives.temperature import LearnedTemperature
from videossl.objectives.vicreg import VarianceCovariance, VICReg
from videossl.objectives.x_sample import XSample
from videossl.training.gathering import gather_videos, gather_views
from videossl.transition import FlowPrior, GaussianLatent, LowRankEditor, MixturePrior, MLPEditor, SparseGate

B, V, D, INPUTS = 8, 4, 6, 5
SHARES = {"even": (4, 4), "uneven": (5, 3), "one video": (7, 1), "no video": (8, 0)}
PRESENT = torch.tensor([[0, 1, 1, 1], [1, 0, 1, 1], *[[1, 1, 1, 1]] * 4, [1, 1, 1, 0], [1, 1, 0, 0]]).bool()


class Factors(nn.Module):
    """FactorCL of four views: two streams and their augmentations, with the step of its critics."""

    def __init__(self) -> None:
        super().__init__()
        self.objective = FactorCL(D, D, hidden_dim=8)

    def forward(self, embeddings: Tensor) -> Loss:
        streams = embeddings.unbind(0)
        loss = self.objective(*streams)
        return Loss(loss.total + self.objective.learning_loss(*streams).total, loss.terms)


class TwoViews(nn.Module):
    """An objective that takes two views."""

    def __init__(self, objective: MultiViewObjective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, embeddings: Tensor) -> Loss:
        return self.objective(embeddings[:2])


def edited(objective: MultiViewObjective, **options: Any) -> AdaSSL:
    return AdaSSL(
        objective,
        GaussianLatent(D, latent_dim=3, hidden_dim=8),
        MLPEditor(D, 3, hidden_dim=8),
        FixedBeta(0.1),
        **options,
    )


OBJECTIVES: dict[str, Callable[[], nn.Module]] = {
    "MVInfoNCE": MVInfoNCE,
    "MVInfoNCE joint": lambda: MVInfoNCE(energy="joint"),
    "MVInfoNCE as printed": lambda: MVInfoNCE(alignment="log_of_sum", energy="joint"),
    "MVInfoNCE of the authors' code": lambda: MVInfoNCE(
        alignment="log_of_sum", energy="joint", same_view_negatives=True
    ),
    "MVInfoNCE forward": lambda: MVInfoNCE(graph="forward"),
    "NTXent": lambda: TwoViews(NTXent()),
    "MVDHEL": MVDHEL,
    "MVDHEL mean of logs": lambda: MVDHEL(alignment="mean_of_logs"),
    "Pairwise": Pairwise,
    "Pairwise dhel": lambda: Pairwise(base="dhel"),
    "Average": Average,
    "Average dhel": lambda: Average(base="dhel"),
    "MultiPositive": MultiPositive,
    "MultiPositive dhel": lambda: MultiPositive(base="dhel"),
    "PolyView": PolyView,
    "PolyView arithmetic": lambda: PolyView(variant="arithmetic"),
    "InfoNCE": InfoNCE,
    "InfoNCE learned temperature": lambda: InfoNCE(LearnedTemperature(num_dimensions=D)),
    "AnInfoNCE": lambda: AnInfoNCE(D),
    "HInfoNCE": lambda: HInfoNCE(D, hidden_dim=8),
    "XSample": XSample,
    "FactorCL": Factors,
    "ClipStyle": ClipStyle,
    "VICReg": VICReg,
    "Prediction VICReg": lambda: Prediction(VarianceCovariance()),
    "Prediction SIGReg": lambda: Prediction(SIGReg(num_directions=16)),
    "Distillation": lambda: Distillation(D, hidden_dim=8),
    "DINO": lambda: DINO(D),
    "DINO prototypes": lambda: DINO(D, num_prototypes=7),
    "AdaSSL MVInfoNCE": lambda: edited(MVInfoNCE(graph="forward")),
    "AdaSSL MVDHEL": lambda: edited(MVDHEL()),
    "AdaSSL XSample": lambda: edited(XSample()),
    "AdaSSL Distillation": lambda: edited(Distillation(D, hidden_dim=8)),
    "AdaSSL Prediction": lambda: edited(Prediction(VarianceCovariance()), normalise=False),
    "AdaSSL mixture prior": lambda: AdaSSL(
        MVInfoNCE(graph="forward"),
        GaussianLatent(D, latent_dim=3, hidden_dim=8, prior=partial(MixturePrior, num_components=3, hidden_dim=8)),
        MLPEditor(D, 3, hidden_dim=8),
        FixedBeta(0.1),
    ),
    "AdaSSL flow prior": lambda: AdaSSL(
        MVInfoNCE(graph="forward"),
        GaussianLatent(D, latent_dim=3, hidden_dim=8, prior=partial(FlowPrior, num_layers=2, hidden_dim=8)),
        MLPEditor(D, 3, hidden_dim=8),
        FixedBeta(0.1),
    ),
    "AdaSSL rollout": lambda: edited(MVInfoNCE(graph="forward"), rollout=True),
    "AdaSSL sparse": lambda: AdaSSL(
        MVInfoNCE(), SparseGate(D, latent_dim=3, hidden_dim=8), LowRankEditor(D, 3), FixedBeta(0.1)
    ),
}


class Case:
    """An objective, the encoder before it and the teacher beside it; always the same weights, in float64."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        torch.manual_seed(0)
        self.encoder = nn.Linear(INPUTS, D).double()
        self.teacher = nn.Linear(INPUTS, D).double()
        self.objective = make().double()
        for parameter in self.objective.parameters():
            if not parameter.any():  # layers that begin at zero would hide the gradient of what is before them
                nn.init.normal_(parameter, std=0.1)
        self.inner = self.objective.objective if isinstance(self.objective, AdaSSL | TwoViews) else self.objective

    def run(self, videos: slice, *, even: bool) -> dict[str, Tensor]:
        """Loss, gradients and state after a step, of the videos that this process has."""
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randn(B, V, INPUTS, dtype=torch.float64, generator=generator)[videos].transpose(0, 1)
        labels = torch.tensor([0, 1, 0, 2, -1, -1, 1, 0])[videos]
        embeddings = gather_views(self.encoder(inputs), even=even)
        given: dict[str, Tensor] = {}
        if isinstance(self.inner, TeacherObjective):
            with torch.no_grad():
                given["targets"] = gather_views(self.teacher(inputs), even=even)
        if isinstance(self.inner, XSample):
            given["similarity"] = label_similarity(gather_videos(labels, even=even))
        if isinstance(self.inner, ClipStyle):  # the views are modalities here, and some are missing
            given["present"] = gather_videos(PRESENT[videos], even=even).T
        torch.manual_seed(2)  # noise of r; an objective's own draws
        loss = self.objective(embeddings, **given)
        loss.total.backward()
        found = {"loss": loss.total.detach()} | {f"term {name}": term for name, term in loss.terms.items()}
        for place, module in (("encoder", self.encoder), ("objective", self.objective)):
            for name, parameter in module.named_parameters():
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                found[f"gradient of {place}.{name}"] = averaged(gradient)
        return found | {f"state {name}": buffer.clone() for name, buffer in self.objective.named_buffers()}


def averaged(gradient: Tensor) -> Tensor:
    """What distributed data parallel does with gradients."""
    if dist.is_initialized():
        dist.all_reduce(gradient)
        gradient /= dist.get_world_size()
    return gradient


def share(rank: int, sizes: tuple[int, ...]) -> slice:
    return slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))


def primitives(rank: int) -> dict[str, Any]:
    """What the two gathering functions give, in the first process."""
    own = torch.arange(5.0)[slice(0, 3) if rank == 0 else slice(3, 5)]
    views = own.expand(2, -1)[..., None].to(torch.bfloat16).requires_grad_()
    gathered = gather_views(views)
    (gathered * torch.arange(1.0, 6)[:, None]).sum().backward()
    with torch.no_grad():
        silent = gather_views(views)
    empty = gather_videos(torch.full((0, 2), 1.0))
    return {
        "views": gathered.detach(),
        "gradient": views.grad,
        "silent": silent,
        "labels": gather_videos(own.long()),
        "flags": gather_videos(own > 2.5),
        "empty": empty,
        "even": gather_videos(torch.tensor([[rank]]), even=True),
    }


def work(rank: int, port: int, queue: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"tcp://localhost:{port}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    try:
        results: dict[Any, Any] = {"primitives": primitives(rank)}
        for name, make in OBJECTIVES.items():
            for kind, sizes in SHARES.items():
                results[name, kind] = Case(make).run(share(rank, sizes), even=kind == "even")
        # As arrays: tensors would be shared memory of a process that has ended.
        arrays = {
            case: {name: value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
                   for name, value in found.items()}
            for case, found in results.items()
        }  # fmt: skip
        queue.put(arrays)
    except Exception:
        queue.put(traceback.format_exc())
        raise
    finally:
        dist.destroy_process_group()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def of_two():
    """What each of two processes found, by case."""
    context = mp.get_context("spawn")
    queue, port = context.Queue(), free_port()
    processes = [context.Process(target=work, args=(rank, port, queue), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(timeout=30)
    assert not [each for each in found if isinstance(each, str)], found
    return [
        {case: {n: torch.from_numpy(v) for n, v in values.items()} for case, values in each.items()} for each in found
    ]


@pytest.fixture(scope="module")
def of_one():
    return {name: Case(make).run(slice(None), even=True) for name, make in OBJECTIVES.items()}


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_processes_have_the_loss_and_gradients_of_one(name, kind, of_one, of_two):
    wanted = of_one[name]
    assert wanted["gradient of encoder.weight"].abs().max() > 1e-6
    for found in of_two:
        got = found[name, kind]
        assert got.keys() == wanted.keys()
        for what, value in wanted.items():
            torch.testing.assert_close(got[what], value, rtol=1e-9, atol=1e-11, msg=lambda m, what=what: f"{what}: {m}")


def test_views_of_all_processes_stand_side_by_side(of_two):
    gradients = []
    for found in of_two:
        got = found["primitives"]
        assert got["views"].dtype == torch.float32  # summed in more than bf16
        assert got["views"].tolist() == got["silent"].tolist() == [[[0.0], [1.0], [2.0], [3.0], [4.0]]] * 2
        assert got["labels"].tolist() == [0, 1, 2, 3, 4]
        assert got["flags"].tolist() == [False, False, False, True, True]
        assert got["empty"].shape == (0, 2)
        assert got["even"].tolist() == [[0], [1]]
        gradients.append(got["gradient"][0, :, 0].tolist())
    # Both processes have the loss of all videos: the sum of their gradients, which data parallel then averages.
    assert sorted(gradients) == [[2.0, 4.0, 6.0], [8.0, 10.0]]


def test_one_process_gathers_nothing():
    values = torch.ones(2, 3, 4, requires_grad=True)
    assert gather_views(values) is values
    assert not gather_videos(values).requires_grad


def test_every_objective_that_is_exported_is_here():
    exported = {
        value
        for value in vars(objectives).values()
        if isinstance(value, type) and issubclass(value, MultiViewObjective) and not value.__abstractmethods__
    }
    tested = {type(Case(make).inner) for make in OBJECTIVES.values()}
    assert exported <= tested, "add a line to OBJECTIVES"
