"""What people do with a table of embeddings, from its Parquet files alone. No model and no video is needed."""

from videossl.tables.labels import read_labels
from videossl.tables.probe_command import probe_embeddings
from videossl.tables.probes import Method, ProbeSettings
from videossl.tables.table import EmbeddingTable, Rows
from videossl.tables.targets import Labels, Target

__all__ = ["EmbeddingTable", "Labels", "Method", "ProbeSettings", "Rows", "Target", "probe_embeddings", "read_labels"]
