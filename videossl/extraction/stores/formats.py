"""Formats of embeddings by name."""

from pathlib import Path
from typing import Literal

from videossl.extraction.stores.base import Store
from videossl.extraction.stores.lance import LanceStore
from videossl.extraction.stores.parquet import ParquetStore
from videossl.extraction.stores.vector_files import VectorFileStore

Format = Literal["parquet", "npy", "safetensors", "lance"]


def store_of(file_format: Format, folder: Path, dtype: str) -> Store:
    """The store of a format in a folder.

    Args:
        file_format: "parquet": everything in Parquet files; "npy", "safetensors": vectors in such files, everything
            else in Parquet files beside them; "lance": a Lance table.
        folder: Where it is, or will be.
        dtype: "float32" or "float16".
    """
    if file_format == "lance":
        return LanceStore(folder, dtype)
    if file_format == "parquet":
        return ParquetStore(folder, dtype)
    return VectorFileStore(folder, dtype, file_format)
