"""What the optional packages are told to be installed by. Nothing is imported in here."""

DISTRIBUTION = "spectral-regularization-gan"
EXTRA_OF = {
    "matplotlib": "report",
    "plotly": "report",
    "datasets": "hub",
    "pyarrow": "hub",
    "wandb": "wandb",
    "wandb_workspaces": "wandb",
    "av": "report",
    "tensorboard": "tensorboard",
}
"""Package, as it is imported -> the extra of this distribution that brings it."""


def advice(module: str | None) -> str | None:
    """A sentence for a package that is missing: which, and how to install it; None if it is no optional one of ours."""
    package = (module or "").partition(".")[0]
    if package not in EXTRA_OF:
        return None
    return f'Expected the package {package}, found none. Install it: pip install "{DISTRIBUTION}[{EXTRA_OF[package]}]"'
