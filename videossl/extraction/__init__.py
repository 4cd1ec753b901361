"""A model and videos in, tables of embeddings out. Public names only."""

from videossl.extraction.embedder import Embedder, TokenEmbedder
from videossl.extraction.extract import Extracted, extract
from videossl.extraction.run import extract_run
from videossl.extraction.settings import ExtractionSettings, Level
from videossl.extraction.stores.columns import read_about

__all__ = [
    "Embedder",
    "Extracted",
    "ExtractionSettings",
    "Level",
    "TokenEmbedder",
    "extract",
    "extract_run",
    "read_about",
]
