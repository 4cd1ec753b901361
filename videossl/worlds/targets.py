"""What can be asked of a clip of a world: its truth in a few numbers."""

import numpy as np

from videossl.worlds.truth import Floats, Ints, Truth


def clip_targets(truth: Truth, last_frames: int | Ints) -> dict[str, Ints | Floats]:
    """What a clip and its latent could tell.

    With several objects, which of them is the first is nobody's knowledge, so there are two ways of asking. Over all:
    position and velocity are means over the objects, the kick is their sum. One by one, and they are then told apart by
    what can be seen: from left to right in the last frame of the clip.

    Args:
        truth: Of n videos, one for each clip.
        last_frames: The last frame of all clips, or of each (n,): position (px) and velocity (px/frame) are as there.

    Returns:
        position, velocity, kick (n, 2), and class (n,) int64. Of O > 1 objects instead of the class: "velocity of each
        object" and "kick of each object" (n, 2 O), and "class of object i of O from the left" (n,).
    """
    at = (np.arange(len(truth)), np.broadcast_to(np.asarray(last_frames), len(truth)))
    positions, velocities = truth.positions[at], truth.velocities[at]  # (n, O, 2)
    overall = {
        "position": positions.mean(axis=1),
        "velocity": velocities.mean(axis=1),
        "kick": truth.kick.sum(axis=1),
    }
    num_objects = truth.classes.shape[1]
    if num_objects == 1:
        return {"class": truth.classes[:, 0].copy(), **overall}
    order = np.argsort(positions[..., 0], axis=1, kind="stable")  # (n, O)
    of_each = {
        f"{name} of each object": np.take_along_axis(each, order[..., None], axis=1).reshape(len(truth), -1)
        for name, each in (("velocity", velocities), ("kick", truth.kick))
    }
    classes = np.take_along_axis(truth.classes, order, axis=1)
    from_the_left = {
        f"class of object {place + 1} of {num_objects} from the left": classes[:, place] for place in range(num_objects)
    }
    return {**overall, **of_each, **from_the_left}
