"""Settings of the worlds that have a name, so that results of different people are about the same videos.

A preset gives the arguments of a world's constructor; `made` builds it, with changes if there are any.

Digits: `DIGITS-BRANCHES` with DIGITS `one` (48 x 48) or `two` (64 x 64, one of the two is kicked) and BRANCHES `8`,
`16` (equally likely), `8-unequal`, `16-unequal` or `gaussian` (both are kicked); nothing reaches an edge, or with
`-bounce` at the end digits bounce off it. Without bouncing, rare Gaussian kicks lead over an edge.
"""

from dataclasses import dataclass

from videossl.errors import UsageError
from videossl.worlds.base import World
from videossl.worlds.billiards import Billiards
from videossl.worlds.digits import Digits
from videossl.worlds.maze import Maze

UNEQUAL = {
    8: [0.4, 0.2, 0.12, 0.08, 0.08, 0.06, 0.04, 0.02],
    16: [0.3, 0.15, 0.1, 0.08, 0.06, 0.05, 0.05, 0.04, 0.04, 0.03, 0.03, 0.02, 0.02, 0.01, 0.01, 0.01],
}


@dataclass(frozen=True)
class Preset:
    """One named setting.

    Attributes:
        world: Its class.
        about: What it is, in a line.
        arguments: Of the constructor, those that are not its defaults.
    """

    world: type[World]
    about: str
    arguments: dict[str, object]

    def made(self, **changes: object) -> World:
        """The world, with `changes` to the arguments."""
        return self.world(**{**self.arguments, **changes})


def adassl_paper() -> Preset:
    """Stochastic Moving-MNIST as in the AdaSSL paper (arXiv:2602.02381), from a third party's reproduction of it.

    The authors' own code was not seen. From the reproduction: frames of 64 x 64, digits of 16 px, centres that start
    in 8..16 px, a speed of up to 3 px/frame, a Gaussian kick with a standard deviation of 2/3 of that, views of 3
    frames, the velocity changing before the 4th, no bouncing. Ours, as nothing is said of it: start directions lie
    between right and down, away from the near edges, the speed is uniform, and what crosses an edge is cut off. The
    paper's digits are MNIST's; these are scikit-learn's unless `idx_images` and `idx_labels` are given.
    """
    return Preset(
        Digits,
        "Stochastic Moving-MNIST of the AdaSSL paper, after a third party's reproduction.",
        {
            "canvas": 64,
            "digit_size": 16,
            "num_frames": 6,
            "branch_frame": 3,
            "kick": "gaussian",
            "kick_speed": 2.0,
            "speed": [0.0, 3.0],
            "directions": [0.0, 90.0],
            "starts": [8.0, 16.0],
            "bounce": False,
        },
    )


def _digits() -> dict[str, Preset]:
    presets = {}
    for digits, count in (("one", 1), ("two", 2)):
        canvas = {"num_digits": count, "canvas": 48 if count == 1 else 64}
        kicks: dict[str, tuple[str, dict[str, object]]] = {
            "gaussian": ("Gaussian kicks", {"kick": "gaussian", "kick_speed": 1.0}),
        }
        for branches in (8, 16):
            kicks[f"{branches}"] = f"{branches} branches, all as likely", {"num_branches": branches}
            kicks[f"{branches}-unequal"] = (
                f"{branches} branches, from {UNEQUAL[branches][0]:.0%} to {UNEQUAL[branches][-1]:.0%} likely",
                {"num_branches": branches, "probabilities": UNEQUAL[branches]},
            )
        for name, (about, arguments) in kicks.items():
            for bounce in (False, True):
                how = "bounce off the edges" if bounce else "do not bounce"
                presets[f"{digits}-{name}{'-bounce' if bounce else ''}"] = Preset(
                    Digits,
                    f"{digits} digit{'s' if count > 1 else ''}, {about}; digits {how}.".capitalize(),
                    {**canvas, **arguments, "bounce": bounce},
                )
    return presets


def _mazes() -> dict[str, Preset]:
    return {
        f"steps-{steps}{name}": Preset(
            Maze,
            f"Two choices at most at a place; futures of {steps} steps, up to {2**steps} of them{about}.",
            {"num_frames": 4 + 2 * steps, "branch_frame": 4, "frames_per_step": 2, **arguments},
        )
        for steps in (2, 4, 8)
        for name, about, arguments in (("", "", {}), ("-one-maze", "; one maze for all videos", {"num_mazes": 1}))
    } | {
        "crossings": Preset(
            Maze, "Three choices at most; futures of 2 steps, up to 9.", {"num_frames": 8, "max_choices": 3}
        ),
    }


def _billiards() -> dict[str, Preset]:
    return {
        "one": Preset(Billiards, "One ball, 4 kicks that are not equally likely.", {"num_balls": 1}),
        "two": Preset(Billiards, "Two balls, 4 kicks that are not equally likely.", {"num_balls": 2}),
        "three": Preset(
            Billiards,
            "Three smaller balls, 8 kicks that are equally likely.",
            {"num_balls": 3, "radius": 6.0, "probabilities": [1 / 8] * 8},
        ),
    }


PRESETS: dict[str, dict[str, Preset]] = {
    "digits": {**_digits(), "adassl-paper": adassl_paper()},
    "maze": _mazes(),
    "billiards": _billiards(),
}


def preset(world: str, name: str) -> Preset:
    """The preset of a world: `preset("digits", "one-8").made()`.

    Args:
        world: "digits", "maze" or "billiards".
        name: One of PRESETS[world].

    Raises:
        UsageError: There is none of that name.
    """
    for asked, known, what in ((world, list(PRESETS), "world"), (name, list(PRESETS.get(world, {})), "preset")):
        if asked not in known:
            raise UsageError(f"there is no {what} {asked!r}. Choose one of {', '.join(known)}.")
    return PRESETS[world][name]
