"""Data modules. All yield real images `[n_dis, B, 3, H, W]` float32 in [-1, 1] and labels."""

from srgan.data.cifar10 import CIFAR10Data
from srgan.data.digits import DigitsData
from srgan.data.folder import FolderData
from srgan.data.hub import HubData
from srgan.data.image_data import Batch, ImageData, LabelledImages
from srgan.data.stl10 import STL10Data

__all__ = [
    "Batch",
    "CIFAR10Data",
    "DigitsData",
    "FolderData",
    "HubData",
    "ImageData",
    "LabelledImages",
    "STL10Data",
]
