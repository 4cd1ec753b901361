"""Other people's models: a plain class is enough, and what it lacks or returns wrongly is said in one line."""

import pytest
import torch
from fake_models import KnowingModel, little_world, real_video, twin
from torch import Tensor

from videossl.errors import UsageError, WorkError
from videossl.evaluation import evaluate, future_scores
from videossl.evaluation.check_model import check_future_model, checked_embeddings, checked_futures
from videossl.evaluation.of_run import evaluate_run
from videossl.types import Embeddings


class Plain:
    """A deterministic model that is no Module and has nothing but what is asked of every model."""

    latent = None

    def __init__(self) -> None:
        self._inside = twin()

    def embed(self, frames: Tensor) -> Embeddings:
        return self._inside.embed(frames)

    def sample_futures(self, states: Tensor, *, num_samples: int, horizon: int = 1, seed: int = 0) -> Tensor:
        return self._inside.sample_futures(states, num_samples=num_samples, horizon=horizon, seed=seed)

    def mean_future(self, states: Tensor) -> Tensor:
        return self._inside.mean_future(states)


def changed(method: str, change) -> KnowingModel:
    """A model one method of which returns something else."""
    model = KnowingModel()
    own = getattr(model, method)
    setattr(model, method, lambda *given, **options: change(own(*given, **options)))
    return model


def test_a_plain_class_is_scored_as_the_module_that_it_hides():
    assert future_scores(Plain(), little_world()) == future_scores(twin(), little_world())


def test_a_plain_class_that_cannot_be_made_anew_is_told_how_to_do_without():
    with pytest.raises(UsageError, match=r"Plain without reinitialised\. .* evaluate with untrained=False"):
        evaluate(Plain(), None, little_world())


class NoLatent(Plain):
    latent = property()  # asked for it, Python says that there is none


def test_what_a_model_lacks_is_named_before_anything_is_computed():
    with pytest.raises(UsageError, match=r"got NoLatent without latent\. Set latent = None if it is deterministic"):
        future_scores(NoLatent(), little_world())
    with pytest.raises(UsageError, match=r"got object without embed, sample_futures, mean_future, latent"):
        check_future_model(object())


class OneAnswer:
    """What a twin needs, and no more."""

    def __init__(self):
        self.embed, self.mean_future = KnowingModel().embed, KnowingModel().mean_future


def test_of_a_twin_one_answer_is_asked_and_nothing_else():
    metrics = evaluate(KnowingModel(), OneAnswer(), little_world(), num_samples=4)
    assert "twin" in {row["key"] for row in metrics["rows"]}
    with pytest.raises(UsageError, match=r"a twin with embed and mean_future, got object without embed, mean_future"):
        evaluate(KnowingModel(), object(), little_world())


def test_a_latent_asks_for_more_methods():
    model = Plain()
    model.latent = "known"
    with pytest.raises(UsageError, match=r"got Plain without posterior_futures, latent_distributions"):
        check_future_model(model)
    check_future_model(KnowingModel(), untrained=True)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (changed("embed", lambda found: found.embedding), r"videossl.types.Embeddings, got Tensor without represent"),
        (
            changed("embed", lambda found: Embeddings(found.representation, found.embedding[:, None], found.frames)),
            r"embed\(\.\.\.\)\.embedding of shape \(B, D\) = \(64, D\), got \(64, 1, 8\)",
        ),
        (
            changed("embed", lambda found: Embeddings(found.representation, found.embedding, found.embedding)),
            r"frames of shape \(B, T', E\) = \(64, T', E\), got \(64, 8\)\. Add the axis T': \[:, None\]",
        ),
        (
            changed("sample_futures", lambda found: torch.cat([found, found[:, :1]], dim=1)),
            r"sample_futures of shape \(B, K, S, D\) = \(48, 256, 1, 8\), got \(48, 257, 1, 8\)",
        ),
        (
            changed("sample_futures", lambda found: found[:, :, 0]),
            r"sample_futures of shape \(B, K, S, D\) .* got \(48, 256, 8\)\. Add the axis S: \[:, :, None\]",
        ),
        (changed("sample_futures", lambda found: found.numpy()), r"sample_futures to be a tensor .* got ndarray"),
        (changed("mean_future", lambda found: found[:, :5]), r"mean_future of shape \(B, D\) .* got \(48, 5\)"),
        (
            changed("posterior_futures", lambda found: found[:, 0]),
            r"posterior_futures of shape \(B, K, D\) .* Add the axis K: \[:, None\]",
        ),
    ],
)
def test_what_a_model_returns_wrongly_is_said_where_it_returns_it(model, message):
    with pytest.raises(UsageError, match=message):
        evaluate(model, None, real_video(), num_samples=4, untrained=False)


@pytest.mark.parametrize("method", ["embed", "sample_futures", "mean_future"])
def test_a_model_that_gives_nan_is_said_to_have_diverged(method):
    def broken(found):
        if isinstance(found, Tensor):
            return found * torch.nan
        return Embeddings(found.representation * torch.nan, found.embedding * torch.nan, found.frames)

    with pytest.raises(WorkError, match=rf"finite values of {method}.* values that are NaN or infinite.*diverged"):
        future_scores(changed(method, broken), little_world())


def test_a_posterior_that_is_not_a_number_is_said_to_have_diverged():
    def broken(found):
        return type(found[0])(found[0].mean * torch.nan, found[0].log_variance), found[1]

    with pytest.raises(WorkError, match=r"latent_distributions: a draw of r, got .* diverged"):
        future_scores(changed("latent_distributions", broken), little_world())


def test_of_one_sample_and_one_step_the_step_is_the_axis_that_is_forgotten():
    with pytest.raises(UsageError, match=r"Add the axis S: \[:, :, None\]"):
        checked_futures("sample_futures", torch.ones(5, 1, 8), torch.ones(5, 8), K=1, S=1)


def test_what_fits_is_handed_on_as_it_is():
    given = Embeddings(torch.ones(3, 9), torch.ones(3, 8), torch.ones(3, 2, 9))
    assert checked_embeddings(given, 3) is given


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_cannot_take_is_wrong_use(seed):
    with pytest.raises(UsageError, match=rf"expected a seed from 0 to 4294967295, got {seed}"):
        evaluate(KnowingModel(), None, little_world(), seed=seed)


def test_a_negative_seed_is_refused_before_a_run_is_read(tmp_path):
    with pytest.raises(UsageError, match=r"expected a seed from 0 to 4294967295, got -1"):
        evaluate_run(tmp_path, seed=-1)
