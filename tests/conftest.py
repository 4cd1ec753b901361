import pytest
from command_line import REPOSITORY, SMALL, videossl
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def small_world(tmp_path_factory):
    """48 videos of the digits world as mp4 files."""
    folder = tmp_path_factory.mktemp("world") / "digits"
    config = REPOSITORY / "configs/world/quickstart.yaml"
    done = videossl("world", "digits", "--config", config, "--out", folder, "--num_videos", 48)
    assert done.returncode == 0, done.stderr
    return folder


def trained(config, videos, out):
    """A run directory of a config, made small."""
    path = REPOSITORY / "configs" / "pretrain" / config
    done = videossl("pretrain", "--config", path, "--data.videos", videos, "--out", out, *SMALL)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def small_run(small_world, tmp_path_factory):
    return trained("quickstart.yaml", small_world, tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="session")
def small_twin(small_world, tmp_path_factory):
    return trained("quickstart_twin.yaml", small_world, tmp_path_factory.mktemp("runs") / "twin")
