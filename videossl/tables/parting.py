"""Which rows are for fitting, choosing and the test: given, and checked, or made. No video is on two sides."""

import numpy as np
import torch
from numpy.typing import NDArray

from videossl.errors import UsageError
from videossl.probing import split_by_video

PART_OF = {
    "train": "fit", "validation": "choose", "valid": "choose", "val": "choose", "test": "test", "heldout": "test",
}  # fmt: skip
CHOOSE_SHARE = 2 / 7  # of the videos for training, where nothing is for choosing: as in `split_by_video`


def given_parts(
    split: NDArray[np.str_], videos: NDArray[np.int64], names: list[str], *, seed: int
) -> tuple[NDArray[np.str_], str]:
    """The parts of rows by a given split.

    Args:
        split: (n,) "train", "validation" (or "valid", "val") or "test" (or "heldout"); "" leaves a row out.
        videos: (n,) number of the video of each row.
        names: Of the videos.
        seed: Of the choice of videos for validation, where the split has none.

    Returns:
        (n,) "fit", "choose", "test" or ""; and a note: empty, or what was done about a split without validation.

    Raises:
        UsageError: A part with another name, no rows for training or test, or a video in two parts.
    """
    for found in np.unique(split[split != ""]):
        if found not in PART_OF:
            raise UsageError(f"expected the column split to hold train, validation and test, got {found}.")
    kinds, kind = np.unique(split, return_inverse=True)
    part = np.array([PART_OF.get(name, "") for name in kinds.tolist()], dtype="<U6")[kind]
    pairs = np.unique(np.stack([videos, kind])[:, part != ""], axis=1)  # (video, kind) that occur
    of_video = dict[int, str]()
    for video, number in pairs.T.tolist():
        name = str(kinds[number])
        before = of_video.setdefault(video, name)
        if PART_OF[before] != PART_OF[name]:
            raise UsageError(
                f"the split has rows of {names[video]} in {before} and {name}: frames of one video are alike, so the "
                "score would mean nothing. Put every video on one side."
            )
    for wanted, what in (("fit", "train"), ("test", "test")):
        if wanted not in part:
            raise UsageError(f"the split has no rows for {what}. Name {what} in its column split.")
    if "choose" in part:
        return part, ""
    training = np.unique(videos[part == "fit"])
    chosen = np.random.default_rng(seed).permutation(training)[: round(CHOOSE_SHARE * len(training))]
    part[np.isin(videos, chosen) & (part == "fit")] = "choose"
    return part, (
        f"validation: the split has none, so {len(chosen)} of the {len(training)} train videos are kept for it"
    )


def made_parts(videos: NDArray[np.int64], *, seed: int) -> NDArray[np.str_]:
    """(n,) "fit", "choose" or "test" for rows of these videos, as `split_by_video` parts them."""
    parts = split_by_video(torch.from_numpy(videos), seed=seed)
    part = np.full(len(videos), "test", dtype="<U6")
    part[parts.fit.numpy()], part[parts.choose.numpy()] = "fit", "choose"
    return part
