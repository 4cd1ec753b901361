"""What the tests of extraction share."""

from pathlib import Path

import pytest
from grey_videos import write_grey


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four grey videos of 11, 8, 3 and 1 frames."""
    return write_grey(tmp_path_factory.mktemp("videos"))
