"""Encoders of transformers are exported like our own; the command compares each file with the model."""

import pytest
import torch
from tiny_transformers import CONFIGS, write_tiny

import videossl
from videossl.export import export_run


@pytest.mark.parametrize(
    ("kind", "file_format"),
    [*((kind, "torchscript") for kind in CONFIGS), ("videomae", "pt2"), ("timesformer", "onnx"), ("dinov3", "pt2")],
)
def test_every_family_is_exported_for_any_batch(tmp_path, kind, file_format):
    folder, out = write_tiny(kind, tmp_path / kind), tmp_path / f"encoder.{file_format}"
    assert export_run(folder, format=file_format, out=out) < 1e-4
    if file_format == "torchscript":
        model = videossl.load(folder)
        frames = torch.randint(0, 256, (3, model.clip_frames, 3, 32, 32), dtype=torch.uint8)
        representation, vectors = torch.jit.load(out)(frames)
        torch.testing.assert_close(representation, model.embed(frames).representation, rtol=0, atol=1e-4)
        torch.testing.assert_close(vectors, model.embed(frames).frames, rtol=0, atol=1e-4)
