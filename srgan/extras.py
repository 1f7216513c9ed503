"""Optional packages: what brings them, and what a command says that lacks one. None is imported in here."""

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
