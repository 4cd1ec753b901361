"""Write a clip as an ordinary video file."""

from fractions import Fraction
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from videossl.errors import UsageError
from videossl.files import replacing

# Near-lossless: on digits decoded pixels differ from rendered ones by less than 0.1 of 255 in the mean. No B-frames,
# so that frames lie in the file in the order in which they are shown.
ENCODER_OPTIONS = {"preset": "superfast", "crf": "4", "bf": "0"}


def write_video(path: Path, clip: Tensor, *, frames_per_second: int) -> None:
    """Write `clip` as H.264 in MP4, 4:2:0 as every player reads it.

    Args:
        path: The file, ending in .mp4; it appears when it is complete.
        clip: (T, 3, H, W) uint8, RGB; H and W even.
        frames_per_second: Constant frame rate, at least 1.

    Raises:
        UsageError: The clip cannot be written as such a file.
    """
    import av

    if clip.ndim != 4 or clip.shape[1] != 3 or clip.dtype != torch.uint8 or 0 in clip.shape:
        raise UsageError(f"expected a clip of shape (T, 3, H, W) uint8, got {tuple(clip.shape)} {clip.dtype}.")
    height, width = clip.shape[2:]
    if height % 2 or width % 2:
        raise UsageError(f"a 4:2:0 video needs even sides, got {width}x{height}. Set canvas to an even number.")
    if path.suffix != ".mp4":
        raise UsageError(f"expected a path that ends in .mp4, got {path}.")
    if frames_per_second < 1:
        raise UsageError(f"expected at least 1 frame per second, got {frames_per_second}.")
    pictures = rearrange(clip, "t c h w -> t h w c").contiguous().numpy()
    with replacing(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=frames_per_second, options=ENCODER_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1  # starting threads costs more than a small video
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, frames_per_second)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
