"""`videossl world`: one subcommand for each world."""

import shutil
from pathlib import Path

from videossl.files import check_output
from videossl.option_parser import Parser

WORLDS = {
    "digits": "Handwritten digits that are kicked in one of several directions at a known moment.",
    "maze": "A digit in a random maze, which turns at junctions with known probabilities: its futures form a tree.",
    "billiards": "Balls that bounce off each other, one of them kicked by a bumper that cannot be seen (needs pymunk).",
}


def world_parser(preset_of: dict[str, str] | None = None) -> Parser:
    """The parser of `videossl world`: one subcommand for each world.

    Args:
        preset_of: World -> name of the preset whose settings are its defaults.
    """
    from videossl.worlds import PRESETS, Billiards, Digits, Maze, World, preset

    classes: dict[str, type[World]] = {"digits": Digits, "maze": Maze, "billiards": Billiards}
    usage = "videossl world {} [--preset NAME] [--config FILE] --OPTION VALUE ..."
    worlds = Parser(
        prog="videossl world",
        usage=usage.format("WORLD"),
        description="Render a world whose future is known exactly into ordinary video files.",
    )
    subcommands = worlds.add_subcommands(dest="world")
    for name, about in WORLDS.items():
        one = Parser(usage=usage.format(name), description=f"{about} Presets: {', '.join(PRESETS[name])}.")
        one.add_argument("--config", action="config", help="YAML file with options.")
        one.add_argument("--preset", type=str | None, help="Start from named settings; other options override them.")
        one.add_argument("--out", type=Path, required=True, help="Folder to write: videos, truth table, world.yaml.")
        one.add_argument("--num_videos", type=int, default=1000, help="How many videos.")
        one.add_argument("--seed", type=int, default=0, help="Of everything that is drawn.")
        one.add_argument("--overwrite", type=bool, default=False, help="Replace a world that exists.")
        one.add_class_arguments(classes[name], "world", as_group=True)
        if preset_of is not None and name in preset_of:
            settings = preset(name, preset_of[name]).arguments
            one.set_defaults({f"world.{argument}": value for argument, value in settings.items()})
        subcommands.add_subcommand(name, one, help=about)
    return worlds


def world(args: list[str]) -> int:
    """Run `videossl world`; the exit code."""
    from videossl.worlds import write_world

    _, options = world_parser().build(args)
    chosen = options[options.world]
    if chosen.preset is not None:  # known only now, as a config can name it; its settings stand below all others
        _, options = world_parser({options.world: chosen.preset}).build(args)
        chosen = options[options.world]
    check_output(chosen.out, overwrite=chosen.overwrite, marks=("world.yaml",))
    shutil.rmtree(chosen.out, ignore_errors=True)
    write_world(chosen.world, chosen.out, num_videos=chosen.num_videos, seed=chosen.seed)
    print(f"wrote {chosen.num_videos} videos, truth.parquet and world.yaml: {chosen.out}")
    return 0
