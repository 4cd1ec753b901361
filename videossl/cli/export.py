"""The verb that writes a model for other programs: `export`."""

from pathlib import Path
from typing import Literal


def export(
    *,
    run: Path,
    format: Literal["onnx", "torchscript", "pt2"],
    out: Path,
    num_frames: int | None = None,
    frame_size: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write the encoder of a model as one file that runs without videossl.

    It takes frames (B, T, 3, H, W) as uint8 RGB, any B, and gives the representation (B, E) and the frame vectors
    (B, T', E) of extraction; pixels are normalised inside. The file is read again and compared with the model: one that
    differs by more than 1e-4 is not kept.

    Args:
        run: Run directory, folder with config and safetensors, weights file or hub id of the model.
        format: "onnx" (one file, at most 2 GiB; checked in onnxruntime), "torchscript", or "pt2" (torch.export).
        out: File to write.
        num_frames: Frames T of a clip; as in training if it is not given.
        frame_size: Height and width of frames in pixels; as in training if it is not given.
        overwrite: Replace a file that exists.
    """
    from videossl.export import export_run

    difference = export_run(
        run, format=format, out=out, num_frames=num_frames, frame_size=frame_size, overwrite=overwrite
    )
    print(f"wrote {out.stat().st_size / 2**20:.1f} MiB; largest difference from the model {difference:.0e}: {out}")
