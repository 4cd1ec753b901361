"""Pictures of handwritten digits: scikit-learn's own, or any pair of MNIST IDX files."""

import gzip
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from videossl.errors import UsageError
from videossl.worlds.base import need_file


class DigitImages(NamedTuple):
    """N pictures of digits, white on black."""

    pictures: NDArray[np.float32]  # (N, s, s), grey values in [0, 255]; the brightest pixel of each is 255
    classes: NDArray[np.int64]  # (N,)


def scikit_learn_digits(side: int) -> DigitImages:
    """The 1,797 digits that come with scikit-learn (8x8 pixels, 16 grey levels), enlarged to `side` pixels.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    return DigitImages(_resized(np.asarray(data.images, np.float32), side), np.asarray(data.target, np.int64))


def idx_digits(images: Path, labels: Path, side: int) -> DigitImages:
    """Digits from a pair of IDX files, as MNIST and its relatives are given, resized to `side` pixels.

    Args:
        images: IDX file of (N, height, width) bytes, such as train-images-idx3-ubyte; also with gzip (.gz).
        labels: IDX file of (N,) bytes.
        side: Side of a picture in pixels.

    Raises:
        UsageError: A file is missing, is no IDX file of bytes, is cut short, or the two do not fit each other.
    """
    pictures, classes = read_idx(images, "idx_images"), read_idx(labels, "idx_labels")
    if pictures.ndim != 3 or 0 in pictures.shape:
        raise UsageError(
            f"idx_images needs pictures (N, height, width), got {pictures.shape} in {images}. "
            "Give the file of images, for example train-images-idx3-ubyte.gz."
        )
    if classes.shape != pictures.shape[:1]:
        raise UsageError(
            f"idx_labels needs one label for each of {len(pictures)} images, got {classes.shape} in {labels}. "
            "Give the labels that belong to these images."
        )
    return DigitImages(_resized(pictures.astype(np.float32), side), classes.astype(np.int64))


def read_idx(path: Path, argument: str) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes: 0 0 8 (bytes) number-of-axes, each axis as a big-endian int32, the values.

    Args:
        path: The file; one that starts as gzip does is unpacked, whatever its name.
        argument: Which argument gave the path, for the error.
    """
    need_file(path, argument)
    content = path.read_bytes()
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise UsageError(f"{argument}: {path} is a broken gzip file ({error}). Fetch it again.") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise UsageError(f"{argument} needs an IDX file of bytes, got {path}, which is none. Give an MNIST IDX file.")
    num_axes = content[3]
    header = 4 + 4 * num_axes
    if len(content) < header:
        raise UsageError(f"{argument}: {path} ends within its header. Fetch it again.")
    shape = struct.unpack(f">{num_axes}I", content[4:header])
    wanted = int(np.prod(shape, dtype=np.int64))
    if len(content) - header != wanted:
        raise UsageError(
            f"{argument}: {path} announces {wanted} values and holds {len(content) - header}. Fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _resized(pictures: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """(N, h, w) of any scale to (N, side, side), the brightest pixel of each picture being 255."""
    smooth = F.interpolate(
        torch.from_numpy(pictures)[:, None], size=(side, side), mode="bicubic", antialias=True, align_corners=False
    )[:, 0].clamp(min=0)
    brightest = smooth.amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)
    result: NDArray[np.float32] = (smooth / brightest * 255).numpy()
    return result
