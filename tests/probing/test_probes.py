"""Each probe reads what is there, reads nothing from noise, and never sees what it is tested on."""

import numpy as np
import pytest
import torch

from videossl.probing import (
    Bootstrap,
    attentive_probe,
    chance_accuracy,
    few_shot_probe,
    linear_probe,
    neighbours_probe,
    scores,
    split_by_video,
)
from videossl.probing.linear import Logistic, Ridge


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scored(probe, features, targets, parts):
    predicted = probe(features, targets, parts).predicted
    return scores(predicted, targets, parts.test, parts.before_test, Bootstrap(parts.test, seed=0))


def test_ridge_is_that_of_scikit_learn():
    from sklearn.linear_model import Ridge as Reference
    from sklearn.preprocessing import StandardScaler

    x, y, new = noise(50, 6).double(), noise(50, 2, seed=1).double(), noise(9, 6, seed=2).double()
    scaler = StandardScaler().fit(x.numpy())
    reference = Reference(alpha=0.3 * len(x)).fit(scaler.transform(x.numpy()), y.numpy())
    np.testing.assert_allclose(
        Ridge(x, y).predict(new, strength=0.3).numpy(), reference.predict(scaler.transform(new.numpy())), atol=1e-10
    )


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_logistic_path_predicts_as_single_fits_of_scikit_learn(num_classes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = noise(200, 5).double(), torch.randint(num_classes, (200,), generator=torch.Generator().manual_seed(1))
    x[:, 0] += y
    path = Logistic(x, y, [1.0, 0.1, 0.01])
    for strength in (1.0, 0.1, 0.01):
        alone = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (200 * strength), tol=1e-6))
        alone.fit(x.numpy(), y.numpy())
        agreed = path.predict(x, strength=strength).numpy() == alone.predict(x.numpy())
        assert agreed.mean() > 0.98
    assert path.unfinished == []


def test_parts_share_no_video():
    videos = torch.arange(30).repeat_interleave(3)
    parts = split_by_video(videos, seed=0)
    of_part = [set(videos[rows].tolist()) for rows in (parts.fit, parts.choose, parts.test)]
    assert [len(part) for part in of_part] == [15, 6, 9]
    assert sum(len(part) for part in of_part) == len(set.union(*of_part))


def test_parts_of_the_rows_that_are_left_are_the_same_parts():
    parts, kept = split_by_video(torch.arange(20), seed=0), torch.arange(20) % 3 != 0
    left = parts.among(kept)
    assert torch.equal(torch.arange(20)[kept][left.fit], parts.fit[kept[parts.fit]])
    assert len(left.fit) + len(left.choose) + len(left.test) == int(kept.sum())


@pytest.mark.parametrize("probe", [linear_probe, neighbours_probe])
def test_a_probe_reads_what_is_there_and_nothing_from_noise(probe):
    features = noise(1000, 10)
    features[:, :2] *= 3  # what matters is what is near, for neighbours
    parts = split_by_video(torch.arange(1000), seed=0)
    linear = features[:, :2] @ noise(2, 3, seed=1)
    assert scored(probe, features, linear, parts).score.value > (0.99 if probe is linear_probe else 0.6)
    assert abs(scored(probe, features, noise(1000, 2, seed=2), parts).score.value) < 0.06
    side = (features[:, 0] > 0).long()
    found = scored(probe, features, side, parts)
    assert found.score.value > 0.93
    assert found.score.low < found.score.value < found.score.high
    assert found.chance == pytest.approx(0.5, abs=0.06)


def test_a_probe_does_not_fit_the_part_it_is_tested_on():
    parts = split_by_video(torch.arange(60), seed=0)
    assert scored(linear_probe, noise(60, 200), noise(60, 1, seed=1), parts).score.value < 0.3


def test_guessing_is_no_worse_than_a_draw_of_the_classes():
    classes = torch.tensor([0, 0, 0, 1, 1, 2, 1, 2, 2, 1])
    assert chance_accuracy(classes, torch.arange(6, 10), torch.arange(6)) == pytest.approx(1 / 3)
    assert chance_accuracy(classes, torch.arange(4), torch.arange(4)) == pytest.approx(3 / 4)


