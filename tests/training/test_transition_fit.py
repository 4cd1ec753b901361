import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from videossl.errors import UsageError
from videossl.models import (
    CodebookLatent,
    FlowMatchingPrior,
    GatePrior,
    GaussianLatent,
    MixturePrior,
    MLPEditor,
    MLPProjector,
    SharedMixturePrior,
    StandardNormalPrior,
    VideoTransformer,
    WorldModel,
)
from videossl.objectives import AdaSSL, Distillation, FixedBeta, InformationBudget, MVInfoNCE, NTXent, Pairwise, XSample
from videossl.training.embedded_pairs import Pairs
from videossl.training.pretraining import Pretraining
from videossl.training.prior_fit import mean_nats
from videossl.training.refit_settings import SharedStage, TransitionRefit
from videossl.training.rehearsal import rehearse
from videossl.training.settings import TrainingSettings
from videossl.training.transition_fit import _learn, fit_transition
from videossl.transition import DiagonalGaussian, kl_divergence

D, R = 8, 2
QUICK = TransitionRefit(max_steps=150, batch_size=64, learning_rate=5e-3)


def pairs(n: int = 400) -> Pairs:
    """Futures that are one of two turns away from their contexts; two pairs a video."""
    generator = torch.Generator().manual_seed(0)
    contexts = normalize(torch.randn(n, D, generator=generator), dim=-1)
    turns = torch.linalg.qr(torch.randn(2, D, D, generator=generator)).Q
    ways = torch.randint(0, 2, (n,), generator=generator)
    return Pairs(contexts, torch.einsum("nd,nde->ne", contexts, turns[ways]), torch.arange(n) // 2)


class FixedPrior(nn.Module):
    """Sure of an r that never comes."""

    def forward(self, context: torch.Tensor) -> DiagonalGaussian:
        mean = context.new_full((*context.shape[:-1], R), 9.0)
        return DiagonalGaussian(mean, torch.zeros_like(mean))


def adassl(latent: nn.Module | None, beta: FixedBeta | InformationBudget | None, **kwargs: object) -> AdaSSL:
    torch.manual_seed(0)
    editor = MLPEditor(D, latent.latent_dim if latent is not None else 0, hidden_dim=32)
    return AdaSSL(MVInfoNCE(temperature=0.1, graph="all"), latent, editor, beta, **kwargs)


@pytest.mark.parametrize(
    ("latent", "beta"),
    [
        (GaussianLatent(D, latent_dim=R, hidden_dim=32), InformationBudget(nats=1.0)),
        (CodebookLatent(D, num_codes=4, hidden_dim=32), FixedBeta(0.1)),
        (None, None),
    ],
    ids=["gaussian", "codes", "none"],
)
def test_an_untrained_transition_learns_the_turns_and_is_kept(latent, beta):
    trained = adassl(latent, beta)
    fit = fit_transition(trained, pairs(), QUICK, seed=0)
    assert fit.is_better
    assert fit.after < fit.before - 0.5
    assert (fit.num_pairs, fit.num_kept_out) == (360, 40)
    assert str(fit) == (
        f"transition: loss {fit.after:.3f} on 40 kept-out pairs after {QUICK.max_steps} steps, {fit.before:.3f} before "
        "(lower is better): kept"
    )


def test_a_transition_that_is_not_better_is_dropped_with_all_its_weights():
    trained = adassl(GaussianLatent(D, latent_dim=R, hidden_dim=32), InformationBudget(nats=1.0))
    fit_transition(trained, pairs(), QUICK, seed=0)
    before = {name: weight.clone() for name, weight in trained.state_dict().items()}
    broken = TransitionRefit(max_steps=60, batch_size=64, learning_rate=1e3)
    fit = fit_transition(trained, pairs(), broken, seed=0)
    assert not fit.is_better
    after = trained.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_where_the_end_is_no_better_the_best_state_on_the_way_is_taken(monkeypatch):
    trained = adassl(GaussianLatent(D, latent_dim=R, hidden_dim=32), InformationBudget(nats=1.0))
    judged = iter([1.0, 3.0, 2.0, 0.5, math.nan, 0.7, 3.0])  # before, the end, and all looks
    monkeypatch.setattr("videossl.training.transition_fit._judged", lambda *_: next(judged))
    fit = fit_transition(trained, pairs(), replace(QUICK, max_steps=50), seed=0)
    assert (fit.before, fit.after, fit.is_better, fit.step) == (1.0, 0.5, True, 20)


def test_the_same_seed_gives_the_same_transition_and_the_controller_of_the_training_stands_still():
    weights = []
    for _ in range(2):
        torch.manual_seed(1)
        trained = adassl(GaussianLatent(D, latent_dim=R, hidden_dim=32), InformationBudget(nats=1.0))
        trained.beta.update(torch.tensor([2.0, 0.1, 0.3]))  # of three pairs of views
        kept = trained.beta.log_beta.clone()
        fit_transition(trained, pairs(), QUICK, seed=0)
        assert torch.equal(trained.beta.log_beta, kept)
        weights.append(torch.cat([weight.flatten() for weight in trained.editor.state_dict().values()]))
    assert torch.equal(*weights)


def test_distillation_is_fitted_to_embeddings_that_stand_still():
    torch.manual_seed(0)
    trained = AdaSSL(Distillation(graph="forward"), None, MLPEditor(D, 0, hidden_dim=32))
    assert fit_transition(trained, pairs(), QUICK, seed=0).is_better


def test_the_refit_holds_a_budget_of_its_own():
    measured = []
    for nats in (None, 0.2):
        trained = adassl(GaussianLatent(D, latent_dim=R, hidden_dim=32), InformationBudget(nats=1.0, rate=0.1))
        fit_transition(trained, pairs(), replace(QUICK, max_steps=300, nats=nats), seed=0)
        assert trained.beta.nats == 1.0
        told = trained.latent.posterior(*pairs()[:2]), trained.latent.prior(pairs().contexts)
        measured.append(float(kl_divergence(*told).detach().mean()))
    assert measured[0] > 0.6
    assert measured[1] < 0.4


def test_a_prior_is_trained_along_and_the_budget_is_of_what_it_cannot_foresee():
    latent = GaussianLatent(D, latent_dim=R, hidden_dim=32, prior=StandardNormalPrior)
    trained = adassl(latent, InformationBudget(nats=1.0, rate=0.1))
    along = partial(MixturePrior, num_components=4, hidden_dim=32)
    fit = fit_transition(trained, pairs(), replace(QUICK, max_steps=400, nats=1.0, prior=along), seed=0)
    assert fit.is_better
    assert fit.has_new_prior is True
    assert isinstance(latent.prior_net, MixturePrior)
    assert mean_nats(latent, latent.prior_net, *pairs()[:2], seed=0) == pytest.approx(1.0, abs=0.2)
    standard_normal = StandardNormalPrior(D, R)
    assert mean_nats(latent, standard_normal, *pairs()[:2], seed=0) > 1.3


def test_a_shared_stage_learns_with_one_mixture_of_all_contexts_and_gives_the_prior_back_as_it_was(monkeypatch):
    latent = GaussianLatent(D, latent_dim=R, hidden_dim=32)  # its prior sees the context, and foresees r better
    trained = adassl(latent, InformationBudget(nats=1.0, rate=0.1))
    with torch.no_grad():
        for parameter in latent.prior_net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    prior, before = latent.prior_net, latent.prior(pairs().contexts)
    learned_with = []

    def learn(objective, learning, views, fitted, settings, seed):
        learned_with.append((objective.latent.prior_net, settings.nats, settings.max_steps))
        if len(learned_with) == 2:
            assert objective.latent.prior_net is prior
            torch.testing.assert_close(latent.prior(pairs().contexts), before)
        return _learn(objective, learning, views, fitted, settings, seed)

    monkeypatch.setattr("videossl.training.transition_fit._learn", learn)
    shared = SharedStage(num_components=3, max_steps=200, nats=1.5)
    settings = replace(QUICK, nats=1.0, prior=lambda *_: FixedPrior(), shared=shared)
    fit = fit_transition(trained, pairs(), settings, seed=0)
    mixture, *budget = learned_with[0]
    assert isinstance(mixture, SharedMixturePrior)
    assert (mixture.num_components, budget) == (3, [1.5, 200])
    assert learned_with[1][1:] == (1.0, QUICK.max_steps)
    assert fit.shared.has_new_prior is True
    assert fit.has_new_prior is False
    assert latent.prior_net is prior
    assert "kept, with a prior that all contexts share\ntransition: loss" in str(fit)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: TransitionRefit(shared=SharedStage()), "Set training.refit_transition.prior.*_transition.shared null"),
        (lambda: SharedStage(num_components=0), "num_components and max_steps .* >= 1, got 0 and 2500"),
        (lambda: SharedStage(nats=-1.0), "nats of a refit above 0"),
    ],
)
def test_a_shared_stage_that_cannot_be_is_refused(made, says):
    with pytest.raises(UsageError, match=says):
        made()


