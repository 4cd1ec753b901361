import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import auto_cli
from no_waiting import NothingWaits
from reference import GOLDEN, TOLERANCE, array_error, cases, load, loss_error
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from videossl.errors import UsageError
from videossl.objectives.critics import PairCritic, mlp
from videossl.objectives.factor_cl import FactorBounds, FactorCL, factor_cl
from videossl.objectives.information_bounds import club_bound, info_nce_bound

seeds = st.integers(0, 2**31)
quick = settings(max_examples=20, deadline=None)
SMALL = {"hidden_dim": 6}


def rows(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def streams(size: int = 5, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x1, x2 of widths 3 and 4, and augmentations near them."""
    x1, x2 = rows(size, 3, seed=seed, dtype=dtype), rows(size, 4, seed=seed + 1, dtype=dtype)
    near = [x + 0.1 * rows(*x.shape, seed=seed + 2, dtype=dtype) for x in (x1, x2)]
    return x1, x2, *near


def objective(**options: object) -> FactorCL:
    torch.manual_seed(0)
    return FactorCL(3, 4, **{**SMALL, **options}).double()


# The published implementation's numbers. Their CLUB critic takes [y, x].


def weights_of(reference: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {key.removeprefix(start): value for key, value in reference.items() if key.startswith(start)}


def load_critics(case: str) -> tuple[dict[str, Tensor], str]:
    """The numbers of a case, and the name of its activation."""
    with np.load(GOLDEN / "factorcl_critics.npz", allow_pickle=False) as arrays:
        kept = {key.removeprefix(f"{case}/"): arrays[key] for key in arrays.files if key.startswith(f"{case}/")}
    activation = str(kept.pop("activation"))
    return {key: torch.from_numpy(np.asarray(value)) for key, value in kept.items()}, activation


@pytest.mark.parametrize("case", cases("factorcl_critics.npz"))
@pytest.mark.parametrize("max_elements", [2**24, 1])
def test_critics_and_bounds_and_their_gradients_are_the_published_ones(case: str, max_elements: int) -> None:
    reference, activation = load_critics(case)
    (x_dim, y_dim) = (reference[name].shape[1] for name in "xy")
    kept, over_y = "infonce_bound_over_x", "infonce_bound_over_y"
    for kind, key, sign in (
        ("infonce", "infonce.official", -1),
        ("club", "club.official", 1),
        ("club", "club.learning_loss", -1),
    ):
        swap = y_dim if kind == "club" else 0
        weights = weights_of(reference, f"{kind}.w.")
        weights["0.weight"] = weights["0.weight"].roll(-swap, 1)
        hidden = [value for name, value in weights.items() if name.endswith("weight")]
        critic = PairCritic(
            x_dim,
            y_dim,
            hidden_dim=len(hidden[0]),
            num_hidden=len(hidden) - 1,
            activation=activation,
            max_elements=max_elements,
        ).double()
        critic.layers.load_state_dict(weights)
        x, y = (reference[name].clone().requires_grad_() for name in "xy")
        scores = critic(x, y)
        value = club_bound(scores, diagonal_kept=True) if key == "club.official" else info_nce_bound(scores)
        (sign * value).backward()
        assert array_error(scores, reference[f"{kind}.scores"]) < TOLERANCE
        assert loss_error(sign * value, reference[key]) < TOLERANCE
        assert loss_error(info_nce_bound(scores), reference[f"{kind}.{kept}"]) < TOLERANCE
        assert loss_error(info_nce_bound(scores.T), reference[f"{kind}.{over_y}"]) < TOLERANCE
        assert array_error(x.grad, reference[f"{key}.grad_x"]) < TOLERANCE
        assert array_error(y.grad, reference[f"{key}.grad_y"]) < TOLERANCE
        *others, last = list(critic.layers.named_parameters())
        for name, weight in others:
            theirs = reference[f"{key}.gw.{name}"]
            assert array_error(weight.grad, theirs.roll(-swap, 1) if name == "0.weight" else theirs) < TOLERANCE, name
        assert last[1].grad.abs() < 1e-14  # adds to all scores alike: what they stored is rounding
    assert loss_error(club_bound(scores), reference["club.offdiag_version"]) < TOLERANCE


def published(reference: dict[str, Tensor], name: str) -> nn.Sequential:
    weights = weights_of(reference, f"w.{name}.")
    (hidden, inputs), outputs = weights["0.weight"].shape, len(weights["4.bias"])
    net = mlp(inputs, hidden, outputs, 2, "relu").double()
    net.load_state_dict(weights)
    return net


def published_factor_cl(reference: dict[str, Tensor], label_dim: int | None) -> FactorCL:
    """Their critics see the class as a number and on one side, or an embedding twice: all special weights of ours."""
    ours = FactorCL(
        4,
        4,
        label_dim=label_dim,
        heads="per_bound",
        conditional="concatenated",
        sum_of="bounds",
        diagonal_kept=True,
        hidden_dim=10,
    ).double()
    names = {
        "nce_12": "infonce_x1x2",
        "club_12": "club_x1x2",
        "nce_1": "infonce_x1y",
        "nce_2": "infonce_x2y",
        "nce_12_given": "infonce_x1x2_cond",
        "club_12_given": "club_x1x2_cond",
    }
    for name, theirs in names.items():
        for stream in (1, 2):
            if f"{name}_{stream}" in ours.heads:
                head = f"linears_{theirs}" + ("" if theirs.endswith("y") else f".{stream - 1}")
                ours.heads[f"{name}_{stream}"].load_state_dict(published(reference, head).state_dict())
        critic = (ours.frozen_critics if name.startswith("club") else ours.critics)[name]
        weights = weights_of(reference, f"w.{theirs}._f.")
        first = weights["0.weight"]
        if name.startswith("club"):
            y_dim = 4 if name == "club_12" or label_dim else 8
            first = first.roll(-y_dim, 1)
        if label_dim is None and name == "club_12_given":  # [x1, x1], [x2, x2]
            x, y = first.split(8, dim=1)
            first = torch.cat([x[:, :4] + x[:, 4:], 0 * x[:, :4], y[:, :4] + y[:, 4:], 0 * x[:, :4]], dim=1)
        if label_dim is not None and name in ("nce_1", "nce_2"):  # the number of the class
            first = torch.cat([first[:, :4], first[:, 4:] * torch.arange(label_dim)], dim=1)
        if label_dim is not None and name.endswith("given"):  # [x1, label], x2
            first = torch.cat([first, torch.zeros(10, label_dim)], dim=1)
        critic.layers.load_state_dict({**weights, "0.weight": first})
    return ours


@pytest.mark.parametrize("case", cases("factorcl_composed.npz"))
def test_the_complete_objective_and_its_critic_step_are_the_published_ones(case: str) -> None:
    reference = load("factorcl_composed.npz", case)
    supervised = case.endswith("sup")
    ours = published_factor_cl(reference, 3 if supervised else None)
    raw = [reference[name].requires_grad_() for name in ("x1", "x2", "x1_aug", "x2_aug")]
    backbones = [published(reference, f"backbones.{stream}") for stream in (0, 1)]
    embeddings = [backbones[index % 2](x) for index, x in enumerate(raw)]
    labels = reference["y"][:, 0].long() if supervised else None
    arguments = embeddings[:2] if supervised else embeddings
    loss = ours(*arguments, labels=labels)
    loss.total.backward()
    signs = torch.tensor([-1 if name.startswith("nce") else 1 for name in FactorBounds._fields])
    terms = signs * torch.stack([loss.terms[name] for name in FactorBounds._fields])
    for value, theirs in zip(terms, reference["terms"], strict=True):
        assert loss_error(value, theirs) < TOLERANCE
    assert loss_error(loss.total, reference["total"]) < TOLERANCE
    assert loss_error(ours.learning_loss(*arguments, labels=labels).total, reference["learning_loss"]) < TOLERANCE
    assert array_error(raw[0].grad, reference["grad_x1"]) < TOLERANCE
    assert array_error(raw[1].grad, reference["grad_x2"]) < TOLERANCE


# Bounds.


@quick
@given(seed=seeds, size=st.integers(2, 9), scale=st.floats(0.01, 100))
def test_the_bounds_are_their_formulas(seed: int, size: int, scale: float) -> None:
    scores = scale * rows(size, size, seed=seed)
    off = scores[~torch.eye(size, dtype=torch.bool)]
    plain = math.log(size) + (scores.diagonal() - torch.logsumexp(scores, 1)).mean()
    torch.testing.assert_close(info_nce_bound(scores), plain, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(club_bound(scores), scores.diagonal().mean() - off.mean(), rtol=1e-9, atol=1e-10)
    kept = club_bound(scores, diagonal_kept=True)
    torch.testing.assert_close(kept, scores.diagonal().mean() - scores.mean(), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(kept, club_bound(scores) * (size - 1) / size, rtol=1e-12, atol=1e-14)
    assert info_nce_bound(scores) <= math.log(size) + 1e-12


@quick
@given(seed=seeds)
def test_order_of_the_videos_and_offsets_of_the_rows_change_no_bound(seed: int) -> None:
    scores, offsets = rows(6, 6, seed=seed), 10 * rows(6, 1, seed=seed + 1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    for bound in (info_nce_bound, club_bound):
        torch.testing.assert_close(bound(scores[order][:, order]), bound(scores), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(bound(scores + offsets), bound(scores), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_chance_is_zero_and_perfection_log_n(dtype: torch.dtype) -> None:
    flat, sure = torch.full((64, 64), 3.0, dtype=dtype), 1e4 * torch.eye(64, dtype=dtype)
    assert abs(info_nce_bound(flat)) < 1e-6
    assert club_bound(flat) == 0
    assert info_nce_bound(sure).item() == pytest.approx(math.log(64))
    assert info_nce_bound(sure).dtype == torch.promote_types(dtype, torch.float32)
    assert info_nce_bound(-sure).isfinite()


def test_an_offset_that_float32_can_hold_costs_the_bounds_nothing() -> None:
    scores = rows(64, 64, seed=0, dtype=torch.float32).mul(64).round().div(64)  # exact beside the offset
    for bound in (info_nce_bound, club_bound):
        torch.testing.assert_close(bound(scores + 4096), bound(scores), rtol=1e-5, atol=1e-6)


# Two Gaussians of correlation r: I = -log(1 - r^2) / 2, and the expected NCE-CLUB is r^2 / (1 - r^2).


def test_with_the_optimal_critic_the_bounds_are_the_known_information() -> None:
    r, size = 0.7, 3000
    x, noise = rows(size, seed=0), rows(size, seed=1)
    y = r * x + math.sqrt(1 - r * r) * noise
    ratio = (2 * r * x * y[:, None] - r * r * (x * x + (y * y)[:, None])) / (2 * (1 - r * r))
    assert info_nce_bound(ratio).item() == pytest.approx(-math.log(1 - r * r) / 2, abs=0.03)
    assert club_bound(ratio).item() == pytest.approx(r * r / (1 - r * r), abs=0.08)


def noisy(size: int, shared: bool, generator: torch.Generator) -> list[Tensor]:
    """x1, x2, x1', x2': four noisy looks at the content of their stream, which the streams may share."""
    content = torch.randn(2, size, 1, generator=generator)
    one, two = content[0], content[0 if shared else 1]
    return [c + 0.5 * torch.randn(size, 1, generator=generator) for c in (one, two, one, two)]


def estimates(shared: bool, conditional: str, steps: int = 90) -> dict[str, float]:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    estimator = FactorCL(1, 1, heads="none", conditional=conditional, hidden_dim=24, num_hidden=1)
    optimizer = torch.optim.Adam(estimator.parameters(), 0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.03, total_steps=steps)
    for _ in range(steps):
        batch = noisy(48, shared, generator)
        optimizer.zero_grad()
        (estimator(*batch).total + estimator.learning_loss(*batch).total).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return {name: value.item() for name, value in estimator(*noisy(1000, shared, generator)).terms.items()}


def test_trained_critics_find_what_is_shared_and_what_is_not() -> None:
    information = -math.log(1 - 0.8**2) / 2  # of any two looks at one content: 0.51 nats
    together, apart = estimates(True, "chain_rule"), estimates(False, "chain_rule")
    for got in (together["nce_12"], together["nce_1"], apart["nce_1"], apart["nce_2"]):
        assert got == pytest.approx(information, abs=0.12)
    assert together["club_12"] > information  # above: its own limit is 1.78
    assert together["nce_12_given"] < 0.3 * together["nce_12"]  # what two more looks do not explain: 0.05
    assert together["shared"] > 0.15
    for name in ("nce_12", "club_12", "nce_12_given", "club_12_given", "shared"):
        assert abs(apart[name]) < 0.12, name
    assert apart["unique_1"] == pytest.approx(information, abs=0.12)
    assert apart["unique_1"] > together["unique_1"] + 0.5


def test_the_published_condition_says_that_nothing_is_shared() -> None:
    # It bounds I(X1,X1'; X2,X2'), here 3.76, and not what is left of 0.51 given the augmentations, 0.05.
    got = estimates(True, "concatenated", steps=40)
    assert got["nce_12"] > 0.35
    assert got["shared"] < -0.5


# Critics.


@quick
@given(
    seed=seeds, num_hidden=st.integers(1, 3), limit=st.integers(1, 200), act=st.sampled_from(["relu", "tanh", "gelu"])
)
def test_scores_are_those_of_the_network_on_every_pair_whatever_the_limit(
    seed: int, num_hidden: int, limit: int, act: str
) -> None:
    torch.manual_seed(seed)
    critic = PairCritic(3, 2, hidden_dim=5, num_hidden=num_hidden, activation=act, max_elements=limit).double()
    x, y = rows(6, 3, seed=seed).requires_grad_(), rows(4, 2, seed=seed + 1).requires_grad_()
    pairs = torch.cat([x.repeat(4, 1), y.repeat_interleave(6, 0)], dim=1)
    direction = rows(4, 6, seed=seed + 2)
    inputs = [x, y, *critic.parameters()]
    plain = critic.layers(pairs).view(4, 6)
    torch.testing.assert_close(critic(x, y), plain, rtol=1e-10, atol=1e-12)
    wanted = torch.autograd.grad(plain, inputs, direction)
    got = torch.autograd.grad(critic(x, y), inputs, direction)
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


class _Largest(TorchDispatchMode):
    """Numbers in the largest tensor made."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return made


def test_no_more_hidden_numbers_are_made_at_once_than_the_limit_or_one_row() -> None:
    size, hidden = 64, 32
    x, y = rows(size, 8, seed=0).requires_grad_(), rows(size, 8, seed=1).requires_grad_()
    made = []
    for limit in (2**24, 2**14, 1):
        with _Largest() as largest:
            critic = PairCritic(8, 8, hidden_dim=hidden, max_elements=limit).double()
            info_nce_bound(critic(x, y)).backward()
        made.append(largest.numbers)
    assert made == [size * size * hidden, 2**14, size * size]


def test_a_frozen_critic_gives_its_gradient_to_the_embeddings_only() -> None:
    critic = PairCritic(3, 2, hidden_dim=5, max_elements=40).double()
    x, y = rows(6, 3, seed=0).requires_grad_(), rows(6, 2, seed=1).requires_grad_()
    frozen = torch.autograd.grad(club_bound(critic(x, y, frozen=True)), [x, y])
    free = torch.autograd.grad(club_bound(critic(x, y)), [x, y])
    club_bound(critic(x, y, frozen=True)).backward()
    assert all(torch.equal(one, two) for one, two in zip(frozen, free, strict=True))
    assert all(weight.grad is None for weight in critic.parameters())


# The objective.

VARIANTS = [
    {"heads": heads, "conditional": conditional, "sum_of": sum_of, "label_dim": label_dim}
    for heads in ("none", "per_factor", "per_bound")
    for conditional, sum_of in (("chain_rule", "factors"), ("concatenated", "bounds"))
    for label_dim in (None, 3)
]


def arguments(options: dict[str, object], batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    named = dict(zip(("x1", "x2", "x1_aug", "x2_aug"), batch, strict=True))
    if options["label_dim"] is None:
        return named
    return {"x1": named["x1"], "x2": named["x2"], "labels": torch.arange(len(batch[0])) % 3}


def test_terms_and_totals_are_the_documented_sums() -> None:
    bounds = FactorBounds(*rows(6, seed=0).requires_grad_())
    both, shared = bounds.nce_12_given - bounds.club_12, bounds.nce_12 - bounds.club_12_given
    factors, once = factor_cl(bounds), factor_cl(bounds, sum_of="bounds")
    assert factors.terms == once.terms
    assert not any(term.requires_grad for term in factors.terms.values())
    torch.testing.assert_close(factors.terms["shared"], shared.detach())
    torch.testing.assert_close(factors.terms["unique_1"], (bounds.nce_1 + both).detach())
    torch.testing.assert_close(factors.terms["unique_2"], (bounds.nce_2 + both).detach())
    torch.testing.assert_close(factors.total, -sum(factors.terms[f] for f in ("shared", "unique_1", "unique_2")))
    torch.testing.assert_close(once.total, factors.total + both)
    lower = bounds.nce_12 + bounds.nce_1 + bounds.nce_2 + bounds.nce_12_given
    torch.testing.assert_close(once.total, bounds.club_12 + bounds.club_12_given - lower)


@pytest.mark.parametrize("seed", range(6))
def test_the_default_is_the_chain_rule_on_the_head_of_the_factor_and_information_is_never_negative(seed: int) -> None:
    net, (x1, x2, a1, a2) = objective(activation="tanh"), streams(seed=seed)
    for critic in net.frozen_critics.values():
        nn.init.normal_(critic.layers[-1].weight, generator=torch.Generator().manual_seed(seed))
    s1, s2, sa1, sa2 = (net.heads[f"shared_{k}"](x) for k, x in ((1, x1), (2, x2), (1, a1), (2, a2)))
    u1, u2, ua1, ua2 = (net.heads[f"unique_{k}"](x) for k, x in ((1, x1), (2, x2), (1, a1), (2, a2)))
    nce, club = net.critics, net.frozen_critics
    condition = info_nce_bound(club["nce_condition"](u1, torch.cat([ua1, ua2], 1)))  # of either sign
    rest = club_bound(club["club_12_given"](s1, torch.cat([s2, sa1, sa2], 1)))
    rest = rest - club_bound(club["club_condition"](s1, torch.cat([sa1, sa2], 1)))
    wanted = {
        "nce_12": info_nce_bound(nce["nce_12"](s1, s2)),
        "club_12": club_bound(club["club_12"](u1, u2)),
        "nce_1": info_nce_bound(nce["nce_1"](u1, ua1)),
        "nce_2": info_nce_bound(nce["nce_2"](u2, ua2)),
        "nce_12_given": info_nce_bound(nce["nce_12_given"](u1, torch.cat([u2, ua1, ua2], 1)))
        - max(0 * condition, condition),
        "club_12_given": max(0 * rest, rest),
    }
    terms = net(x1, x2, a1, a2).terms
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-9, atol=1e-12, check_dtype=False)


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(map(str, o.values())))
def test_each_loss_trains_its_own_part_and_together_they_train_everything(options: dict[str, object]) -> None:
    net = objective(**options)
    batch = [x.requires_grad_() for x in streams()]
    given_ = arguments(options, tuple(batch))
    critics, others = net.critic_parameters(), net.non_critic_parameters()
    assert len(critics) + len(others) == len(list(net.parameters()))
    total = net(**given_).total
    total.backward()
    assert all(weight.grad is None for weight in critics)
    assert all(weight.grad is not None for weight in others)
    assert all(x.grad is not None for name, x in given_.items() if name != "labels")
    apart = [weight.grad.clone() for weight in others]
    net.zero_grad()
    for x in batch:
        x.grad = None
    net.learning_loss(**given_).total.backward()
    assert all(x.grad is None for x in batch)
    assert all(weight.grad is None for weight in others)
    apart += [weight.grad.clone() for weight in critics]
    net.zero_grad()
    (net(**given_).total + net.learning_loss(**given_).total).backward()
    assert all(torch.equal(weight.grad, alone) for weight, alone in zip([*others, *critics], apart, strict=True))


@pytest.mark.parametrize("options", VARIANTS[:4] + VARIANTS[6:8], ids=lambda o: "-".join(map(str, o.values())))
def test_order_of_the_videos_does_not_matter_and_collapse_is_zero(options: dict[str, object]) -> None:
    net, batch = objective(**options), streams(6)
    given_ = arguments(options, batch)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    value = net(**given_).total
    torch.testing.assert_close(net(**{name: x[order] for name, x in given_.items()}).total, value)
    collapsed = {name: x[:1].expand_as(x) for name, x in given_.items()}
    assert all(abs(term) < 1e-12 for term in net(**collapsed).terms.values())
    assert abs(net(**collapsed).total) < 1e-12


def test_the_scale_of_the_embeddings_matters() -> None:
    net, batch = objective(), streams()
    assert net(*batch).total != net(*(3 * x for x in batch)).total


def test_labels_as_classes_are_labels_as_one_hot_vectors() -> None:
    net, (x1, x2, *_) = objective(label_dim=3), streams()
    classes = torch.tensor([0, 2, 1, 1, 0])
    one_hot = nn.functional.one_hot(classes, 3).double()
    assert torch.equal(net(x1, x2, labels=classes).total, net(x1, x2, labels=one_hot).total)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("kind", ["random", "collapsed", "near_duplicate", "large"])
def test_float32_and_autocast_give_the_gradient_of_float64(kind: str, autocast: bool) -> None:
    batch = streams(24)
    if kind == "collapsed":
        batch = tuple(x[:1] + 1e-3 * x for x in batch)
    elif kind == "near_duplicate":
        batch = tuple(torch.cat([x[:12], x[:12] + 1e-4 * x[12:]]) for x in batch)
    elif kind == "large":
        batch = tuple(30 * x for x in batch)
    # A smooth critic: the slope of a relu jumps where rounding crosses its corner.
    double = objective(heads="none", hidden_dim=16, activation="tanh")
    single = FactorCL(3, 4, heads="none", hidden_dim=16, activation="tanh")
    single.load_state_dict(double.state_dict())
    double.load_state_dict(single.state_dict())  # the same weights to the last digit
    low = [x.float().requires_grad_() for x in batch]
    high = [x.detach().double().requires_grad_() for x in low]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = single(*low)
    loss.total.backward()
    exact = double(*high)
    exact.total.backward()
    assert loss.total.dtype == torch.float32
    torch.testing.assert_close(loss.total.double(), exact.total, rtol=1e-4, atol=1e-5)
    for one, two in zip(low, high, strict=True):
        assert (one.grad - two.grad).abs().max() / two.grad.abs().max() < 1e-3


def test_bfloat16_embeddings_and_weights_give_a_float32_value() -> None:
    net = FactorCL(3, 4, heads="none", **SMALL).to(torch.bfloat16)
    loss = net(*streams(dtype=torch.bfloat16))
    assert loss.total.dtype == torch.float32
    assert loss.total.isfinite()


@pytest.mark.parametrize("options", VARIANTS[4:8], ids=lambda o: "-".join(map(str, o.values())))
def test_no_step_makes_the_host_wait_for_the_device(options: dict[str, object]) -> None:
    net, given_ = objective(**options, max_elements=60), arguments(options, streams())
    with NothingWaits():
        net(**given_).total.backward()
        net.learning_loss(**given_).total.backward()


def share_of_variance(features: Tensor, cause: Tensor) -> float:
    """Of the features (size, D), what is linear in the cause (size, 1)."""
    inputs = torch.cat([cause, torch.ones_like(cause)], dim=1)
    left = features - inputs @ torch.linalg.lstsq(inputs, features).solution
    return 1 - (left.var(dim=0).sum() / features.var(dim=0).sum()).item()


def test_the_recipe_gives_the_shared_content_to_the_shared_head() -> None:
    def batch(size: int) -> list[Tensor]:
        """Looks at (shared content, own content)."""
        return [torch.cat(looks, 1) for looks in zip(noisy(size, True, g), noisy(size, False, g), strict=True)]

    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    encoders = nn.ModuleList([nn.Linear(2, 8), nn.Linear(2, 8)])
    net = FactorCL(8, 8, hidden_dim=32, num_hidden=1, activation="gelu")
    critics = torch.optim.Adam(net.critic_parameters(), 0.01)
    others = torch.optim.Adam([*encoders.parameters(), *net.non_critic_parameters()], 0.01)
    for _ in range(60):
        looks = [encoders[index % 2](x) for index, x in enumerate(batch(48))]
        others.zero_grad()
        net(*looks).total.backward()
        others.step()
        critics.zero_grad()
        net.learning_loss(*looks).total.backward()
        critics.step()
    with torch.no_grad():
        raw = batch(1000)
        head = net.heads["shared_1"](encoders[0](raw[0]))
        loss = net(*(encoders[index % 2](x) for index, x in enumerate(raw)))
    assert loss.total < -0.5
    assert loss.terms["nce_12"] > 0.2
    shared, own = (share_of_variance(head, raw[0][:, [which]]) for which in (0, 1))
    assert shared > 0.7
    assert own < 0.15


@pytest.mark.parametrize(
    ("options", "given_", "message"),
    [
        ({"heads": "two"}, {}, "heads to be one of none, per_factor, per_bound, got 'two'"),
        ({"conditional": "chained"}, {}, "conditional to be one of chain_rule, concatenated"),
        ({"sum_of": "terms"}, {}, "sum_of to be one of factors, bounds"),
        ({"activation": "elu"}, {}, "activation out of relu, tanh, gelu, got 'elu'"),
        ({"hidden_dim": 0}, {}, "hidden_dim=0"),
        ({"num_hidden": 0}, {}, "num_hidden=0"),
        ({"label_dim": 0}, {}, "of at least 1, got 3, 0"),
        ({"max_elements": 0}, {}, "max_elements of at least 1"),
        ({}, {"labels": torch.zeros(5, dtype=torch.int64)}, "no labels: this objective is self-supervised"),
        ({}, {"x1_aug": None}, "expected x1_aug and x2_aug"),
        ({}, {"x2": torch.ones(5, 3)}, r"shapes \(B, 3\) and \(B, 4\), got \(5, 3\) and \(5, 3\)"),
        ({}, {"x2": torch.ones(4, 4)}, r"got \(5, 3\) and \(4, 4\)"),
        ({}, {"x2_aug": torch.ones(5, 3)}, r"augmentations in the shapes of their streams"),
        ({"label_dim": 3}, {}, "labels and no augmentations: this objective is supervised, label_dim=3"),
        (
            {"label_dim": 3},
            {"x1_aug": None, "x2_aug": None, "labels": torch.ones(5, 2)},
            r"\(B, label_dim\) = \(5, 3\), got \(5, 2\)",
        ),
    ],
)
def test_wrong_use_says_what_is_wanted(options: dict[str, object], given_: dict[str, Tensor], message: str) -> None:
    batch = dict(zip(("x1", "x2", "x1_aug", "x2_aug"), streams(), strict=True))
    with pytest.raises(UsageError, match=message):
        objective(**options)(**{**batch, **given_})


@pytest.mark.parametrize("bound", [info_nce_bound, club_bound])
def test_bounds_refuse_what_is_not_a_batch_of_all_pairs(bound: object) -> None:
    for shape, message in (((3, 4), r"shape \(B, B\), got \(3, 4\)"), ((5,), r"got \(5,\)"), ((1, 1), "at least 2")):
        with pytest.raises(UsageError, match=message):
            bound(torch.zeros(shape))
    with pytest.raises(UsageError, match="sum_of"):
        factor_cl(FactorBounds(*torch.zeros(6)), sum_of="terms")
    with pytest.raises(UsageError, match=r"x of shape \(X, 3\) and y of shape \(Y, 2\)"):
        PairCritic(3, 2)(torch.zeros(4, 2), torch.zeros(4, 2))


def test_a_config_can_say_it() -> None:
    def train(objective: nn.Module) -> nn.Module:
        return objective

    said = {
        "class_path": "videossl.objectives.factor_cl.FactorCL",
        "init_args": {"dim_1": 3, "dim_2": 4, "hidden_dim": 8, "label_dim": 5, "heads": "per_bound"},
    }
    made = auto_cli(train, args=[f"--objective={json.dumps(said)}"], as_positional=False)
    assert isinstance(made, FactorCL)
    assert (made.heads_are, made.label_dim) == ("per_bound", 5)
