"""This package's version, and optional packages: what brings them, what a command says that lacks one."""

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
    """Of this package, as it was installed; "unknown" for files that were only copied."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def require(package: str) -> None:
    """Before work that would miss it in the end only.

    Raises:
        ModuleNotFoundError: it is not installed; says how to.
    """
    if find_spec(package) is None:
        raise ModuleNotFoundError(advice(package), name=package)


def advice(module: str | None) -> str | None:
    """A sentence for a package that is missing: which, and how to install it; None if it is no optional one of ours."""
    package = (module or "").partition(".")[0]
    if package not in EXTRA_OF:
        return None
    return f'Expected the package {package}, found none. Install it: pip install "{DISTRIBUTION}[{EXTRA_OF[package]}]"'
