"""Billiards: certain but where the hidden bumper kicks, and physically sound."""

import numpy as np
import pytest
import torch

from videossl.errors import UsageError, WorkError
from videossl.worlds import Billiards


@pytest.fixture(scope="module")
def drawn():
    world = Billiards(num_frames=12)
    return world, world.truth(150, seed=0)


def test_contexts_have_one_future_but_where_a_ball_comes_to_the_bumper(drawn):
    world, truth = drawn
    probabilities = world.branches(truth, 1).probabilities
    kicked = truth.branch > 0
    assert 0.35 < kicked.mean() < 0.65
    certain = torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64)
    assert (probabilities[torch.from_numpy(~kicked)] == certain).all()
    torch.testing.assert_close(
        probabilities[torch.from_numpy(kicked)].mean(dim=0), torch.tensor([0, 0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    )


def test_the_motion_of_the_context_tells_whether_there_will_be_a_kick(drawn):
    # The context carried on for a frame passes through the bumper if and only if there is more than one future.
    world, truth = drawn
    centre, last = 32.0, world.branch_frame - 1
    places, velocities = truth.positions[:, last], truth.velocities[:, last]
    share = np.linspace(0, 1, 50)[:, None, None, None]
    nearest = np.linalg.norm(places + share * velocities - centre, axis=-1).min(axis=(0, 2))
    comes = nearest < world.bumper_radius
    assert (comes == (truth.branch > 0)).mean() > 0.95  # the rest hit each other or a wall within that frame
    before = np.linalg.norm(truth.positions[:, : last + 1] - centre, axis=-1)
    assert before.min() > world.bumper_radius  # nothing has been in the bumper before


def test_no_ball_comes_to_the_bumper_where_there_is_no_kick(drawn):
    world, truth = drawn
    never = truth.positions[truth.branch == 0]
    assert np.linalg.norm(never - 32.0, axis=-1).min() > world.bumper_radius


def test_balls_stay_on_the_table_and_do_not_overlap(drawn):
    world, truth = drawn
    positions = world.branches(truth).positions.numpy()
    assert positions.min() > world.radius - 0.5
    assert positions.max() < world.canvas - world.radius + 0.5
    apart = np.linalg.norm(positions[..., 0, :] - positions[..., 1, :], axis=-1)
    assert apart.min() > 2 * world.radius - 0.5


def test_energy_is_kept_where_there_is_no_kick_and_balls_do_collide(drawn):
    _, truth = drawn
    never = truth.velocities[truth.branch == 0]
    energy = (never**2).sum(axis=(2, 3))
    np.testing.assert_allclose(energy, np.repeat(energy[:, :1], 12, axis=1), rtol=0.01)
    speeds = np.linalg.norm(never, axis=-1)
    assert (np.abs(speeds - speeds[:, :1]).max(axis=(1, 2)) > 0.1).mean() > 0.05  # one ball has given to another


def test_a_share_of_zero_gives_a_world_without_chance():
    world = Billiards(kicked_share=0.0)
    truth = world.truth(20, seed=0)
    assert (truth.branch == 0).all()
    assert (world.branches(truth, 1).probabilities[:, 0] == 1).all()
    assert (Billiards(kicked_share=1.0).truth(20, seed=0).branch > 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_balls": 0}, "num_balls to be at least 1, got 0"),
        ({"radius": 3.0}, "radius to be at least 4 px"),
        ({"canvas": 28}, "canvas above 28 px for balls of this radius|canvas to be more than 28 px"),
        ({"branch_frame": 8}, r"branch_frame in \[1, 8\), got 8"),
        ({"probabilities": [0.5, 0.4]}, "probabilities above 0 that sum to 1"),
        ({"kick_speed": 0.0}, "kick_speed above 0"),
        ({"speed": (0.0, 1.0)}, r"speed to be \(least, greatest\), above 0"),
        ({"bumper_radius": 30.0}, r"bumper_radius in \(0, 25\) px"),
        ({"kicked_share": 1.1}, r"kicked_share in \[0, 1\]"),
    ],
)
def test_wrong_arguments_of_billiards_give_one_clear_line(arguments, message):
    with pytest.raises(UsageError, match=message) as caught:
        Billiards(**arguments)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_too_full_is_refused_and_not_tried_for_ever():
    with pytest.raises(WorkError, match=r"in 1000 attempts no video of billiards was found .* Set fewer num_balls"):
        Billiards(num_balls=25).truth(1, seed=0)
