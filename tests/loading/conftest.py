import pytest
from small_models import write_run


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")
