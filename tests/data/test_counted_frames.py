"""Files in which frames can only be counted: reading them in pieces decodes them once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videossl.data.decode import av_file
from videossl.data.decode.av_file import AVFile
from videossl.data.decode.pyav import PyAVReader


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every frame that a decoder gives."""
    given: list[int] = []
    frames = AVFile.frames

    def counted(self: AVFile) -> Iterator[Any]:
        for frame in frames(self):
            given.append(1)
            yield frame

    monkeypatch.setattr(AVFile, "frames", counted)
    return given


@pytest.mark.parametrize("name", ["nopts_es.h264", "bframes.avi"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_pieces_one_behind_the_other_are_decoded_once(
    awkward_folder: Path,
    code_of: Callable[[np.ndarray], int],
    decoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    in_memory: bool,
) -> None:
    if not in_memory:
        monkeypatch.setattr(av_file, "IN_MEMORY_BYTES", 0)
    with PyAVReader(awkward_folder / name) as reader:
        decoded.clear()
        codes = [
            code_of(picture)
            for start in range(0, 60, 10)
            for picture in reader.read(range(start, start + 10), size=None)
        ]
        assert codes == list(range(60))
        assert len(decoded) == 60
        assert [code_of(picture) for picture in reader.read([7, 3, 59], size=None)] == [7, 3, 59]  # back to the start
        assert [code_of(picture) for picture in reader.read([59], size=None)] == [59]  # and again to what was given
        assert [code_of(picture) for picture in reader.read([20], size=None)] == [20]
        assert [code_of(picture) for picture in reader.read([20, 25], size=None)] == [20, 25]
