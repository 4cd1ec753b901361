"""Presets are found by name, in Python and on the command line, and can be changed."""

import numpy as np
import pytest

from videossl.cli import world_parser
from videossl.errors import UsageError
from videossl.worlds import PRESETS, Digits, preset

NAMES = [(world, name) for world, presets in PRESETS.items() for name in presets]


@pytest.mark.parametrize(("world", "name"), NAMES, ids=[f"{world}-{name}" for world, name in NAMES])
def test_every_preset_makes_its_world_in_python_and_on_the_command_line(world, name):
    made = preset(world, name).made()
    assert made.sample(2, seed=0).clips.shape[1] == made.num_frames
    built = world_parser({world: name}).build([world, "--out", "nowhere"])[1][world].world
    assert built.init_args() == made.init_args()


def test_presets_of_the_digits_are_what_they_are_called():
    names = PRESETS["digits"]
    assert len(names) == 2 * 5 * 2 + 1
    two = preset("digits", "two-16-unequal-bounce").made()
    assert isinstance(two, Digits)
    assert (two.num_digits, two.num_branches, two.bounce) == (2, 16, True)
    assert two.probabilities.max() == 0.3
    assert preset("digits", "one-gaussian").made().kick == "gaussian"
    assert preset("digits", "one-8").made(canvas=64).canvas == 64


def test_the_preset_of_the_paper_is_as_described():
    world = preset("digits", "adassl-paper").made()
    truth = world.truth(3000, seed=0)
    assert (world.canvas, world.digit_size, world.num_frames, world.branch_frame) == (64, 16, 6, 3)
    assert 8 <= truth.positions[:, 0].min() < 8.1
    assert 15.9 < truth.positions[:, 0].max() <= 16
    speeds = np.linalg.norm(truth.velocities[:, :3], axis=-1)
    assert 2.9 < speeds.max() <= 3 + 1e-9
    np.testing.assert_allclose(truth.kick.std(axis=(0, 1)), 2.0, atol=0.1)
    changes = np.abs(np.diff(truth.velocities, axis=1)).max(axis=(0, 2, 3))
    assert changes[2] > 1
    np.testing.assert_allclose(np.delete(changes, 2), 0, atol=1e-9)
    # Nearly all digits can be seen whole: their centres are a digit's half from every edge.
    whole = ((truth.positions >= 0) & (truth.positions <= 56)).all(axis=(1, 2, 3))
    assert whole.mean() > 0.9


def test_options_override_a_preset():
    options = world_parser({"digits": "one-8"}).build(["digits", "--out", "x", "--world.kick_speed", "1.0"])[1]
    assert options.digits.world.kick_speed == 1.0
    assert options.digits.world.bounce is False


def test_unknown_presets_are_refused_with_the_names_that_there_are():
    with pytest.raises(UsageError, match=r"no preset 'one-9'. Choose one of .*one-8"):
        preset("digits", "one-9")
    with pytest.raises(UsageError, match=r"no world 'chess'. Choose one of digits, maze, billiards"):
        preset("chess", "one-8")
