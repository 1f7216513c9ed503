"""This package's version, and its optional packages with the extras that install them."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

DISTRIBUTION = "spectral-regularization-gan"
PACKAGES = {
    "train": ["PIL", "filelock", "jsonargparse", "lightning_fabric", "pytorch_lightning", "rich", "scipy", "sklearn",
              "torch_fidelity", "torchmetrics", "torchvision", "tqdm", "yaml"],
    "report": ["av", "jinja2", "matplotlib", "plotly"],
    "hub": ["datasets", "huggingface_hub", "pyarrow", "safetensors"],
    "tensorboard": ["tensorboard"],
    "wandb": ["pandas", "wandb", "wandb_workspaces"],
}  # fmt: skip
"""Extra of this distribution -> packages that it brings, as they are imported. Without any: torch and numpy alone."""
EXTRA_OF = {package: extra for extra, packages in PACKAGES.items() for package in packages}


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
