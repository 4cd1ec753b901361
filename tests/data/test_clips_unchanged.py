"""Plans of the modes that runs were trained with: resumed training must draw the same places.

The digests were taken from the planner of commit 211a0b2, before it learnt other modes. They are of all plans of four
seeds, two epochs and twelve samples, and of every anchored plan.
"""

import hashlib
from typing import Any

import numpy as np
import pytest

from videossl.data import ClipPlanner

VIDEOS = {
    "steady": np.arange(50) / 25.0,
    "variable": np.cumsum(np.concatenate([[0.0], (np.arange(59) * 37 % 11 + 1) / 64])),
    "pause": np.concatenate([np.arange(20) / 10, 7 + np.arange(20) / 10]),
    "short": np.arange(5) / 10.0,
    "single": np.zeros(1),
}
CASES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "steady", "556c0c17eaf5e73c"),
    ({}, "variable", "73092a55386af36f"),
    ({"num_views": 3, "num_frames": 3, "frame_stride": 2, "gap_frames": (1, 6)}, "steady", "fe8a56725c715555"),
    ({"num_views": 3, "num_frames": 3, "frame_stride": 2, "gap_frames": (0, 90)}, "variable", "d3712ed319560698"),
    ({"num_views": 4, "num_frames": 2, "mode": "random"}, "steady", "44dcaa8b3d44f7b1"),
    ({"num_views": 2, "num_frames": 5, "target_fps": 8.0, "gap_frames": (0, 4)}, "steady", "68e0a3fc5b5d6120"),
    ({"num_views": 2, "num_frames": 4, "target_fps": 6.0, "gap_frames": (1, 3)}, "variable", "330880b68f519750"),
    ({"num_views": 3, "num_frames": 3, "target_fps": 5.0}, "pause", "7498704926c2a0c4"),
    ({"num_views": 3, "num_frames": 3, "target_fps": 5.0, "mode": "random"}, "pause", "5a4d11512cd4df0f"),
    ({"num_views": 8, "num_frames": 1, "mode": "random", "target_fps": 12.0}, "variable", "4a3a04058059e067"),
    ({"short": "pad"}, "short", "ec01bccb97b224a7"),
    ({"short": "loop"}, "short", "e7cac8c19e6bbf22"),
    ({"short": "pad", "target_fps": 10.0}, "short", "ec01bccb97b224a7"),
    ({"short": "loop", "target_fps": 7.0, "num_views": 3}, "short", "d94aaf49fe140f8a"),
    ({"short": "pad", "target_fps": 10.0}, "single", "b5a14572d5b3bade"),
    ({"short": "loop"}, "single", "b5a14572d5b3bade"),
    ({"num_views": 1, "num_frames": 1}, "single", "508f5ba745944e98"),
]


@pytest.mark.parametrize(("settings", "video", "digest"), CASES)
def test_all_plans_of_a_seed_are_what_they_always_were(settings: dict[str, Any], video: str, digest: str) -> None:
    planner, seconds, found = ClipPlanner(**settings), VIDEOS[video], hashlib.sha256()
    for seed in (0, 1, -3, 2**40):
        for epoch in (0, 5):
            for sample in range(12):
                plan = planner.plan(seconds, epoch=epoch, sample=sample, seed=seed)
                assert np.array_equal(plan.seconds, seconds[plan.frames])
                found.update(plan.frames.astype("<i8").tobytes())
    for start in planner.starts(seconds):
        found.update(planner.plan_at(seconds, start).frames.astype("<i8").tobytes())
    assert found.hexdigest()[:16] == digest


@pytest.mark.parametrize(
    ("settings", "video", "frames"),
    [
        (
            {"num_views": 3, "num_frames": 3, "frame_stride": 2, "gap_frames": (1, 6)},
            "steady",
            [[15, 17, 19], [23, 25, 27], [41, 43, 45]],
        ),
        ({"num_views": 4, "num_frames": 2, "mode": "random"}, "steady", [[6, 7], [43, 44], [36, 37], [32, 33]]),
        (
            {"num_views": 2, "num_frames": 4, "target_fps": 6.0, "gap_frames": (1, 3)},
            "variable",
            [[39, 41, 42, 44], [49, 50, 52, 53]],
        ),
    ],
)
def test_some_of_them_in_full(settings: dict[str, Any], video: str, frames: list[list[int]]) -> None:
    plan = ClipPlanner(**settings).plan(VIDEOS[video], epoch=1, sample=3, seed=0)
    assert plan.frames.tolist() == frames