def test_a_seed_is_of_the_dropout_too():
    weights = []
    for before in (5, 6):
        torch.manual_seed(1)
        latent = GaussianLatent(D, latent_dim=R, hidden_dim=32, prior=partial(MixturePrior, dropout=0.5))
        trained = adassl(latent, InformationBudget(nats=1.0))
        torch.manual_seed(before)
        fit_transition(trained, pairs(), replace(QUICK, max_steps=20), seed=0)
        weights.append(torch.cat([weight.flatten() for weight in latent.prior_net.state_dict().values()]))
    assert torch.equal(*weights)


def test_a_fit_that_breaks_off_leaves_a_model_of_plain_layers(monkeypatch):
    latent = GaussianLatent(D, latent_dim=R, hidden_dim=32)
    trained = adassl(latent, InformationBudget(nats=1.0))
    names = list(trained.state_dict())
    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fit_transition(trained, pairs(), QUICK, seed=0)
    assert list(trained.state_dict()) == names


def test_a_prior_that_foresees_r_less_well_is_left_out_and_that_is_said():
    latent = GaussianLatent(D, latent_dim=R, hidden_dim=32)
    trained = adassl(latent, InformationBudget(nats=1.0))
    before = latent.prior_net
    settings = replace(QUICK, prior=lambda d, r: FixedPrior(), max_steps=30)
    fit = fit_transition(trained, pairs(), settings, seed=0)
    assert fit.has_new_prior is False
    assert latent.prior_net is before
    assert str(fit).endswith("no better than the old one, and was left out")


