from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from grey_videos import GreyLevel, extracted
from PIL import Image
from torch import Tensor

from videossl.errors import UsageError, WorkError
from videossl.extraction import read_about
from videossl.models import MLPProjector, VideoTransformer, WorldModel
from videossl.types import Embeddings


def vectors(table: pd.DataFrame, name: str) -> np.ndarray:
    return np.stack(table[table.video == name].embedding.tolist())


def test_clips_overlap_by_what_is_asked_for(videos: Path, tmp_path: Path) -> None:
    _, table = extracted(videos, tmp_path, level="clip", step_frames=2)
    assert table[table.video == "long/a.mp4"].frame.tolist() == [0, 2, 4, 6, 8]
    assert table[table.video == "long/b.mp4"].frame.tolist() == [0, 2, 4]
    np.testing.assert_allclose(vectors(table, "long/b.mp4")[1], [3, 4], atol=0.2)


def test_clips_may_leave_frames_out_but_frames_may_not(videos: Path, tmp_path: Path) -> None:
    _, table = extracted(videos, tmp_path / "clips", level="clip", step_frames=6)
    assert table[table.video == "long/a.mp4"].frame.tolist() == [0, 6]
    with pytest.raises(UsageError, match="step_frames of at most clip_frames = 4"):
        extracted(videos, tmp_path / "frames", step_frames=6)


def test_windows_whose_tubelets_would_not_fall_together_are_refused(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiples of the 2 frames of a tubelet"):
        extracted(videos, tmp_path, step_frames=3)


@pytest.mark.parametrize(
    ("pooling", "wanted"), [("mean", [3, 4]), ("max", [5, 6]), ("mean_max", [3, 4, 5, 6]), ("last", [5, 6])]
)
def test_a_video_is_pooled_as_is_asked_for(videos: Path, tmp_path: Path, pooling: str, wanted: list[float]) -> None:
    _, table = extracted(videos, tmp_path, level="video", video_pooling=pooling)
    np.testing.assert_allclose(vectors(table, "long/b.mp4")[0], wanted, atol=0.2)
    assert f"then {pooling} over the clips" in str(read_about(tmp_path / "part-00000.parquet")["pooling"])


def test_rows_count_the_frames_that_fill_up(videos: Path, tmp_path: Path) -> None:
    for level, wanted in {
        "frame": {"long/a.mp4": 1, "long/b.mp4": 0, "short/c.mp4": 1, "short/image.mp4": 1},
        "clip": {"long/a.mp4": 1, "long/b.mp4": 0, "short/c.mp4": 1, "short/image.mp4": 3},
        "video": {"long/a.mp4": 1, "long/b.mp4": 0, "short/c.mp4": 1, "short/image.mp4": 3},
    }.items():
        _, table = extracted(videos, tmp_path / level, level=level)
        assert table.groupby("video").repeated_frames.sum().to_dict() == wanted, level


@pytest.fixture(scope="module")
def model() -> WorldModel:
    torch.manual_seed(0)
    encoder = VideoTransformer(width=24, depth=1, num_heads=2, patch_size=16, tubelet_frames=2)
    return WorldModel(encoder, MLPProjector).eval()


def test_tokens_are_rows_with_their_place_and_their_mean_is_the_vector_of_the_frame(
    videos: Path, tmp_path: Path, model: WorldModel
) -> None:
    _, frames = extracted(videos, tmp_path / "frames", model)  # type: ignore[arg-type]
    _, tokens = extracted(videos, tmp_path / "tokens", model, level="token")  # type: ignore[arg-type]
    assert len(tokens) == 4 * len(frames)
    places = tokens[tokens.video == "long/a.mp4"][["frame", "token_row", "token_column"]].to_numpy()
    assert places[:5].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [2, 0, 0]]
    means = tokens.groupby(["video", "frame"], sort=False).embedding.apply(lambda rows: np.stack(rows).mean(0))
    np.testing.assert_allclose(np.stack(means.tolist()), np.stack(frames.embedding.tolist()), atol=2e-2)
    schema = pq.read_schema(tmp_path / "tokens" / "part-00000.parquet")
    assert str(schema.field("embedding").type) == "fixed_size_list<element: halffloat>[24]"


def test_tokens_need_a_model_that_gives_them(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="GreyLevel has no method `tokens`"):
        extracted(videos, tmp_path, level="token")


def test_vectors_may_be_kept_in_half_the_space(videos: Path, tmp_path: Path) -> None:
    _, table = extracted(videos, tmp_path, dtype="float16")
    assert vectors(table, "long/a.mp4").dtype == np.float16
    assert read_about(tmp_path / "part-00000.parquet")["dtype"] == "float16"


class Large(GreyLevel):
    def embed(self, frames: Tensor) -> Embeddings:
        one = super().embed(frames)
        return Embeddings(one.representation, one.embedding, one.frames * 1e6)


def test_vectors_that_half_the_space_cannot_hold_are_refused(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="float16 ends at 65504"):
        extracted(videos, tmp_path, Large(), dtype="float16")
    assert not list(tmp_path.glob("*.parquet"))


def test_lower_precision_and_compilation_give_nearly_the_same(videos: Path, tmp_path: Path, model: WorldModel) -> None:
    tables = {
        precision: extracted(videos, tmp_path / precision, model, precision=precision)[1]  # type: ignore[arg-type]
        for precision in ("float32", "bfloat16")
    }
    exact, rough = (vectors(table, "long/a.mp4") for table in tables.values())
    assert 0 < abs(exact - rough).max() < 0.1


def test_pictures_are_videos_of_one_frame(tmp_path: Path, model: WorldModel) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for grey in (0, 128):
        Image.new("RGB", (40, 40), (grey, grey, grey)).save(folder / f"{grey}.png")
    videos = {"videos": str(folder), "images": True}
    done, table = extracted(videos, tmp_path / "out", model, clip_frames=1)  # type: ignore[arg-type]
    assert table[["video", "frame", "seconds"]].to_numpy().tolist() == [["0.png", 0, 0.0], ["128.png", 0, 0.0]]
    assert (done.num_filled, table.repeated_frames.sum()) == (0, 0)
    frame = torch.full((1, 1, 3, 32, 32), 128, dtype=torch.uint8)
    np.testing.assert_allclose(vectors(table, "128.png"), model.embed(frame).frames[0], atol=1e-5)
