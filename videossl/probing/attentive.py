"""The attentive probe: what can be read from many vectors of one thing by a learned weighting of them."""

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videossl.probing.linear import Answer
from videossl.probing.parts import Parts
from videossl.probing.scores import accuracy, r_squared
from videossl.progress import progress

LEARNING_RATES = (1e-3, 3e-3)
WEIGHT_DECAYS = (1e-3, 1e-1)
GROUPS_AT_ONCE = 64
ROWS_AT_ONCE = 32_768
FEWEST_STEPS, FEWEST_EPOCHS = 200, 20
WARM_UP = 0.1  # share of the steps


class AttentiveProbe(nn.Module):
    """One learned query attends over the rows of a group; a linear layer reads what it found.

    The light form of the probe of V-JEPA (arXiv:2404.08471, section 4). The order of the rows is not seen, other than
    by what the vectors themselves say of it.

    Args:
        width: Numbers in a row, E.
        num_outputs: Classes or quantities.
    """

    def __init__(self, width: int, num_outputs: int) -> None:
        super().__init__()
        self.num_heads = next(heads for heads in (8, 6, 4, 3, 2, 1) if width % heads == 0)
        self.query = nn.Parameter(0.02 * torch.randn(width))
        self.norm = nn.LayerNorm(width)
        self.key_value = nn.Linear(width, 2 * width)
        self.mix = nn.Linear(width, width)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_outputs))

    def forward(self, rows: Tensor, present: Tensor) -> Tensor:
        """(G, outputs) for rows (G, N, E), of which `present` (G, N) bool are there."""
        groups, _, width = rows.shape
        key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (G, heads, N, E / heads)
            for part in self.key_value(self.norm(rows)).chunk(2, dim=-1)
        )
        query = self.query.view(1, self.num_heads, 1, -1).expand(groups, -1, -1, -1)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=present[:, None, None])
        return self.head(self.mix(found.reshape(groups, width)))


class Groups:
    """Rows gathered by what they belong to, for example the frames of a video.

    Args:
        features: (n, E).
        group: (n,) int64 from 0 on, no number left out.
    """

    def __init__(self, features: Tensor, group: Tensor) -> None:
        self.features = features
        self._order = torch.argsort(group, stable=True)
        self.sizes = group.bincount()
        self._starts = torch.cumsum(self.sizes, dim=0) - self.sizes

    def batches(self, groups: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Some groups (g,), their rows (g, N, E) and which of these are there (g, N), a bounded number at a time."""
        start = 0
        while start < len(groups):
            sizes = self.sizes[groups[start : start + GROUPS_AT_ONCE]]
            padded = torch.cummax(sizes, dim=0).values * torch.arange(1, len(sizes) + 1)
            stop = start + max(1, int((padded <= ROWS_AT_ONCE).sum()))
            some = groups[start:stop]
            place = torch.arange(int(self.sizes[some].max()))
            present = place < self.sizes[some][:, None]
            rows = self._order[torch.where(present, self._starts[some][:, None] + place, 0)]
            yield some, self.features[rows], present
            start = stop


def attentive_probe(
    features: Tensor, group: Tensor, targets: Tensor, parts: Parts, *, seed: int, device: str = "cpu"
) -> Answer:
    """Train attentive probes with four settings, keep the one and the epoch that score best on a part of its own.

    AdamW with learning rates 1e-3 and 3e-3 and weight decays 1e-3 and 0.1, half a cosine after a short warm-up, for 20
    epochs or 200 steps, whichever is more. Rows are standardised by those for fitting.

    Args:
        features: (n, E) rows.
        group: (n,) int64 group of each row, from 0 to G - 1.
        targets: (G, A) float quantities or (G,) int64 classes, one a group.
        parts: Of the groups.
        seed: Of weights and order.
        device: Where it is trained.
    """
    known = features[torch.isin(group, parts.fit)]
    centre, scale = known.mean(dim=0), known.std(dim=0, correction=0).clamp_min(1e-8)
    fit = _Fit(Groups((features - centre) / scale, group), targets, parts, device)
    settings = list(itertools.product(LEARNING_RATES, WEIGHT_DECAYS))
    with torch.random.fork_rng(devices=[]):
        tried = [
            fit.trained(learning_rate, weight_decay, seed=seed)
            for learning_rate, weight_decay in progress(
                settings, total=len(settings), description="attentive probe", unit="setting"
            )
        ]
    best = max(tried, key=lambda trained: trained.score)
    chosen = {"learning_rate": best.learning_rate, "weight_decay": best.weight_decay, "epoch": best.epoch}
    return Answer(fit.answer(best.probe, parts.test), chosen)


@dataclass(frozen=True)
class _Trained:
    """A probe as it was at its best epoch, counted from 1."""

    probe: AttentiveProbe
    score: float
    epoch: int
    learning_rate: float
    weight_decay: float


class _Fit:
    """What all settings share."""

    def __init__(self, groups: Groups, targets: Tensor, parts: Parts, device: str) -> None:
        self.groups, self.targets, self.parts, self.device = groups, targets, parts, device
        self.is_class = targets.ndim == 1
        self.num_outputs = int(targets.max()) + 1 if self.is_class else targets.shape[1]
        if not self.is_class:
            of_fit = targets[parts.fit].float()
            self.centre, self.spread = of_fit.mean(dim=0), of_fit.std(dim=0, correction=0).clamp_min(1e-8)
        num_steps = sum(1 for _ in groups.batches(parts.fit))
        self.num_epochs = max(FEWEST_EPOCHS, -(-FEWEST_STEPS // num_steps))

    def trained(self, learning_rate: float, weight_decay: float, *, seed: int) -> _Trained:
        torch.manual_seed(seed)
        probe = AttentiveProbe(self.groups.features.shape[1], self.num_outputs).to(self.device)
        optimizer = torch.optim.AdamW(probe.parameters(), lr=learning_rate, weight_decay=weight_decay)
        best, score, at = probe, -math.inf, 0
        for epoch in range(self.num_epochs):
            probe.train()
            order = self.parts.fit[torch.randperm(len(self.parts.fit))]
            done = 0
            for some, rows, present in self.groups.batches(order):
                share = (epoch + done / len(order)) / self.num_epochs
                for settings in optimizer.param_groups:
                    settings["lr"] = learning_rate * min(1.0, share / WARM_UP + 0.01) * math.cos(0.5 * math.pi * share)
                loss = self._loss(probe(rows.to(self.device), present.to(self.device)), some)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                done += len(some)
            now = self._score(probe)
            if now > score:
                best, score, at = copy.deepcopy(probe), now, epoch + 1
        return _Trained(best, score, at, learning_rate, weight_decay)

    def answer(self, probe: AttentiveProbe, groups: Tensor) -> Tensor:
        probe.eval()
        with torch.inference_mode():
            batches = self.groups.batches(groups)
            found = torch.cat(
                [probe(rows.to(self.device), present.to(self.device)).cpu() for _, rows, present in batches]
            )
        return found.argmax(dim=1) if self.is_class else found * self.spread + self.centre

    def _score(self, probe: AttentiveProbe) -> float:
        score = accuracy if self.is_class else r_squared
        return score(self.answer(probe, self.parts.choose), self.targets[self.parts.choose])

    def _loss(self, found: Tensor, groups: Tensor) -> Tensor:
        true = self.targets[groups]
        if self.is_class:
            return F.cross_entropy(found, true.to(self.device))
        return F.mse_loss(found, ((true.float() - self.centre) / self.spread).to(self.device))
