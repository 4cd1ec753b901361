"""Models out of run directories, folders, weights files and the Hugging Face hub. Public names only."""

from videossl.loading.files import ModelFiles, find_model_files
from videossl.loading.load import build_model, load, load_data_settings, usable

__all__ = ["ModelFiles", "build_model", "find_model_files", "load", "load_data_settings", "usable"]
