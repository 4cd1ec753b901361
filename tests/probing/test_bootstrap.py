"""Intervals against standard errors that are known, and scores of resamples against scores made by hand."""

import pytest
import torch

from videossl.probing import Bootstrap, r_squared, scores
from videossl.probing.bootstrap import NUM_RESAMPLES


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error():
    values = noise(400)
    interval = Bootstrap(torch.arange(400), seed=0).mean(values)
    assert interval.value == pytest.approx(values.mean().item(), abs=1e-6)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 20, rel=0.15)


def test_rows_of_a_video_are_drawn_together():
    values = noise(40).repeat_interleave(25)
    together = Bootstrap(torch.arange(40).repeat_interleave(25), seed=0).mean(values)
    alone = Bootstrap(torch.arange(1000), seed=0).mean(values)
    assert together.high - together.low == pytest.approx(5 * (alone.high - alone.low), rel=0.25)


def test_the_interval_of_a_ratio_keeps_its_pairs():
    below = noise(100).abs() + 1
    interval = Bootstrap(torch.arange(100), seed=0).ratio(0.5 * below, below)
    assert (interval.low, interval.high) == pytest.approx((0.5, 0.5))


def test_rows_are_drawn_where_there_are_few_videos():
    bootstrap = Bootstrap(torch.arange(2).repeat_interleave(10), seed=0)
    assert not bootstrap.by_video
    assert bootstrap.num_groups == 20
    assert bootstrap.sums(torch.ones(20, 1)).tolist() == [[20.0]] * NUM_RESAMPLES


def test_draws_in_pieces_are_the_draws_at_once(monkeypatch):
    values, videos = noise(300), torch.arange(30).repeat_interleave(10)
    whole = Bootstrap(videos, seed=3).mean(values)
    monkeypatch.setattr("videossl.probing.bootstrap.COUNTS_AT_ONCE", 1000)
    assert Bootstrap(videos, seed=3).mean(values) == whole


def test_r_squared_of_a_resample_is_that_of_its_rows():
    true = noise(60, 2) + 100
    predicted = true + 0.5 * noise(60, 2, seed=1)
    bootstrap = Bootstrap(torch.arange(60), seed=0)
    found = scores(predicted, true, torch.arange(60), torch.arange(60), bootstrap)
    assert found.score.value == pytest.approx(r_squared(predicted, true))
    draws = torch.randint(60, (NUM_RESAMPLES, 60), generator=torch.Generator().manual_seed(0))
    by_hand = torch.tensor([r_squared(predicted[rows], true[rows]) for rows in draws], dtype=torch.float64)
    assert found.score.low == pytest.approx(by_hand.quantile(0.025).item())
    assert found.score.high == pytest.approx(by_hand.quantile(0.975).item())


def test_balanced_accuracy_counts_every_class_alike():
    true = torch.tensor([0] * 90 + [1] * 10)
    found = scores(torch.zeros(100).long(), true, torch.arange(100), torch.arange(100), Bootstrap(true * 0, seed=0))
    assert (found.score.value, found.chance) == (pytest.approx(0.9), pytest.approx(0.9))
    assert found.balanced.value == pytest.approx(0.5)
