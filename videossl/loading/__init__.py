"""Models out of run directories, folders, weights files and the Hugging Face hub. Public names only."""

from videossl.loading.files import ModelFiles, find_model_files
from videossl.loading.load import build_model, load, load_data_settings, usable
from videossl.loading.own_config import encoder_arguments

__all__ = ["ModelFiles", "build_model", "encoder_arguments", "find_model_files", "load", "load_data_settings", "usable"]
