"""Table I and the paper's half of Table II (arXiv:1908.10999), one line per setting."""

from typing import Literal, NamedTuple

Scale = Literal["mini", "small", "paper"]
Dataset = Literal["cifar10", "stl10", "imagenet128"]
Method = Literal["sn", "sr"]
METHODS: tuple[Method, ...] = ("sn", "sr")


class Cell(NamedTuple):
    """One cell of Table II: best scores before collapse where the run collapsed."""

    IS: float  # Inception Score
    IS_std: float  # its deviation
    FID: float  # Fréchet Inception Distance
    FID_std: float  # its deviation
    collapsed: bool = False  # by mode and by spectrum; in the paper they always go together


class Setting(NamedTuple):
    """One row of Tables I and II."""

    name: str  # group_batch-channels, as the paper writes it; groups are A to E
    dataset: Dataset  # what is generated
    batch_size: int  # the discriminator's global batch
    discriminator_channels: int  # CH
    compensation: Literal["sr-s", "sr-d"]  # which SR the paper applies
    sn: Cell  # published result of SN-GAN
    sr: Cell  # published result of SR-GAN


# fmt: off
SETTINGS = [
    Setting("A_16-128", "cifar10", 16, 128, "sr-s", Cell(8.15, 0.09, 22.31, 0.28), Cell(8.35, 0.09, 24.67, 0.28)),
    Setting("A_32-128", "cifar10", 32, 128, "sr-s", Cell(8.38, 0.07, 25.96, 0.42), Cell(8.45, 0.10, 22.00, 0.17)),
    Setting("A_64-128", "cifar10", 64, 128, "sr-s", Cell(8.39, 0.15, 21.15, 0.15), Cell(8.65, 0.12, 20.31, 0.18)),
    Setting("A_128-128", "cifar10", 128, 128, "sr-s", Cell(8.61, 0.12, 21.01, 0.23), Cell(8.72, 0.08, 19.98, 0.19)),
    Setting("A_256-128", "cifar10", 256, 128, "sr-s", Cell(8.45, 0.14, 20.87, 0.25), Cell(8.48, 0.03, 19.87, 0.21)),
    Setting("A_512-128", "cifar10", 512, 128, "sr-s", Cell(8.34, 0.09, 21.85, 0.14), Cell(8.53, 0.04, 20.13, 0.12)),
    Setting("A_1024-128", "cifar10", 1024, 128, "sr-s", Cell(8.31, 0.21, 21.68, 0.35), Cell(8.52, 0.16, 20.34, 0.13)),
    Setting("B_8-64", "cifar10", 8, 64, "sr-s", Cell(6.67, 0.05, 45.19, 0.89), Cell(7.42, 0.06, 35.78, 0.11)),
    Setting("B_16-64", "cifar10", 16, 64, "sr-s", Cell(7.34, 0.06, 31.73, 0.49), Cell(7.59, 0.08, 29.42, 0.22)),
    Setting("B_32-64", "cifar10", 32, 64, "sr-s", Cell(7.18, 0.03, 33.76, 0.35), Cell(7.48, 0.09, 28.60, 0.25)),
    Setting("B_64-64", "cifar10", 64, 64, "sr-s", Cell(6.96, 0.11, 36.65, 0.29, True), Cell(7.52, 0.11, 28.40, 0.36)),
    Setting("B_128-64", "cifar10", 128, 64, "sr-s", Cell(7.10, 0.14, 35.99, 0.48, True), Cell(7.13, 0.05, 31.41, 0.56)),
    Setting("B_256-64", "cifar10", 256, 64, "sr-s", Cell(6.85, 0.08, 35.88, 0.42, True), Cell(7.58, 0.03, 27.68, 0.23)),
    Setting("C_8-32", "cifar10", 8, 32, "sr-s", Cell(4.21, 0.18, 80.00, 1.12, True), Cell(4.93, 0.20, 66.05, 2.12)),
    Setting("C_16-32", "cifar10", 16, 32, "sr-s", Cell(4.05, 0.15, 79.69, 0.21, True), Cell(4.78, 0.23, 59.25, 0.43)),
    Setting("C_32-32", "cifar10", 32, 32, "sr-s", Cell(4.29, 0.08, 78.39, 0.17, True), Cell(4.70, 0.15, 62.10, 0.24)),
    Setting("C_64-32", "cifar10", 64, 32, "sr-s", Cell(4.30, 0.14, 85.15, 1.20, True), Cell(5.00, 0.14, 56.11, 0.54)),
    Setting("D_128-256", "cifar10", 128, 256, "sr-s", Cell(8.14, 0.06, 24.43, 0.41), Cell(8.92, 0.18, 18.95, 0.23)),
    Setting("D_256-256", "cifar10", 256, 256, "sr-s", Cell(8.29, 0.12, 22.54, 0.29), Cell(8.83, 0.14, 19.56, 0.11)),
    Setting("D_512-256", "cifar10", 512, 256, "sr-s", Cell(8.33, 0.09, 22.58, 0.16), Cell(8.36, 0.12, 21.82, 0.29)),
    Setting("E_64-128", "stl10", 64, 128, "sr-s", Cell(8.98, 0.20, 42.40, 0.56), Cell(9.14, 0.18, 39.89, 0.89)),
    Setting("E_256-128", "stl10", 256, 128, "sr-s", Cell(9.10, 0.13, 40.11, 0.89), Cell(9.11, 0.17, 40.08, 0.29)),
    Setting("E_256-64", "stl10", 256, 64, "sr-s", Cell(7.38, 0.14, 74.50, 1.52, True), Cell(7.67, 0.06, 69.20, 0.83)),
    Setting("E_256-32", "stl10", 256, 32, "sr-s", Cell(4.04, 0.11, 98.50, 1.34, True), Cell(4.38, 0.07, 89.17, 1.23)),
    Setting("E_512-64", "imagenet128", 512, 64, "sr-d", Cell(34.13, 0.64, 59.88, 0.57), Cell(40.76, 0.73, 54.84, 0.68)),
    Setting("E_2048-64", "imagenet128", 2048, 64, "sr-d", Cell(21.78, 0.87, 71.37, 1.14, True), Cell(31.58, 0.43, 61.08, 0.53)),
]
# fmt: on
