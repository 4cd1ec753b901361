import math

import pytest
import torch
from torch import nn

from videossl.training.optimizer import adamw, parameter_groups, warmup_cosine


def test_only_matrices_are_decayed():
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Conv1d(2, 2, 1))
    decayed, free = parameter_groups(module, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert {tuple(p.shape) for p in decayed["params"]} == {(4, 3), (2, 2, 1)}
    assert free["weight_decay"] == 0
    assert len(free["params"]) == 4


def test_parameters_shared_by_two_modules_are_stepped_once():
    shared = nn.Linear(2, 2)
    assert (
        sum(
            len(group["params"])
            for group in adamw(nn.ModuleList([shared, shared]), learning_rate=1, weight_decay=0).param_groups
        )
        == 2
    )


def test_the_learning_rate_rises_then_falls_to_a_hundredth():
    optimizer = adamw(nn.Linear(1, 1), learning_rate=2.0, weight_decay=0.0)
    schedule = warmup_cosine(optimizer, warmup_steps=10, max_steps=110)
    rates = []
    for _ in range(111):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:10] == pytest.approx([2 * (step + 1) / 10 for step in range(10)])
    assert max(rates) == pytest.approx(2.0)
    assert rates[60] == pytest.approx(2 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 2))))
    assert rates[110] == pytest.approx(0.02)
    assert all(torch.tensor(rates[10:]).diff() <= 0)
