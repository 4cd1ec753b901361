"""An encoder as one file for programs without videossl: ONNX, TorchScript or torch.export. Public names only."""

from videossl.export.formats import Format
from videossl.export.run import export_run

__all__ = ["Format", "export_run"]
