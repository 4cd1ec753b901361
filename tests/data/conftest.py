"""Video files for the tests of the data road."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

HERE = Path(__file__).parent
AWKWARD = HERE / "awkward"
MANIFEST: list[dict[str, Any]] = json.loads((AWKWARD / "manifest.json").read_text())


def read_code(picture: np.ndarray) -> int:
    """The number that a frame (H, W, 3) of an awkward file carries."""
    return sum(1 << bit for bit in range(10) if picture[4:12, 16 * bit + 4 : 16 * bit + 12, 1].mean() > 127)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "awkward" in metafunc.fixturenames:
        metafunc.parametrize("awkward", MANIFEST, ids=[entry["file"] for entry in MANIFEST])


@pytest.fixture
def awkward_folder() -> Path:
    return AWKWARD


@pytest.fixture
def bikes() -> Path:
    return HERE / "real" / "bikes.mp4"


@pytest.fixture
def carphone() -> Path:
    return HERE / "real" / "carphone_distorted.mp4"


@pytest.fixture
def code_of() -> Callable[[np.ndarray], int]:
    return read_code


@pytest.fixture
def make_video() -> Callable[..., Path]:
    """Write a grey video whose frame i has the grey level 20 * i + base (up to 12 frames can be told apart)."""

    def make(path: Path, *, num_frames: int = 8, side: int = 32, frames_per_second: int = 10, base: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=frames_per_second, options={"crf": "4", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
            stream.codec_context.thread_count = 1
            for number in range(num_frames):
                level = (20 * number + base) % 256
                frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), level, np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, frames_per_second)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def folder(tmp_path: Path, make_video: Callable[..., Path]) -> Path:
    """A folder of six tiny videos of 8 frames."""
    for number in range(6):
        make_video(tmp_path / "videos" / f"{number}.mp4", base=number)
    return tmp_path / "videos"
