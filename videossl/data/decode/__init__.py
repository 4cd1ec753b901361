"""Frames out of video files. The only place that imports decoders, and each only when its reader is made."""

from videossl.data.decode.base import VideoError, VideoReader
from videossl.data.decode.decord import DecordReader
from videossl.data.decode.pyav import PyAVReader
from videossl.data.decode.torchcodec import TorchCodecReader

__all__ = ["DecordReader", "PyAVReader", "TorchCodecReader", "VideoError", "VideoReader"]
