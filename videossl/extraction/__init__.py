"""A model and videos in, tables of embeddings out. Public names only."""

from videossl.extraction.extract import Embedder, Extracted, extract
from videossl.extraction.levels import Level
from videossl.extraction.run import extract_run
from videossl.extraction.shards import read_about

__all__ = ["Embedder", "Extracted", "Level", "extract", "extract_run", "read_about"]
