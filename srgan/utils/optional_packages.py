"""This package's version, and its optional packages with the extras that install them."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

DISTRIBUTION = "spectral-regularization-gan"
EXTRA_OF = {
    "PIL": "train",
    "av": "report",
    "datasets": "hub",
    "filelock": "train",
    "huggingface_hub": "hub",
    "jinja2": "report",
    "jsonargparse": "train",
    "lightning_fabric": "train",
    "matplotlib": "report",
    "pandas": "wandb",
    "plotly": "report",
    "pyarrow": "hub",
    "pytorch_lightning": "train",
    "rich": "train",
    "safetensors": "hub",
    "scipy": "train",
    "sklearn": "train",
    "tensorboard": "tensorboard",
    "torch_fidelity": "train",
    "torchmetrics": "train",
    "torchvision": "train",
    "tqdm": "train",
    "wandb": "wandb",
    "wandb_workspaces": "wandb",
    "yaml": "train",
}
"""Package, as it is imported -> an extra of this distribution that brings it. Without any: torch and numpy alone."""


def installed_version() -> str:
    """Version of this package; "unknown" if it was copied rather than installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def require(package: str) -> None:
    """ModuleNotFoundError, with the command that installs it, for a missing package."""
    if find_spec(package) is None:
        raise ModuleNotFoundError(advice(package), name=package)


def advice(module: str | None) -> str | None:
    """A sentence on how to install a missing package; None if it is not an optional one of this package."""
    package = (module or "").partition(".")[0]
    if package not in EXTRA_OF:
        return None
    return f'Expected the package {package}, found none. Install it: pip install "{DISTRIBUTION}[{EXTRA_OF[package]}]"'
