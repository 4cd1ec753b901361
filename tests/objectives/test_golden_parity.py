"""The published implementations' numbers in float64, at 1e-9 (tests/golden/README.md)."""

import math
from collections.abc import Iterable
from functools import partial

import pytest
import torch
from reference import TOLERANCE, array_error, cases, embedding_gradient_error, load, loss_error
from torch import Tensor, nn
from torch.nn import functional as F

from videossl.objectives import (
    AdaSSL,
    FixedBeta,
    LowRankEditor,
    MVInfoNCE,
    ViewGraph,
    expected_open_gates,
    gate_sample,
    gaussian_sample,
    kl_divergence,
    kl_per_dimension,
    mv_infonce,
)
from videossl.objectives.mv_dhel import mv_dhel
from videossl.transition import Gates

PRINTED = {"alignment": "log_of_sum", "energy": "joint"}
FORMS = {  # name of the reference -> the objective, and what its value is less than the reference
    "mvinfonce": (partial(mv_infonce, **PRINTED, same_view_negatives=True), 0.0),
    "mvinfonce_crossview": (partial(mv_infonce, **PRINTED), 0.0),
    "ntxent_pwe": (partial(mv_infonce, same_view_negatives=True), 0.0),
    "cl_1": (partial(mv_infonce, alignment="log_of_sum", energy="per_anchor"), 0.0),
    "mvdhel": (mv_dhel, math.log(2)),  # theirs counts every unordered pair once
    "mvdhel_selfincl": (partial(mv_dhel, self_in_energy=True), 0.0),
    "cl_2": (partial(mv_dhel, alignment="log_of_sum_per_anchor"), 0.0),
}


def keys(case: str, wanted: Iterable[str]) -> list[str]:
    """The losses that the reference set has for this case: not all for its largest."""
    return [key for key in wanted if f"{key}.loss" in load("multiview.npz", case)]


def anchors(z: Tensor) -> Tensor:
    return ViewGraph.all_pairs(len(z)).anchors(z)


@pytest.mark.parametrize("edited", [False, True], ids=["views", "identity_editor"])
@pytest.mark.parametrize(("case", "key"), [(case, key) for case in cases("multiview.npz") for key in keys(case, FORMS)])
def test_multi_view_losses_and_gradients_are_those_of_the_published_code(case: str, key: str, edited: bool) -> None:
    reference = load("multiview.npz", case)
    z, tau = reference["z"].requires_grad_(), reference["tau"].item()
    objective, offset = FORMS[key]
    loss = objective(z, temperature=tau, predictions=anchors(z) if edited else None)
    loss.backward()
    assert loss_error(loss + offset, reference[f"{key}.loss"]) < TOLERANCE
    assert embedding_gradient_error(z, reference[f"{key}.grad"], tau, z.shape[1]) < TOLERANCE


@pytest.mark.parametrize("case", [case for case in cases("multiview.npz") if keys(case, ["mvdhel"])])
def test_over_pairs_forward_in_time_mv_dhel_has_the_value_of_the_published_code(case: str) -> None:
    reference = load("multiview.npz", case)
    loss = mv_dhel(reference["z"], temperature=reference["tau"].item(), graph="forward")
    assert loss_error(loss, reference["mvdhel.loss"]) < TOLERANCE


@pytest.mark.parametrize(("limit", "prefix"), [(20.0, ""), (None, "noclamp_")], ids=["clipped", "exact"])
@pytest.mark.parametrize("case", cases("adassl_ntxent.npz"))
def test_two_views_with_predictions_are_the_contrastive_loss_of_adassl(
    case: str, limit: float | None, prefix: str
) -> None:
    reference = load("adassl_ntxent.npz", case)
    tau = reference["tau"].item()
    predicted, targets, weight = (reference[name].requires_grad_() for name in ("cont", "targ", "weight"))
    # The pair (0, 1) predicts view 1: their `y_hat`, the second of (x_hat, y_hat).
    loss = mv_infonce(
        targets, temperature=tau / weight, same_view_negatives=True, predictions=predicted.flip(0), logit_limit=limit
    )
    loss.backward()
    num_videos = targets.shape[1]
    assert loss_error(loss, reference[f"{prefix}loss"]) < TOLERANCE
    for embeddings, name in ((predicted, "cont"), (targets, "targ")):
        wanted = reference[f"{prefix}grad_{name}"]
        assert embedding_gradient_error(embeddings, wanted, tau, num_videos) < TOLERANCE, name
    assert array_error(weight.grad, reference[f"{prefix}grad_weight"]) < TOLERANCE


