"""Generated videos whose distribution of futures is known exactly."""

from videossl.worlds.base import Branches, Decoys, World, WorldSample
from videossl.worlds.billiards import Billiards
from videossl.worlds.digits import Digits
from videossl.worlds.folder import copy_world, is_world, load_world, write_world
from videossl.worlds.maze import Maze
from videossl.worlds.presets import PRESETS, Preset, preset
from videossl.worlds.targets import clip_targets
from videossl.worlds.truth import Truth

__all__ = [
    "PRESETS",
    "Billiards",
    "Branches",
    "Decoys",
    "Digits",
    "Maze",
    "Preset",
    "Truth",
    "World",
    "WorldSample",
    "clip_targets",
    "copy_world",
    "is_world",
    "load_world",
    "preset",
    "write_world",
]
