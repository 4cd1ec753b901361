"""Export the encoder of a run: written, read again, compared with the original, and only then put in its place."""

import json
from pathlib import Path

from videossl import __version__
from videossl.errors import UsageError
from videossl.export.check import largest_difference
from videossl.export.exported import INPUT, OUTPUTS, ExportedEncoder
from videossl.export.formats import FORMATS, Format
from videossl.files import replacing
from videossl.loading import find_model_files, load, load_data_settings

SUFFIXES: dict[Format, str] = {"torchscript": "pt", "pt2": "pt2"}  # torch writes no such file without a suffix


def export_run(
    run: Path,
    *,
    format: Format,
    out: Path,
    num_frames: int | None = None,
    frame_size: int | None = None,
    overwrite: bool = False,
) -> float:
    """Write the encoder of a model as one file.

    Its input `frames` is (B, T, 3, H, W) uint8, RGB as decoded and resized; its outputs `representation` (B, E) and
    `frame_vectors` (B, T', E') are those of `model.embed`. Scaling and normalisation of pixels are part of the file. T,
    H and W are fixed, B is free.

    Args:
        run: Whatever `videossl.load` takes.
        format: "onnx", "torchscript" or "pt2" (torch.export).
        out: The file.
        num_frames: Frames T of a clip; None: as in training.
        frame_size: Height and width of frames; None: as in training.
        overwrite: Replace a file that exists.

    Returns:
        The largest difference from the original, see `largest_difference`.

    Raises:
        UsageError: No such model, a file that may not be replaced, or a package that the format needs and is not there.
        WorkError: The encoder cannot be exported, or the file differs from it; no file is left then.
    """
    for name, value in (("num_frames", num_frames), ("frame_size", frame_size)):
        if value is not None and value < 1:
            raise UsageError(f"expected --{name} of at least 1, got {value}.")
    if out.is_dir():
        raise UsageError(f"{out} is a folder. Choose a file as --out.")
    if not out.suffix and format in SUFFIXES:
        raise UsageError(
            f"expected a file name with a suffix as --out, got {out}. Name it for example {out}.{SUFFIXES[format]}."
        )
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists. Choose another --out, or replace it with --overwrite true.")
    files = find_model_files(run)
    data = load_data_settings(run)
    encoder = ExportedEncoder(
        load(run),
        num_frames=data.clips.num_frames if num_frames is None else num_frames,
        frame_size=data.frame_size if frame_size is None else frame_size,
    ).eval()
    about = {
        "videossl_version": __version__,
        "weights_sha256": files.weights_sha256(),
        "input": f"{INPUT}: (B, {', '.join(map(str, encoder.shape))}) uint8, RGB",
        "outputs": ", ".join(OUTPUTS),
        "pooling": encoder.model.pooling,
        "frame_stride": json.dumps(data.clips.frame_stride if data.clips.target_fps is None else None),
        "target_fps": json.dumps(data.clips.target_fps),
    }
    write, read = FORMATS[format]
    encoder(encoder.clips(1, seed=0))  # what it says of these frames is said before torch speaks
    with replacing(out) as temporary:
        write(encoder, temporary, about)
        return largest_difference(encoder, read, temporary)
