"""Which videos are meant by a folder, a file, a list, a table, tar shards, a LeRobot data set, a URL, or several."""

from videossl.data.sources.base import SUFFIXES, Columns, Source, VideoSet
from videossl.data.sources.finding import find_videos
from videossl.data.sources.mixing import absolute_videos

__all__ = ["SUFFIXES", "Columns", "Source", "VideoSet", "absolute_videos", "find_videos"]
