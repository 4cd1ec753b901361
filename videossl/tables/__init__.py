"""What people do with a table of embeddings, from its Parquet files alone. No model and no video is needed."""

from videossl.tables.duplicates_command import duplicates_of
from videossl.tables.events_command import events_of
from videossl.tables.labels import read_labels
from videossl.tables.lance_index import LanceIndex
from videossl.tables.nearest_rows import Hit, nearest_rows
from videossl.tables.probe_command import probe_embeddings
from videossl.tables.probes import Method, ProbeSettings
from videossl.tables.table import EmbeddingTable, Rows
from videossl.tables.targets import Labels, Target

__all__ = [
    "EmbeddingTable",
    "Hit",
    "Labels",
    "LanceIndex",
    "Method",
    "ProbeSettings",
    "Rows",
    "Target",
    "duplicates_of",
    "events_of",
    "nearest_rows",
    "probe_embeddings",
    "read_labels",
]