@pytest.mark.parametrize("case", cases("adassl_latent.npz"))
def test_the_kl_divergence_is_the_published_one(case: str) -> None:
    reference = load("adassl_latent.npz", case)
    names = ("q_mu", "q_logvar", "p_mu", "p_logvar")
    q_mean, q_log_variance, p_mean, p_log_variance = (reference[name].requires_grad_() for name in names)
    posterior, prior = (q_mean, q_log_variance), (p_mean, p_log_variance)
    kl = kl_divergence(posterior, prior).mean()
    kl.backward()
    assert array_error(kl_per_dimension(posterior, prior), reference["kl_elem"]) < TOLERANCE
    assert array_error(kl, reference["kl"]) < TOLERANCE
    for name in names:
        assert array_error(reference[name].grad, reference[f"grad_{name}"]) < TOLERANCE, name


@pytest.mark.parametrize("case", cases("adassl_latent.npz"))
def test_the_reparameterised_draw_is_the_published_one(case: str) -> None:
    reference = load("adassl_latent.npz", case)
    mean, log_variance = reference["q_mu"].requires_grad_(), reference["q_logvar"].requires_grad_()
    sample = gaussian_sample(mean, log_variance, noise=reference["eps"])
    (sample * reference["cot"]).sum().backward()
    assert array_error(sample, reference["gauss_sample"]) < TOLERANCE
    assert array_error(mean.grad, reference["gauss_grad_mu"]) < TOLERANCE
    assert array_error(log_variance.grad, reference["gauss_grad_logvar"]) < TOLERANCE


@pytest.mark.parametrize("case", cases("adassl_latent.npz"))
def test_sparse_gates_and_their_penalty_are_the_published_ones(case: str) -> None:
    reference = load("adassl_latent.npz", case)
    logits = reference["logits"].requires_grad_()
    penalty = expected_open_gates(logits).mean()
    penalty.backward()
    assert array_error(penalty, reference["l0"]) < TOLERANCE
    assert array_error(logits.grad, reference["grad_l0"]) < TOLERANCE
    logits.grad = None
    gates = gate_sample(logits, noise=reference["u"])
    (gates * reference["cot"]).sum().backward()
    assert torch.equal(gates, reference["mask"])
    assert array_error(logits.grad, reference["mask_grad_logits"]) < TOLERANCE


@pytest.mark.parametrize("case", cases("adassl_model.npz", "s"))
def test_the_warm_up_of_a_fixed_beta_is_the_published_one(case: str) -> None:
    reference = load("adassl_model.npz", case)
    beta = FixedBeta(reference["reg_beta_target"].item(), int(reference["warmup"]))
    values = []
    for _ in range(len(reference["values"]) // 2):  # theirs is asked twice a step, once a direction
        values.append(beta.weights(2, torch.float64))
        beta.update(torch.zeros(2))
    assert array_error(torch.cat(values), reference["values"]) < TOLERANCE


class PublishedGaussian:
    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        self.mean, self.log_variance = mean, log_variance


def published_mlp(reference: dict[str, Tensor], name: str) -> nn.Sequential:
    start = f"w.{name}."
    weights = {key.removeprefix(start): value for key, value in reference.items() if key.startswith(start)}
    (hidden, inputs), (outputs, _) = weights["0.weight"].shape, weights["3.weight"].shape
    net = nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs, bias="3.bias" in weights),
    ).double()
    net.load_state_dict({**weights, "1.num_batches_tracked": torch.tensor(0)})
    return net


def each_pair(net: nn.Module, inputs: Tensor) -> Tensor:
    """Their networks see one direction at a time, which batch normalisation can tell."""
    return torch.stack([net(pair) for pair in inputs])


class PublishedLatent(nn.Module):
    def __init__(self, reference: dict[str, Tensor]) -> None:
        super().__init__()
        self.latent_predictor = published_mlp(reference, "latent_predictor")
        self.prior_net = published_mlp(reference, "prior_net")

    def posterior(self, context: Tensor, future: Tensor) -> PublishedGaussian:
        return self._gaussian(each_pair(self.latent_predictor, torch.cat([context, future], dim=-1)))

    def prior(self, context: Tensor) -> PublishedGaussian:
        return self._gaussian(each_pair(self.prior_net, context))

    @staticmethod
    def _gaussian(outputs: Tensor) -> PublishedGaussian:
        mean, raw = outputs.chunk(2, dim=-1)
        return PublishedGaussian(mean, 2 * torch.log(F.softplus(raw) + 1e-6))


