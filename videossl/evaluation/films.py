"""Surprise over the time of real videos: where the model did not see coming what came, beside the cuts of the film."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videossl.data.clips import ClipPlanner
from videossl.evaluation.pixel_decoder import shrunk
from videossl.evaluation.protocol import FutureModel, SurprisedModel, device_of

MOST_FILMS = 6
MOST_FRAMES = 300
NUM_PEAKS = 3
CUT_LEVELS, CUT_TIMES_MEDIAN = 40, 5


@dataclass(frozen=True)
class Film:
    """A stretch of one held-out video, at the pace of the clips.

    Attributes:
        name: Of the video.
        frames: (T, C, H, W) uint8.
        seconds: (T,) float64, when each is shown.
        clip_frames: Frames of a clip.
        shift: Frames from the start of a context to the start of its future.
    """

    name: str
    frames: Tensor
    seconds: NDArray[np.float64]
    clip_frames: int
    shift: int


def paced_frames(seconds: NDArray[np.float64], planner: ClipPlanner) -> NDArray[np.int64]:
    """Numbers of the frames that are as far apart as those of a clip, from the first on; at most 300.

    Args:
        seconds: (num_frames,) presentation times of a video.
        planner: Its pace counts.
    """
    if planner.target_fps is None:
        return np.arange(0, len(seconds), planner.frame_stride)[:MOST_FRAMES]
    instants = np.arange(seconds[0], seconds[-1] + 1e-9, 1 / planner.target_fps)[:MOST_FRAMES]
    return np.abs(seconds[None] - instants[:, None]).argmin(axis=1)


def shift_of(seconds: NDArray[np.float64], planner: ClipPlanner) -> int:
    """Frames, at the pace of the clips, from the start of a context to the start of its future."""
    context, future = planner.in_order(2).plan_at(seconds, 0).seconds
    pace = paced_frames(seconds, planner)
    return int(np.abs(seconds[pace] - (future[0] - context[0]) - seconds[0]).argmin())


def cuts(frames: Tensor) -> NDArray[np.int64]:
    """Frames (T, C, H, W) uint8 at which something else is shown than before.

    The mean change of a pixel is above 40 of 255 levels and at least five times its median over the video.
    """
    change = pixel_change(frames)
    is_cut = (change > CUT_LEVELS) & (change > CUT_TIMES_MEDIAN * np.median(change))
    return np.flatnonzero(is_cut) + 1


def pixel_change(frames: Tensor) -> NDArray[np.float64]:
    """Mean change of a pixel from each frame to the next, (T - 1,) levels of 255."""
    change: NDArray[np.float64] = frames.float().diff(dim=0).abs().mean(dim=(1, 2, 3)).double().numpy()
    return change


def peaks(frames: NDArray[np.int64], nats: NDArray[np.float64], *, within: int, most: int) -> list[int]:
    """Frames of the highest peaks, the highest first; none lies within so many frames of a higher one."""
    found: list[int] = []
    for place in np.argsort(-nats, kind="stable"):
        if all(abs(int(frames[place]) - peak) > within for peak in found):
            found.append(int(frames[place]))
        if len(found) == most:
            break
    return found


@torch.inference_mode()
def surprises(model: FutureModel, films: tuple[Film, ...]) -> tuple[list[dict[str, Any]], dict[str, NDArray[np.uint8]]]:
    """Ask a model how surprised it is over the time of each film.

    Args:
        model: Asked; one that cannot say has no entries.
        films: Of held-out videos.

    Returns:
        The entry `surprise` of `metrics.json`: for each film its `video`, the `seconds` at which the surprising clips
        begin, their `nats` (minus the log density, see `WorldModel.surprise`), the `change` of the pixels at the same
        frames, `cuts` and `peaks` (seconds), and `cuts_found`, how many of the cuts are among as many highest peaks.
        And for the gallery: surprise_before and surprise_after (films, 3, h, w, 3) uint8, the last frame of the context
        and the first of the future at the three highest peaks.
    """
    if not films or not isinstance(model, SurprisedModel):
        return [], {}
    entries, pictures = [], []
    for film in films:
        found = model.surprise(film.frames.to(device_of(model)), clip_frames=film.clip_frames, shift=film.shift)
        frames, nats = found.frames.cpu().numpy(), found.nats.double().cpu().numpy()
        true_cuts = [int(cut) for cut in cuts(film.frames) if frames[0] <= cut <= frames[-1]]
        within = film.clip_frames
        highest = peaks(frames, nats, within=within, most=max(NUM_PEAKS, len(true_cuts)))
        best = highest[: len(true_cuts)]
        change = np.concatenate([[0.0], pixel_change(film.frames)])
        entries.append(
            {
                "video": film.name,
                "seconds": film.seconds[frames].tolist(),
                "nats": nats.tolist(),
                "change": change[frames].tolist(),
                "cuts": film.seconds[true_cuts].tolist(),
                "peaks": film.seconds[highest[:NUM_PEAKS]].tolist(),
                "cuts_found": sum(any(abs(peak - cut) <= within for peak in best) for cut in true_cuts),
            }
        )
        shown = (highest * NUM_PEAKS)[:NUM_PEAKS]  # a film too short for three peaks shows one again
        before = [max(0, peak - film.shift + film.clip_frames - 1) for peak in shown]
        pictures.append(shrunk(torch.stack([film.frames[before], film.frames[shown]])))
    before_and_after = torch.stack(pictures, dim=1).permute(0, 1, 2, 4, 5, 3).contiguous().numpy()
    return entries, {"surprise_before": before_and_after[0], "surprise_after": before_and_after[1]}