def test_rows_for_fitting_of_one_class_are_said_to_be():
    parts = split_by_video(torch.arange(60), seed=0)
    answer = linear_probe(noise(60, 3), torch.zeros(60).long(), parts)
    assert answer.predicted.tolist() == [0] * len(parts.test)
    assert "one class" in answer.note


def test_more_shots_read_more_and_draws_are_of_different_videos():
    classes = torch.arange(5).repeat(40)
    features = noise(200, 16) + 1.5 * noise(5, 16, seed=1)[classes]
    parts = split_by_video(torch.arange(200), seed=0)
    found = {}
    for shots in (1, 5, 20):
        drawn = few_shot_probe(features, classes, torch.arange(200), parts, shots=shots, draws=4, seed=0)
        assert drawn.predicted.shape == (4, len(parts.test))
        found[shots] = (drawn.predicted == classes[parts.test]).double().mean().item()
        assert len({tuple(row) for row in drawn.predicted.tolist()}) > 1 or found[shots] == 1
    assert 0.25 < found[1] < found[5] <= found[20]
    assert found[20] > 0.9


def test_shots_are_of_different_videos_or_not_drawn_at_all():
    videos = torch.arange(40).repeat_interleave(10)
    classes = (torch.arange(40) % 2).repeat_interleave(10)
    parts = split_by_video(videos, seed=0)
    of_class = [len(torch.unique(videos[parts.before_test][classes[parts.before_test] == c])) for c in (0, 1)]
    assert few_shot_probe(noise(400, 3), classes, videos, parts, shots=max(of_class) + 1, draws=1, seed=0) is None
    assert few_shot_probe(noise(400, 3), classes, videos, parts, shots=min(of_class), draws=1, seed=0) is not None


def sequences(num_groups: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Groups of 3 to 9 rows, of which one carries the class and is marked; the others are noise as loud."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(3, 10, (num_groups,), generator=generator)
    group = torch.arange(num_groups).repeat_interleave(sizes)
    classes = torch.randint(4, (num_groups,), generator=generator)
    rows = torch.randn(len(group), 16, generator=generator)
    marked = torch.cumsum(sizes, 0) - 1 - (torch.arange(num_groups) % 3)
    rows[:, 0] = -1.0
    rows[marked, 0] = 3.0
    rows[marked, 1:5] = 3.0 * torch.nn.functional.one_hot(classes, 4).float()
    return rows, group, classes


def test_an_attentive_probe_finds_the_one_row_that_tells_where_their_mean_does_not():
    rows, group, classes = sequences(300)
    parts = split_by_video(torch.arange(300), seed=0)
    answer = attentive_probe(rows, group, classes, parts, seed=0)
    attentive = scores(answer.predicted, classes, parts.test, parts.before_test, Bootstrap(parts.test, seed=0))
    means = torch.stack([rows[group == number].mean(dim=0) for number in range(300)])
    assert attentive.score.value > 0.95
    assert attentive.score.value > scored(linear_probe, means, classes, parts).score.value + 0.1
    assert answer.chosen.keys() == {"learning_rate", "weight_decay", "epoch"}


def test_rows_that_fill_a_batch_up_change_no_answer(monkeypatch):
    rows, group, classes = sequences(60)
    quantities = torch.stack([classes.float(), 10 - classes.float()], dim=1)
    parts = split_by_video(torch.arange(60), seed=0)
    monkeypatch.setattr("videossl.probing.attentive.FEWEST_STEPS", 1)
    whole = attentive_probe(rows, group, quantities, parts, seed=0).predicted
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    shuffled = attentive_probe(rows[order], group[order], quantities, parts, seed=0).predicted
    assert whole.shape == (len(parts.test), 2)
    torch.testing.assert_close(whole, shuffled, atol=1e-2, rtol=1e-2)
