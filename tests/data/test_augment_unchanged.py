"""Pixels of an augmentation that runs were trained with: the same seed of torch must give the same.

The numbers were taken from the code of commit 211a0b2: of every view two pixels, the mean and the deviation; and the
next random number, because training goes on drawing from the same generator.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from videossl.data import Augment

# fmt: off
CASES: list[tuple[dict[str, Any], int, float, list[list[list[float]]]]] = [
    ({"size": 16}, 24, 0.338395, [
        [[0.6078, 0.6189, 0.5483, 0.2303], [0.6054, 0.6054, 0.5314, 0.2007]],
        [[0.6409, 0.5795, 0.5369, 0.2096], [0.5919, 0.5293, 0.4418, 0.227]],
        [[0.7215, 0.7215, 0.4654, 0.2137], [0.5593, 0.4605, 0.3094, 0.1617]],
    ]),
    ({"size": 16, "shared_crop": False, "scale": (0.2, 0.6)}, 24, 0.319847, [
        [[0.1974, 0.1933, 0.2119, 0.1236], [0.8528, 0.8528, 0.8063, 0.1204]],
        [[0.9494, 0.8843, 0.6685, 0.3292], [0.7958, 0.771, 0.7432, 0.2044]],
        [[0.9537, 0.9405, 0.6718, 0.2698], [0.1715, 0.2505, 0.5021, 0.244]],
    ]),
    ({"size": 16}, 60, 0.338395, [
        [[0.7766, 0.8045, 0.5735, 0.2475], [0.7636, 0.7636, 0.5041, 0.1995]],
        [[0.5684, 0.6515, 0.457, 0.141], [0.4265, 0.6763, 0.3658, 0.1899]],
        [[0.5719, 0.5719, 0.5005, 0.1345], [0.1133, 0.4487, 0.3193, 0.1365]],
    ]),
    ({"size": 20, "hue": 0.0, "jitter_probability": 1.0, "greyscale_probability": 0.0, "blur_probability": 0.0},
     24, 0.338395, [
        [[0.721, 0.408, 0.5461, 0.2342], [0.6053, 0.3201, 0.4304, 0.2059]],
        [[0.4207, 0.2682, 0.5378, 0.2424], [0.3807, 0.2469, 0.4447, 0.227]],
        [[0.4192, 0.207, 0.3827, 0.1424], [0.3871, 0.1407, 0.3117, 0.1662]],
    ]),
    ({"size": 16, "jitter_probability": 0.0, "greyscale_probability": 0.0, "blur_probability": 1.0,
      "blur_sigma": (0.5, 2.0)}, 24, 0.338395, [
        [[0.5335, 0.539, 0.4795, 0.2016], [0.6001, 0.6056, 0.53, 0.1915]],
        [[0.6823, 0.6309, 0.5839, 0.1629], [0.7495, 0.6976, 0.6, 0.216]],
        [[0.7931, 0.7052, 0.474, 0.2212], [0.7599, 0.7683, 0.4892, 0.2013]],
    ]),
]
# fmt: on


def waves(B: int, V: int, T: int, side: int) -> Tensor:
    """(B, V, T, 3, side, side) uint8, without any chance."""
    b, v, t, c, y, x = torch.meshgrid(*(torch.arange(n) for n in (B, V, T, 3, side, side)), indexing="ij")
    return ((x * (3 + c) + y * (5 - c) * (1 + b) + 17 * v + 9 * t + (x * y) // (7 + b)) % 256).to(torch.uint8)


@pytest.mark.parametrize(("settings", "side", "next_number", "wanted"), CASES)
def test_a_seed_of_torch_gives_the_pixels_that_it_always_gave(
    settings: dict[str, Any], side: int, next_number: float, wanted: list[list[list[float]]]
) -> None:
    clips = waves(3, 2, 2, side)
    torch.manual_seed(5)
    out = Augment(**settings)(clips)
    assert torch.rand(1).item() == pytest.approx(next_number, abs=1e-6)
    probes = out[:, :, 1, :, ::7, ::6].reshape(3, 2, -1)[:, :, [4, 13]]
    found = torch.cat([probes, torch.stack([out.mean((2, 3, 4, 5)), out.std((2, 3, 4, 5))], dim=2)], dim=2)
    torch.testing.assert_close(found, torch.tensor(wanted), atol=2e-4, rtol=0)
