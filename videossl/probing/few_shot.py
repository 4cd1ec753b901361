"""The few-shot probe: what can be learnt from n labels of a class."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from videossl.probing.parts import Parts


@dataclass(frozen=True)
class Draws:
    """Answers to the test rows after several draws of labels.

    Attributes:
        predicted: (draws, n_test) int64 classes.
        num_classes: Classes that have enough videos to draw from.
        left_out: Classes that have too few.
    """

    predicted: Tensor
    num_classes: int
    left_out: tuple[int, ...]


def few_shot_probe(
    features: Tensor, classes: Tensor, videos: Tensor, parts: Parts, *, shots: int, draws: int, seed: int
) -> Draws | None:
    """Fit a logistic regression on one row of each of n videos of every class, for several draws of the videos.

    Features are centred by the mean of all rows that are not for the test and L2-normalised, then a logistic regression
    with C = 1 is fitted: Tian et al. 2020 (arXiv:2003.11539), centring as in SimpleShot (arXiv:1911.04623). There is
    no part for choosing: who has n labels has no more.

    Args:
        features: (n, E).
        classes: (n,) int64.
        videos: (n,) int64, the video of each row.
        parts: Of the rows; labels are drawn from those for fitting and choosing.
        shots: Labels of a class, each of another video.
        draws: How often labels are drawn.
        seed: Of the draws.

    Returns:
        None where fewer than two classes have so many videos.
    """
    from sklearn.linear_model import LogisticRegression

    known = parts.before_test
    x = F.normalize((features - features[known].mean(dim=0)).double(), dim=1)
    found = torch.unique(classes[known]).tolist()
    rows_of = {number: known[classes[known] == number] for number in found}
    enough = [number for number in found if len(torch.unique(videos[rows_of[number]])) >= shots]
    if len(enough) < 2:
        return None
    generator = torch.Generator().manual_seed(seed)
    predicted = []
    for _ in range(draws):
        rows = torch.cat([_one_row_each(rows_of[number], videos, shots, generator) for number in enough])
        model = LogisticRegression(C=1.0, max_iter=1000).fit(x[rows].numpy(), classes[rows].numpy())
        predicted.append(torch.from_numpy(model.predict(x[parts.test].numpy())))
    return Draws(torch.stack(predicted), len(enough), tuple(sorted(set(found) - set(enough))))


def _one_row_each(rows: Tensor, videos: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """Row numbers, one of each of so many videos drawn at random."""
    shuffled = rows[torch.randperm(len(rows), generator=generator)]
    distinct, group = torch.unique(videos[shuffled], return_inverse=True)
    first = torch.full((len(distinct),), len(rows)).scatter_reduce_(0, group, torch.arange(len(rows)), "amin")
    chosen = torch.randperm(len(distinct), generator=generator)[:shots]
    return shuffled[first[chosen]]
