"""Files of nothing but vectors, written a piece at a time: how many there are is put into the header at the end."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 256
SAFETENSORS_NAMES = {"float32": "F32", "float16": "F16"}


def npy_header(shape: tuple[int, int], dtype: str) -> bytes:
    """The first `HEADER_BYTES` of a .npy file (version 1.0 of the format of `numpy.lib.format`)."""
    facts = {"descr": np.dtype(dtype).newbyteorder("<").str, "fortran_order": False, "shape": shape}
    text = f"{facts}".ljust(HEADER_BYTES - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


def safetensors_header(shape: tuple[int, int], dtype: str) -> bytes:
    """The first `HEADER_BYTES` of a .safetensors file with one tensor, `embedding`."""
    num_bytes = shape[0] * shape[1] * np.dtype(dtype).itemsize
    facts = {
        "embedding": {"dtype": SAFETENSORS_NAMES[dtype], "shape": list(shape), "data_offsets": [0, num_bytes]},
    }
    text = json.dumps(facts).ljust(HEADER_BYTES - 8)
    return len(text).to_bytes(8, "little") + text.encode()


HEADERS: dict[str, Callable[[tuple[int, int], str], bytes]] = {"npy": npy_header, "safetensors": safetensors_header}


class RawVectors:
    """A file of vectors that is being written.

    Args:
        path: The file.
        suffix: "npy" or "safetensors".
        dtype: "float32" or "float16".
    """

    def __init__(self, path: Path, suffix: str, dtype: str) -> None:
        self._header = HEADERS[suffix]
        self._dtype = dtype
        self._file = path.open("wb")
        self._file.write(bytes(HEADER_BYTES))
        self._num_rows = 0
        self._width = 0

    def add(self, vectors: NDArray[np.generic]) -> None:
        """Add vectors (n, E) of the type of the file."""
        self._file.write(np.ascontiguousarray(vectors).data)
        self._num_rows += len(vectors)
        self._width = vectors.shape[1]

    def close(self) -> None:
        """Write the header and close the file."""
        if not self._file.closed:
            self._file.seek(0)
            self._file.write(self._header((self._num_rows, self._width), self._dtype))
            self._file.close()
