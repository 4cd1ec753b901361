"""The published implementations' numbers in float64, at 1e-9 (tests/golden/README.md)."""

from collections.abc import Iterable

import pytest
import torch
from reference import TOLERANCE, array_error, cases, embedding_gradient_error, load, loss_error
from torch import Tensor, nn
from torch.nn import functional as F

from videossl.objectives import (
    AdaSSL,
    FixedBeta,
    MVInfoNCE,
    ViewGraph,
    expected_open_gates,
    gate_sample,
    gaussian_sample,
    kl_divergence,
    kl_per_dimension,
    mv_infonce,
)

PRINTED = {"alignment": "log_of_sum", "energy": "joint"}
FORMS = {
    "mvinfonce": {**PRINTED, "same_view_negatives": True},
    "mvinfonce_crossview": {**PRINTED, "same_view_negatives": False},
    "ntxent_pwe": {"same_view_negatives": True},
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
    loss = mv_infonce(z, temperature=tau, predictions=anchors(z) if edited else None, **FORMS[key])
    loss.backward()
    assert loss_error(loss, reference[f"{key}.loss"]) < TOLERANCE
    assert embedding_gradient_error(z, reference[f"{key}.grad"], tau, z.shape[1]) < TOLERANCE


@pytest.mark.parametrize("case", cases("adassl_ntxent.npz"))
def test_two_views_with_predictions_are_the_contrastive_loss_of_adassl(case: str) -> None:
    reference = load("adassl_ntxent.npz", case)
    tau = reference["tau"].item()
    predicted, targets, weight = (reference[name].requires_grad_() for name in ("cont", "targ", "weight"))
    # The pair (0, 1) predicts view 1: their `y_hat`, the second of (x_hat, y_hat).
    loss = mv_infonce(targets, temperature=tau / weight, same_view_negatives=True, predictions=predicted.flip(0))
    loss.backward()
    num_videos = targets.shape[1]
    assert loss_error(loss, reference["noclamp_loss"]) < TOLERANCE
    assert embedding_gradient_error(predicted, reference["noclamp_grad_cont"], tau, num_videos) < TOLERANCE
    assert embedding_gradient_error(targets, reference["noclamp_grad_targ"], tau, num_videos) < TOLERANCE
    assert array_error(weight.grad, reference["noclamp_grad_weight"]) < TOLERANCE


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


@pytest.mark.parametrize("case", [case for case in cases("adassl_model.npz") if case.endswith("-v")])
def test_a_complete_step_of_the_variational_variant_is_the_published_one(case: str) -> None:
    reference = load("adassl_model.npz", case)
    inputs = {name: reference[name].requires_grad_() for name in ("x", "y", "x_aug", "y_aug")}
    sharpness = reference["lambda_train"].requires_grad_()
    step = AdaSSL(
        MVInfoNCE(same_view_negatives=True),
        PublishedLatent(reference),
        PublishedEditor(reference),
        FixedBeta(reference["reg_beta"].item(), int(reference["warmup"])),
        normalise=False,
    )
    step.train(bool(reference["train"]))
    # Theirs learns a weight on the cosines: the temperature as a tensor.
    weight = F.softplus(sharpness) if reference["learnable_lambda"] else 1.0
    step.objective.temperature = reference["tau"].item() / weight
    views = torch.stack([inputs["x"], inputs["y"]])
    inference = torch.stack([inputs["x_aug"], inputs["y_aug"]]) if reference["additional_view"] else None
    loss = step(views, inference, noise=reference["noise"])
    loss.total.backward()

    assert array_error(loss.terms["objective"], reference["l_ssl"]) < TOLERANCE
    assert array_error(loss.terms["penalty"], reference["l_reg_weighted"]) < TOLERANCE
    assert array_error(loss.terms["kl_nats_per_pair"] * reference["reg_beta"], reference["l_reg_dirs"]) < TOLERANCE
    pairs = [(value.grad, reference[f"grad_{name}"]) for name, value in inputs.items() if value.grad is not None]
    pairs += [
        (parameter.grad, reference[key])
        for module in (step.latent, step.editor)
        for name, parameter in module.named_parameters()
        if (key := f"gw.{name}") in reference
    ]
    if "grad_lambda_train" in reference:
        pairs.append((sharpness.grad, reference["grad_lambda_train"]))
    assert len(pairs) >= 12
    for ours, theirs in pairs:
        assert array_error(ours, theirs) < TOLERANCE
    for module in (step.latent, step.editor):
        for name, buffer in module.named_buffers():
            if f"after.{name}" in reference:
                assert array_error(buffer, reference[f"after.{name}"]) < TOLERANCE
