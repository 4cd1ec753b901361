"""Search a table of embeddings by a video, a picture or one of its rows, and show what was found."""

from videossl.search.search_command import search

__all__ = ["search"]
