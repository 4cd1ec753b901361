import io
import json
import math

import pytest
import torch
from jsonargparse import auto_cli

from videossl.errors import UsageError
from videossl.objectives import Beta, FixedBeta, InformationBudget


def test_a_fixed_beta_warms_up_once_a_step_and_then_stays() -> None:
    beta = FixedBeta(0.4, warmup_steps=4)
    seen = []
    for _ in range(6):
        seen.append(beta.weights(3).tolist())
        beta.update(torch.zeros(3))
    torch.testing.assert_close(torch.tensor(seen)[:, 0], torch.tensor([0.1, 0.2, 0.3, 0.4, 0.4, 0.4]))
    assert all(len(set(row)) == 1 for row in seen)


def test_the_budget_follows_its_rule_for_every_pair_on_its_own() -> None:
    beta = InformationBudget(2.0, initial_beta=0.05, rate=0.01)
    torch.testing.assert_close(beta.weights(4), torch.full((4,), 0.05))
    beta.update(torch.tensor([0.0, 2.0, 3.0, 900.0]))
    change = torch.tensor([-0.01, 0.0, 0.005, 0.01])
    torch.testing.assert_close(beta.weights(4), 0.05 * change.exp())


def test_the_budget_holds_the_kl_of_a_toy_channel_whatever_its_signal() -> None:
    # Two channels of unlike value: r = gain * x + noise of deviation exp(log_sd), prior N(0, 1); decoding x from r by
    # the best linear rule leaves an error of sd^2 / (gain^2 + sd^2). The value of a nat falls as training goes on.
    nats = 1.2
    gain = torch.full((2,), 0.1, requires_grad=True)
    log_sd = torch.zeros(2, requires_grad=True)
    budget = InformationBudget(nats, initial_beta=0.05, rate=0.02)
    optimizer = torch.optim.Adam([gain, log_sd], lr=0.02)
    held = []
    for step in range(2500):
        variance = (2 * log_sd).exp()
        value = torch.tensor([1.0, 8.0]) * (1.0 if step < 1200 else 0.2)
        kl = 0.5 * (gain.square() + variance - 1) - log_sd  # mean over x ~ N(0, 1)
        loss = (value * variance / (gain.square() + variance) + budget.weights(2) * kl).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        budget.update(kl.detach())
        held.append(kl.detach())
    for window in (slice(1000, 1200), slice(2300, 2500)):
        kept = torch.stack(held[window])
        torch.testing.assert_close(kept.mean(0), torch.full((2,), nats), rtol=0.05, atol=0)
        assert kept.std(0).max() < 0.1 * nats
    prices = budget.weights(2)
    assert prices[1] > 4 * prices[0]  # the more a nat is worth, the more it must cost


def test_beta_stays_within_its_bounds_and_a_step_that_is_no_number_leaves_it() -> None:
    beta = InformationBudget(1.0, rate=1.0, lowest_beta=1e-3, highest_beta=10.0)
    for _ in range(20):
        beta.update(torch.tensor([0.0, 100.0, math.nan]))
    torch.testing.assert_close(beta.weights(3), torch.tensor([1e-3, 10.0, 0.05]))


@pytest.mark.parametrize("used_before", [False, True])
def test_the_state_of_the_controller_travels_in_the_checkpoint(used_before: bool) -> None:
    first = InformationBudget(1.0)
    first.update(torch.tensor([5.0, 0.1, 1.0]))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = InformationBudget(1.0)
    if used_before:
        second.weights(3)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(second.weights(3), first.weights(3))
    for beta in (first, second):
        beta.update(torch.tensor([0.0, 1.0, 9.0]))
    assert torch.equal(second.weights(3), first.weights(3))


def test_the_warm_up_travels_in_the_checkpoint() -> None:
    first, second = FixedBeta(1.0, warmup_steps=10), FixedBeta(1.0, warmup_steps=10)
    for _ in range(3):
        first.update(torch.zeros(2))
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.weights(2), first.weights(2))


def test_the_buffer_is_the_same_tensor_before_and_after_the_first_batch() -> None:
    # Distributed training keeps hold of the buffers it saw at the start.
    beta = InformationBudget(1.0)
    before = beta.log_beta
    with torch.inference_mode():  # as in a check of the held-out part before training
        beta.weights(2)
    beta.update(torch.ones(2))
    assert beta.log_beta is before


def test_another_number_of_pairs_is_refused() -> None:
    beta = InformationBudget(1.0)
    beta.weights(2)
    with pytest.raises(UsageError, match="expected 2 pairs of views, as this controller has seen, got 6"):
        beta.weights(6)


@pytest.mark.parametrize("options", [{"nats": 0.0}, {"nats": 1.0, "rate": 0.0}, {"nats": 1.0, "initial_beta": 1e-9}])
def test_an_impossible_budget_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected nats > 0"):
        InformationBudget(**options)


def test_an_impossible_fixed_beta_is_refused() -> None:
    with pytest.raises(UsageError, match="expected beta >= 0"):
        FixedBeta(-1.0)


def test_a_config_can_say_either() -> None:
    def train(beta: Beta) -> Beta:
        return beta

    for name, options in (("FixedBeta", {"beta": 0.1}), ("InformationBudget", {"nats": 2.4})):
        said = {"class_path": f"videossl.objectives.{name}", "init_args": options}
        beta = auto_cli(train, args=[f"--beta={json.dumps(said)}"], as_positional=False)
        assert type(beta).__name__ == name
        assert beta.weights(2).shape == (2,)
