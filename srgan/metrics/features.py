"""Feature networks: images `[B, 3, H, W]` uint8 -> features for FID and logits for IS."""

import hashlib
import pickle
from abc import abstractmethod
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d, relu

from srgan.data.image_data import ImageData
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup
from srgan.utils.files import cache_folder, expanded, read_cached, write_cached
from srgan.utils.provenance import convolution_precision
from srgan.utils.randomness import counter_generator, counter_seed, seeded


class FeatureNetwork(nn.Module):
    """A frozen network whose features a score compares."""

    name: str  # like the next two, for protocols and caches
    resize: str  # how it resizes its input
    weights_hash: str
    suffix: str  # of its scores' names, after "FID" and "IS": "" for Inception, "_cls" for a classifier
    num_features: int  # d
    num_logits: int  # classes
    counts_modes = False  # whether its classes are the modes of stacked digits

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, 3, H, W]` uint8 -> features `[B, d]` and logits `[B, classes]`, float32."""


def hash_weights(module: nn.Module) -> str:
    """12 hexadecimal digits that change with any weight."""
    digest = hashlib.blake2b(digest_size=6)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def arithmetic(device: torch.device) -> str:
    """Kind of device and precision that features are computed in, for keys of caches: "" on a CPU, or "-cuda-tf32"."""
    if device.type == "cpu":
        return ""
    return f"-cuda-{convolution_precision(device)}" if device.type == "cuda" else f"-{device.type}"


class InceptionFeatures(FeatureNetwork):
    """The Inception network of 2015-12-05 that the published FID and IS are measured with.

    torchmetrics' port with torch-fidelity's weights; 2,048 pooled features and the 1,008 logits without bias. Images
    are resized to 299 x 299 by TensorFlow 1's bilinear rule (antialias off), as is usual. OSError, which says where to
    put the file, if there is none or the download fails; ValueError for another file there.

    Args:
        weights_path: torch-fidelity's `weights-inception-2015-12-05-6726825d.pth`; None downloads it once.
    """

    name = "inception-v3-compat"
    suffix = ""
    resize = "TensorFlow 1 bilinear to 299, no antialias"
    num_features = 2048
    num_logits = 1008

    def __init__(self, weights_path: str | None = None) -> None:
        super().__init__()
        from torchmetrics.image.fid import NoTrainInceptionV3

        path = self.weights_file(weights_path)
        self.inception = NoTrainInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], str(path), antialias=False
        )
        self.weights_hash = hash_weights(self.inception)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self.inception._torch_fidelity_forward(images)
        return features, logits

    @classmethod
    def weights_file(cls, weights_path: str | None = None) -> Path:
        """The file, downloaded if no path is given; raises as the class does.

        torch-fidelity unpickles without restriction, so it only gets a file that loads with `weights_only`.
        """
        path = expanded(weights_path) if weights_path else cls._download()
        if not path.is_file():
            raise FileNotFoundError(f"Expected Inception weights at '{path.absolute()}', found nothing.")
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ValueError(
                f"Expected Inception weights at '{path.absolute()}', found another file: {reason}"
            ) from error
        return path

    @staticmethod
    def _download() -> Path:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL_INCEPTION_V3).name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix="6726825d")
            except (OSError, RuntimeError) as error:
                raise ConnectionError(
                    f"Cannot download {URL_INCEPTION_V3}: {error}. Put that file at '{path}', or pass its path "
                    "(inception_weights), or score with a classifier if the images have classes (--scores.features "
                    "classifier), or train without scores (--scores.every 0)."
                ) from error
        return path


class _CNN(nn.Module):
    """Three convolutions and 64 features; the first strides down to 8 x 8, so that the image size hardly costs."""

    def __init__(self, image_channels: int, image_size: int, num_classes: int) -> None:
        super().__init__()
        stride = max(1, image_size // 8)
        self.conv1 = nn.Conv2d(image_channels, 32, stride + 2, stride, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1)
        self.hidden = nn.Linear(64 * 4 * 4, 64)
        self.output = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        h = relu(self.conv1(images.float().div(127.5).sub(1)))
        h = max_pool2d(relu(self.conv2(h)), 2)
        h = relu(self.conv3(h))
        features = relu(self.hidden(h.flatten(1)))
        return features, self.output(features)


class _DenseNet(nn.Module):
    """Three blocks of four layers and 90 features (Huang et al. 2017, growth rate 12); begins at 8 x 8, as `_CNN`."""

    def __init__(self, image_channels: int, image_size: int, num_classes: int) -> None:
        super().__init__()
        from torchvision.models import DenseNet

        stride, width = max(1, image_size // 8), 24
        network = DenseNet(growth_rate=12, block_config=(4, 4, 4), num_init_features=width, num_classes=num_classes)
        network.features.conv0 = nn.Conv2d(image_channels, width, stride + 2, stride, padding=1, bias=False)
        network.features.pool0 = nn.Identity()
        self.features, self.output = network.features, network.classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = relu(self.features(images.float().div(127.5).sub(1))).mean(dim=(2, 3))
        return features, self.output(features)


class ClassifierFeatures(FeatureNetwork):
    """A small CNN trained on the data set itself, for images unlike ImageNet's.

    Its scores, FID_cls and IS_cls, compare runs of this package with one another, never with published numbers. Seeded,
    trained on one thread (so that the machine's load does not change the weights) and cached. Stacked digits are read
    channel by channel: 3 x 64 features, 1,000 joint log-probabilities. ValueError if the data has fewer than two
    classes.
    """

    name = "classifier"
    suffix = "_cls"
    resize = "none"
    network: type[_CNN] | type[_DenseNet] = _CNN
    steps, batch_size, seed = 300, 128, 0

    def __init__(self, data: ImageData) -> None:
        super().__init__()
        self.check(data)
        self.counts_modes = data.num_modes is not None
        channels = 1 if self.counts_modes else 3
        with seeded(counter_seed(self.seed, "classifier")):
            self.classifier = self.network(channels, data.image_size, data.num_classes)
        trained = f"{self.name}-{self.steps}x{self.batch_size}-{self.seed}"
        path = cache_folder() / "classifiers" / f"{data.key}-{trained}.npz"
        stored = read_cached(path, *self.classifier.state_dict())
        if stored is None:
            self._fit(data)
            write_cached(path, **{name: tensor.numpy() for name, tensor in self.classifier.state_dict().items()})
        else:
            self.classifier.load_state_dict({name: torch.from_numpy(weight) for name, weight in stored.items()})
        self.weights_hash = hash_weights(self.classifier)
        self.num_features = self.classifier.output.in_features * (3 if self.counts_modes else 1)
        self.num_logits = data.num_labels
        self.eval().requires_grad_(False)

    @staticmethod
    def check(data: ImageData) -> None:
        """ValueError where there is nothing to learn."""
        if data.num_classes < 2:
            raise ValueError(
                f"Expected at least two classes to train a classifier on, found {data.num_classes} in {data.name}. "
                "Use --scores.features inception, whose weights are downloaded once, or train without scores: "
                "--scores.every 0."
            )

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self.classifier(images.flatten(0, 1)[:, None] if self.counts_modes else images)
        if not self.counts_modes:
            return features, logits
        red, green, blue = logits.log_softmax(dim=1).unflatten(0, (-1, 3)).unbind(dim=1)
        joint = red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]
        return features.view(len(images), -1), joint.flatten(1)

    def _fit(self, data: ImageData) -> None:
        images, labels = data.load("train")
        optimizer = torch.optim.Adam(self.classifier.parameters(), 1e-3)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for step in range(self.steps):
                draw = counter_generator("cpu", self.seed, "classifier batch", step)
                chosen = torch.randint(len(images), (self.batch_size,), generator=draw)
                optimizer.zero_grad()
                with torch.enable_grad():
                    cross_entropy(self.classifier(images[chosen])[1], labels[chosen]).backward()
                optimizer.step()
        finally:
            torch.set_num_threads(threads)


class DenseNetFeatures(ClassifierFeatures):
    """A second classifier, of another architecture and seed: does a finding depend on the first?"""

    name = "densenet"
    network = _DenseNet
    seed = 1


FeatureName = Literal["inception", "classifier", "densenet"]
CLASSIFIERS = {classifier.name: classifier for classifier in (ClassifierFeatures, DenseNetFeatures)}


def check_features(name: FeatureName, inception_weights: str | None, data: ImageData) -> None:
    """Fetches what a feature network needs, and raises what building it would, for a fraction of the time."""
    if name == "inception":
        InceptionFeatures.weights_file(inception_weights)
    else:
        ClassifierFeatures.check(data)


def feature_network(
    name: FeatureName, weights: str | None, data: ImageData, device: torch.device, ranks: ProcessGroup = SINGLE_PROCESS
) -> FeatureNetwork:
    """A feature network by its name, on a device; rank zero is first to download, train and cache."""
    turn = torch.zeros(1, device=device)
    if ranks.rank > 0:
        ranks.broadcast_([turn], 0)
    network = InceptionFeatures(weights) if name == "inception" else CLASSIFIERS[name](data)
    if ranks.rank == 0:
        ranks.broadcast_([turn], 0)
    return network.to(device)
