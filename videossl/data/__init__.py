"""Video files in, batches of views out."""

from videossl.data.augment import Augment
from videossl.data.augment_parameters import AugmentParameters
from videossl.data.clips import ClipError, ClipPlan, ClipPlanner
from videossl.data.dataset import Sample, VideoViews, collate
from videossl.data.decode import DecordReader, PyAVReader, TorchCodecReader, VideoError, VideoReader
from videossl.data.index import Video, VideoIndex
from videossl.data.media import Media
from videossl.data.multi_crop import CropGroup, MultiCrop
from videossl.data.sources import Columns, Source, VideoSet, find_videos

__all__ = [
    "Augment",
    "AugmentParameters",
    "ClipError",
    "ClipPlan",
    "ClipPlanner",
    "Columns",
    "CropGroup",
    "DecordReader",
    "Media",
    "MultiCrop",
    "PyAVReader",
    "Sample",
    "Source",
    "TorchCodecReader",
    "Video",
    "VideoError",
    "VideoIndex",
    "VideoReader",
    "VideoSet",
    "VideoViews",
    "collate",
    "find_videos",
]
