"""Video files in, batches of views out."""

from videossl.data.augment import Augment
from videossl.data.clips import ClipError, ClipPlan, ClipPlanner
from videossl.data.dataset import Sample, VideoViews, collate
from videossl.data.decode import DecordReader, PyAVReader, VideoError, VideoReader
from videossl.data.index import Video, VideoIndex
from videossl.data.sources import Source, find_videos

__all__ = [
    "Augment",
    "ClipError",
    "ClipPlan",
    "ClipPlanner",
    "DecordReader",
    "PyAVReader",
    "Sample",
    "Source",
    "Video",
    "VideoError",
    "VideoIndex",
    "VideoReader",
    "VideoViews",
    "collate",
    "find_videos",
]
