"""The tree of futures of a maze is the one that a walk through its picture gives."""

import time

import numpy as np
import pytest
import torch

from videossl.errors import UsageError
from videossl.worlds import Maze
from videossl.worlds.maze_plan import random_mazes

RIGHT_OF = {(1, 0): (0, 1), (0, 1): (-1, 0), (-1, 0): (0, -1), (0, -1): (1, 0)}  # y points down


def leaves(floor, place, heading, steps, pitch, weights):
    """All walks of so many steps from a place, seen in the picture of the floor: [(probability, places)]."""
    if steps == 0:
        return [(1.0, [])]
    right = RIGHT_OF[heading]
    ways = {heading: weights[0], right: weights[1], (-right[0], -right[1]): weights[2]}
    open_ways = {}
    for (x, y), weight in ways.items():
        # Half-way to the neighbour is floor if the way is open, and black or off the picture if it is not.
        at = np.array([place[0] + 0.5 + x / 2, place[1] + 0.5 + y / 2]) * pitch
        if (at > 0).all() and (at < len(floor)).all() and floor[int(at[1]), int(at[0])] > 0:
            open_ways[(x, y)] = weight
    found = []
    for way, weight in open_ways.items():
        there = (place[0] + way[0], place[1] + way[1])
        for probability, rest in leaves(floor, there, way, steps - 1, pitch, weights):
            found.append((weight / sum(open_ways.values()) * probability, [there, *rest]))
    return found


def floors(world, seed, count=12):
    """What is never bright, of every video: (count, H, W) bool."""
    return world.render(world.truth(count, seed=seed))[:, :, 0].amin(dim=1) > 0


def test_of_a_few_mazes_every_video_has_one_whatever_the_seed():
    assert len(torch.unique(floors(Maze(), 0), dim=0)) == 12
    few = Maze(num_mazes=3)
    here, there = floors(few, 0), floors(few, 7)
    assert torch.equal(here, there)
    assert torch.equal(here[:3].repeat(4, 1, 1), here)
    assert len(torch.unique(here, dim=0)) == 3
    truth = few.truth(2, seed=1)
    assert few.branches(truth).probabilities.shape == (2, few.num_branches)


@pytest.mark.parametrize("steps", [2, 4, 8])
@pytest.mark.parametrize("max_choices", [2, 3])
def test_branches_are_the_walks_that_the_picture_allows(steps, max_choices):
    if max_choices == 3 and steps == 8:
        steps = 5
    world = Maze(num_frames=4 + 2 * steps, max_choices=max_choices)
    truth = world.truth(4, seed=steps)
    branches = world.branches(truth)
    for row in range(len(truth)):
        # The floor is what the picture shows where the digit is not: the darkest that a pixel is over the video.
        floor = world.render(truth[row])[0, :, 0].amin(dim=0).numpy()
        place = tuple(int(part) for part in truth.positions[row, 3, 0] // 16)
        heading = tuple(int(part) for part in np.sign(truth.velocities[row, 3, 0]))
        expected = {
            tuple(places): probability
            for probability, places in leaves(floor, place, heading, steps, 16, world.turn_weights)
        }
        possible = branches.probabilities[row] > 0
        after_each_step = (branches.positions[row, possible, 1::2, 0] // 16).long().tolist()
        walks = [tuple((x, y) for x, y in places) for places in after_each_step]
        got = dict(zip(walks, branches.probabilities[row, possible].tolist(), strict=True))
        assert got.keys() == expected.keys()
        for walk, probability in got.items():
            assert abs(probability - expected[walk]) < 1e-12


@pytest.mark.parametrize("max_choices", [2, 3])
@pytest.mark.parametrize("side", [3, 4, 8])
@pytest.mark.parametrize("wall_share", [0.0, 0.3, 1.0])
def test_mazes_have_no_dead_ends_and_no_place_with_more_ways_than_asked(side, max_choices, wall_share):
    ways = random_mazes([0] * 200, list(range(200)), side=side, max_ways=max_choices + 1, wall_share=wall_share)
    degree = ways.sum(axis=2)
    assert degree.min() >= 2
    assert degree.max() <= max_choices + 1
    grid = ways.reshape(200, side, side, 4)
    np.testing.assert_array_equal(grid[:, :, :-1, 0], grid[:, :, 1:, 2])  # a way is open from both of its ends
    np.testing.assert_array_equal(grid[:, :-1, :, 1], grid[:, 1:, :, 3])
    assert not grid[:, :, -1, 0].any()
    assert not grid[:, 0, :, 3].any()
    if wall_share == 0.3 and side > 3:  # there are hardly a dozen with 9 places
        assert len(np.unique(ways.reshape(200, -1), axis=0)) > 30  # of 200


def test_every_future_begins_with_a_choice_that_is_not_even():
    probabilities = Maze().branches(Maze().truth(300, seed=0), 1).probabilities
    assert probabilities.shape == (300, 2)
    assert ((probabilities > 0).sum(dim=1) == 2).double().mean() > 0.99
    # Straight and right 2:1, straight and left 6:1, right and left 3:1.
    assert set(probabilities[:, 0].numpy().round(4)) <= {0.6667, 0.8571, 0.75, 1.0}


def test_the_digit_stays_in_the_corridors():
    world = Maze(digit_size=8)
    clips, truth = world.sample(50, seed=3)
    at = torch.from_numpy(np.floor(truth.positions[:, :, 0]).astype(np.int64))
    rows = torch.arange(50)[:, None]
    floor = clips[:, :, 0].amin(dim=1)
    assert (floor[rows, at[..., 1], at[..., 0]] > 0).all()


def test_two_thousand_clips_of_a_maze_are_drawn_in_a_second():
    world = Maze()
    seconds = []
    for seed in range(3):
        start = time.perf_counter()
        world.sample(500, seed)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.25  # a third of this on an idle core


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"places_per_side": 2}, "places_per_side to be at least 3, got 2"),
        ({"canvas": 65}, "canvas to be a multiple of places_per_side=4, got 65"),
        ({"digit_size": 14}, r"digit_size in \[4, 12\] px on this canvas, got 14"),
        ({"branch_frame": 12}, r"branch_frame in \[1, 12\), got 12"),
        ({"frames_per_step": 0}, "frames_per_step to be at least 1, got 0"),
        ({"max_choices": 4}, "max_choices to be 2 or 3, got 4"),
        ({"turn_weights": (1.0, 0.0, 1.0)}, "turn_weights above 0"),
        ({"wall_share": 1.5}, r"wall_share in \[0, 1\]"),
        ({"num_mazes": 0}, "num_mazes of at least 1"),
        ({"num_frames": 40}, "at most 10 steps, got 18"),
    ],
)
def test_wrong_arguments_of_a_maze_give_one_clear_line(arguments, message):
    with pytest.raises(UsageError, match=message) as caught:
        Maze(**arguments)
    assert "\n" not in str(caught.value)
