"""Generated videos whose distribution of futures is known exactly."""

from videossl.worlds.base import Branches, Decoys, Truth, World, WorldSample
from videossl.worlds.digits import Digits
from videossl.worlds.folder import is_world, load_world, write_world

__all__ = ["Branches", "Decoys", "Digits", "Truth", "World", "WorldSample", "is_world", "load_world", "write_world"]
