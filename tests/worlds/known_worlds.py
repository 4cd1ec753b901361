"""The worlds of which all must be true what is true of a world."""

import pytest

from videossl.worlds import Billiards, Digits, Maze

WORLDS = {
    "digits": Digits(bounce=False, probabilities=[0.3, *[0.1] * 7]),
    "two digits": Digits(num_digits=2, num_branches=16, canvas=64, bounce=False),
    "maze": Maze(),
    "maze with crossings": Maze(max_choices=3, num_frames=8, frames_per_step=3, canvas=80, places_per_side=5),
    "maze seen for one frame": Maze(branch_frame=1, num_frames=5, frames_per_step=1),
    "billiards": Billiards(),
    "one ball": Billiards(num_balls=1, probabilities=[0.5, 0.25, 0.25]),
}
every_world = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