class PublishedEditor(nn.Module):
    def __init__(self, reference: dict[str, Tensor]) -> None:
        super().__init__()
        self.editor = published_mlp(reference, "editor") if "w.editor.0.weight" in reference else None

    def forward(self, state: Tensor, latent: Tensor) -> Tensor:
        if self.editor is None:
            return state + latent
        return each_pair(self.editor, torch.cat([state, latent], dim=-1))


class PublishedSparseLatent(nn.Module):
    def __init__(self, reference: dict[str, Tensor]) -> None:
        super().__init__()
        self.latent_predictor = published_mlp(reference, "latent_predictor")

    def gates(self, context: Tensor, future: Tensor) -> Gates:
        return Gates(*each_pair(self.latent_predictor, torch.cat([context, future], dim=-1)).chunk(2, dim=-1))


class PublishedLowRankEditor(nn.Module):
    def __init__(self, reference: dict[str, Tensor]) -> None:
        super().__init__()
        latent_dim, embedding_dim = reference["w.editor_As.weight"].shape
        ours = LowRankEditor(embedding_dim, latent_dim).double()
        self.editor_As, self.editor_Bs = ours.read, ours.write  # ours under their names
        self.load_state_dict({key[2:]: value for key, value in reference.items() if key.startswith("w.editor_")})
        self.apply_to = ours.forward

    def forward(self, state: Tensor, latent: Tensor) -> Tensor:
        return self.apply_to(state, latent)


def published_parts(reference: dict[str, Tensor]) -> tuple[nn.Module, nn.Module]:
    if "w.editor_As.weight" in reference:
        return PublishedSparseLatent(reference), PublishedLowRankEditor(reference)
    return PublishedLatent(reference), PublishedEditor(reference)


@pytest.mark.parametrize("case", cases("adassl_model.npz", "c"))
def test_a_complete_step_of_adassl_is_the_published_one(case: str) -> None:
    reference = load("adassl_model.npz", case)
    inputs = {name: reference[name].requires_grad_() for name in ("x", "y", "x_aug", "y_aug")}
    sharpness = reference["lambda_train"].requires_grad_()
    beta = FixedBeta(reference["reg_beta"].item(), int(reference["warmup"]))
    step = AdaSSL(MVInfoNCE(same_view_negatives=True), *published_parts(reference), beta, normalise=False)
    step.train(bool(reference["train"]))
    # Theirs learns a weight on the cosines: the temperature as a tensor.
    weight = F.softplus(sharpness) if reference["learnable_lambda"] else 1.0
    step.objective.temperature = reference["tau"].item() / weight
    views = torch.stack([inputs["x"], inputs["y"]])
    inference = torch.stack([inputs["x_aug"], inputs["y_aug"]]) if reference["additional_view"] else None
    loss = step(views, inference, noise=reference["noise"])
    loss.total.backward()

    cost = loss.terms["open_gates_per_pair" if case.endswith("-s") else "kl_nats_per_pair"]
    assert array_error(loss.terms["objective"], reference["l_ssl"]) < TOLERANCE
    assert array_error(loss.terms["penalty"], reference["l_reg_weighted"]) < TOLERANCE
    assert array_error(cost * loss.terms["beta_per_pair"], reference["l_reg_dirs"]) < TOLERANCE
    assert array_error(loss.total, reference["l_ssl"] + reference["l_reg_weighted"]) < TOLERANCE
    gradients = {f"grad_{name}": value.grad for name, value in inputs.items() if value.grad is not None}
    gradients["grad_lambda_train"] = sharpness.grad if reference["learnable_lambda"] else torch.zeros_like(sharpness)
    for module in (step.latent, step.editor):
        gradients |= {f"gw.{name}": parameter.grad for name, parameter in module.named_parameters()}
        for name, buffer in module.named_buffers():
            if f"after.{name}" in reference:
                assert array_error(buffer, reference[f"after.{name}"]) < TOLERANCE
    for name in (name for name in reference if name.startswith(("grad_", "gw."))):
        if name in gradients or reference[name].any():  # they store zeros for inference views that they did not use
            assert array_error(gradients[name], reference[name]) < TOLERANCE, name
