"""This package's version, and optional packages: what brings them, what a command says that lacks one."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

DISTRIBUTION = "spectral-regularization-gan"
EXTRA_OF = {
    "matplotlib": "report",
    "plotly": "report",
    "jinja2": "report",
    "datasets": "hub",
    "huggingface_hub": "hub",
    "pyarrow": "hub",
    "wandb": "wandb",
    "wandb_workspaces": "wandb",
    "av": "report",
    "pandas": "wandb",
    "tensorboard": "tensorboard",
}
"""Package, as it is imported -> the extra of this distribution that brings it."""


def installed_version() -> str:
    """Of this package, as it was installed; "unknown" for files that were only copied."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def require(package: str) -> None:
    """Before work that would miss it in the end only.

    Raises:
        ModuleNotFoundError: it is not installed; the command line says how to.
    """
    if find_spec(package) is None:
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)


def advice(module: str | None) -> str | None:
    """A sentence for a package that is missing: which, and how to install it; None if it is no optional one of ours."""
    package = (module or "").partition(".")[0]
    if package not in EXTRA_OF:
        return None
    return f'Expected the package {package}, found none. Install it: pip install "{DISTRIBUTION}[{EXTRA_OF[package]}]"'
