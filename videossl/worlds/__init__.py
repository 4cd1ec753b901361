"""Generated videos whose distribution of futures is known exactly."""

from videossl.worlds.base import Branches, Truth, World, WorldSample
from videossl.worlds.digits import Digits
from videossl.worlds.folder import is_world, load_world, write_world

__all__ = ["Branches", "Digits", "Truth", "World", "WorldSample", "is_world", "load_world", "write_world"]
