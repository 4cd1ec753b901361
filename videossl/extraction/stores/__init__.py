"""Where embeddings lie: folders of finished shards, in several formats."""

from videossl.extraction.stores.base import FinishedShard, Shard, Store, VideoEntry

__all__ = ["FinishedShard", "Shard", "Store", "VideoEntry"]
