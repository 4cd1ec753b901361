"""One function per format: each writes a file, and gives what reads it again as its users would."""

import json
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from videossl.errors import UsageError, WorkError
from videossl.export.exported import INPUT, OUTPUTS, ExportedEncoder

Format = Literal["onnx", "torchscript", "pt2"]
Reader = Callable[[Path], Callable[[Tensor], tuple[Tensor, Tensor]]]
ABOUT = "videossl.json"  # in files that can hold others
MOST_BYTES_OF_ONNX = 2**31 - 2**24  # protobuf's limit is 2 GiB, and the graph needs room too


def write_onnx(encoder: ExportedEncoder, path: Path, about: Mapping[str, str]) -> None:
    """ONNX in one file; what the model is stands in its metadata_props."""
    _check_for("onnx", "onnxscript", "onnxruntime")
    size = sum(tensor.nbytes for tensor in encoder.state_dict().values())
    if size > MOST_BYTES_OF_ONNX:
        raise UsageError(
            f"an ONNX file holds 2 GiB at most, and these weights are {size / 2**30:.1f} GiB. Use --format pt2."
        )
    with _quiet():
        program = torch.onnx.export(
            _exported(encoder),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={INPUT: {0: "batch"}},  # the name of the axis
            verbose=False,
        )
        assert program is not None  # it is None only with the exporter of old
        program.model.metadata_props.update(about)
        program.save(path, external_data=False)


def read_onnx(path: Path) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The file in onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(frames: Tensor) -> tuple[Tensor, Tensor]:
        representation, vectors = session.run(list(OUTPUTS), {INPUT: frames.numpy()})
        return torch.from_numpy(representation), torch.from_numpy(vectors)

    return run


def write_pt2(encoder: ExportedEncoder, path: Path, about: Mapping[str, str]) -> None:
    """A `torch.export` archive; what the model is stands in its extra file."""
    with _quiet():
        torch.export.save(_exported(encoder), path, extra_files={ABOUT: json.dumps(dict(about))})


def read_pt2(path: Path) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The archive as a module."""
    with _quiet():
        return torch.export.load(path).module()


class _Guarded(nn.Module):
    """A traced encoder that refuses other shapes: a trace would take them for its own and give other numbers."""

    def __init__(self, traced: nn.Module, shape: list[int]) -> None:
        super().__init__()
        self.traced = traced
        self.shape: list[int] = shape

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        if frames.dtype != torch.uint8 or frames.dim() != 5 or list(frames.shape[1:]) != self.shape:
            raise ValueError(f"expected uint8 frames of shape (B, T, 3, H, W) with T, 3, H, W = {self.shape}")
        representation, vectors = self.traced(frames)
        return representation, vectors


def write_torchscript(encoder: ExportedEncoder, path: Path, about: Mapping[str, str]) -> None:
    """TorchScript for programs in C++ and old installations: torch keeps it, and develops it no further."""
    with _quiet(), torch.no_grad():
        clips = encoder.clips(2, seed=0)
        traced = torch.jit.trace(encoder, (clips,), check_trace=False)  # type: ignore[no-untyped-call]
        scripted = torch.jit.script(_Guarded(traced, list(encoder.shape)))
        torch.jit.save(scripted, path, _extra_files={ABOUT: json.dumps(dict(about))})


def read_torchscript(path: Path) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The file as a module."""
    with _quiet():
        return torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]


Writer = Callable[[ExportedEncoder, Path, Mapping[str, str]], None]
FORMATS: dict[Format, tuple[Writer, Reader]] = {
    "onnx": (write_onnx, read_onnx),
    "torchscript": (write_torchscript, read_torchscript),
    "pt2": (write_pt2, read_pt2),
}


def _exported(encoder: ExportedEncoder) -> torch.export.ExportedProgram:
    """The graph of the encoder for any batch size."""
    try:
        return torch.export.export(
            encoder, (encoder.clips(2, seed=0),), dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1)}}
        )
    except Exception as error:  # torch raises many kinds, some of them pages long
        raise WorkError(f"torch.export cannot follow this encoder: {' '.join(str(error).split())[:300]}") from error


def _check_for(*packages: str) -> None:
    import importlib.util

    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise UsageError(f"ONNX needs {' and '.join(missing)}: pip install 'videossl[onnx]'.")


class _quiet:  # noqa: N801 - used like a function
    """Leave out what exporters say of their progress and of what they could not know; the check decides."""

    def __enter__(self) -> None:
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.simplefilter("ignore")
        self._logger = logging.getLogger("torch.onnx")
        self._level = self._logger.level
        self._logger.setLevel(logging.ERROR)

    def __exit__(self, *error: Any) -> None:
        self._caught.__exit__(*error)
        self._logger.setLevel(self._level)
