"""With attention that is causal in time, a vector depends on no later frame: a stream gives what one window gives."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from grey_videos import extracted

from videossl.data.decode.pyav import PyAVReader
from videossl.extraction import Level
from videossl.models import MLPProjector, VideoTransformer, WorldModel
from videossl.worlds.video_file import write_video

CLIP, STEP, SIZE = 8, 4, 16


def model_with(causal: bool) -> WorldModel:
    torch.manual_seed(0)
    encoder = VideoTransformer(width=24, depth=2, num_heads=2, patch_size=8, tubelet_frames=2, causal=causal)
    return WorldModel(encoder, MLPProjector).eval()


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """23 frames of noise, and the same video with other frames from 14 on, and the same cut off there."""
    folder = tmp_path_factory.mktemp("noise")
    draw = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (23, 3, 2, 2), dtype=torch.uint8, generator=draw)
    frames = frames.repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)
    other = torch.cat([frames[:14], 255 - frames[14:]])
    for name, video in {"whole": frames, "other": other, "short": frames[:14]}.items():
        write_video(folder / f"{name}.mp4", video, frames_per_second=10)
    return folder


def vectors(videos: Path, out: Path, model: WorldModel, level: Level = "frame", **options: object) -> pd.DataFrame:
    options = {"clip_frames": CLIP, "step_frames": STEP, "frame_size": SIZE, "dtype": "float32", **options}
    return extracted(videos, out, model, level=level, **options)[1]  # type: ignore[arg-type]


def of(table: pd.DataFrame, name: str, before: int) -> np.ndarray:
    rows = table[(table.video == name) & (table.frame < before)]
    return np.stack(rows.embedding.tolist())


@pytest.mark.parametrize("level", ["frame", "token"])
def test_a_vector_does_not_depend_on_the_frames_after_it_nor_on_how_many_there_are(
    noise: Path, tmp_path: Path, level: Level
) -> None:
    table = vectors(noise, tmp_path, model_with(causal=True), level)
    whole = of(table, "whole.mp4", 14)
    # Frames are stored with losses, and an encoder may use later ones: 14 is the first that differs.
    assert abs(whole - of(table, "other.mp4", 14)).max() < 0.05 * whole.std()
    assert abs(whole - of(table, "short.mp4", 14)).max() < 0.05 * whole.std()
    assert abs(of(table, "whole.mp4", 23)[-1] - of(table, "other.mp4", 23)[-1]).max() > 0.2 * whole.std()


def test_a_stream_gives_the_vectors_of_one_window_as_far_as_its_context_goes(noise: Path, tmp_path: Path) -> None:
    model = model_with(causal=True)
    stream = vectors(noise, tmp_path, model)
    rows = stream[stream.video == "whole.mp4"]
    with PyAVReader(noise / "whole.mp4") as reader:
        pixels = torch.from_numpy(reader.read(range(23), size=SIZE)).movedim(-1, 1)  # (T, 3, H, W)
    one_window = model.embed(pixels[None]).frames[0].numpy()
    got = np.stack(rows.embedding.tolist())
    assert rows.frame.tolist() == list(range(0, 23, 2))
    np.testing.assert_allclose(got[: CLIP // 2], one_window[: CLIP // 2], atol=1e-5)  # the first window: no difference
    for start in range(0, 23 - CLIP + STEP, STEP):  # behind it: one window from the start of the context on
        ahead = model.embed(pixels[None, start:]).frames[0].numpy()
        first = (start + CLIP - STEP) // 2 if start else 0
        last = min(len(got), (start + CLIP) // 2)
        np.testing.assert_allclose(got[first:last], ahead[first - start // 2 : last - start // 2], atol=1e-5)


def test_with_attention_to_all_times_vectors_do_depend_on_later_frames(noise: Path, tmp_path: Path) -> None:
    table = vectors(noise, tmp_path, model_with(causal=False))
    whole, other = of(table, "whole.mp4", 14), of(table, "other.mp4", 14)
    assert abs(whole - other)[-1].max() > 0.2 * whole.std()
    assert table.repeated_frames.max() <= 1