@pytest.mark.parametrize(
    ("made", "beta", "settings", "says"),
    [
        ((None, None), None, {}, "this model has none"),
        ((None, MLPEditor), None, {"rollout": True}, "Leave one of them out"),
        ((None, MLPEditor), None, {"nats": 1.0}, "nats=1 .* has no latent.*--training.refit_transition.nats null"),
        ((GaussianLatent, MLPEditor), FixedBeta(0.1), {"nats": 1.0}, "a FixedBeta as beta"),
        (
            (GaussianLatent, MLPEditor),
            FixedBeta(0.1),
            {"prior": MixturePrior, "shared": SharedStage(nats=2.0)},
            "shared.nats=2 .* a FixedBeta as beta.*_transition.shared.nats null",
        ),
        ((None, MLPEditor), None, {"prior": MixturePrior}, "prior .* has no latent"),
        (
            (CodebookLatent, MLPEditor),
            FixedBeta(0.1),
            {"prior": MixturePrior},
            "has a CodebookLatent.*_transition.prior null",
        ),
        ((GaussianLatent, MLPEditor), FixedBeta(0.1), {"prior": FlowMatchingPrior}, "training.refit.prior"),
        ((GaussianLatent, MLPEditor), FixedBeta(0.1), {"prior": GatePrior}, "no prior of a GaussianLatent"),
        ((GaussianLatent, MLPEditor), FixedBeta(0.1), {"prior": nn.Linear}, "is no prior: .*log_prob"),
        ((GaussianLatent, MLPEditor), FixedBeta(0.1), {"prior": MLPEditor}, "is no prior: .*latent"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_the_training(made, beta, settings, says):
    encoder = VideoTransformer(width=12, depth=1, num_heads=1, patch_size=8)
    model = WorldModel(encoder, partial(MLPProjector, embedding_dim=D), *made)
    training = TrainingSettings(
        refit_transition=replace(QUICK, **{name: value for name, value in settings.items() if name != "rollout"}),
        rollout=settings.get("rollout", False),
    )
    with pytest.raises(UsageError, match=says):
        Pretraining(model, MVInfoNCE(graph="forward"), beta, nn.Identity(), training)


@pytest.mark.parametrize("objective", [XSample(), NTXent(), Pairwise(), MVInfoNCE(graph=[(0, 2)])])
def test_objectives_of_other_graphs_are_rehearsed_and_refitted_on_pairs(objective):
    encoder = VideoTransformer(width=12, depth=1, num_heads=1, patch_size=8)
    model = WorldModel(encoder, partial(MLPProjector, embedding_dim=D), None, MLPEditor)
    module = Pretraining(model, objective, None, nn.Identity(), TrainingSettings(refit_transition=QUICK))
    rehearse(module, num_views=2 if objective.graph == "all" else 3, batch_size=4)
    assert fit_transition(module.objective, pairs(), QUICK, seed=0).is_better


@pytest.mark.parametrize(
    "setting",
    [
        {"batch_size": 1},
        {"max_steps": 0},
        {"max_videos": 15},
        {"kept_out_share": 1.0},
        {"learning_rate": 0.0},
        {"nats": 0.0},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(UsageError, match="of a refit"):
        TransitionRefit(**setting)
