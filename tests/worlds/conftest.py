"""What the tests of worlds share."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def idx_bytes() -> Callable[[NDArray[np.uint8]], bytes]:
    """Makes the content of an IDX file of unsigned bytes."""

    def content(values: NDArray[np.uint8]) -> bytes:
        axes = struct.pack(f">{values.ndim}I", *values.shape)
        return b"\0\0\x08" + bytes([values.ndim]) + axes + values.tobytes()

    return content
