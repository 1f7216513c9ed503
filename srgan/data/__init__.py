"""Data modules. All yield real images `[n_dis, B, 3, H, W]` float32 in [-1, 1] and labels."""

from srgan.data.digits import DigitsData as DigitsData
from srgan.data.folder import FolderData as FolderData
from srgan.data.hub import HubData as HubData
from srgan.data.image_data import Batch as Batch
from srgan.data.image_data import ImageData as ImageData
from srgan.data.image_data import LabelledImages as LabelledImages
from srgan.data.torchvision_data import CIFAR10Data as CIFAR10Data
from srgan.data.torchvision_data import STL10Data as STL10Data
