"""Whether Weights & Biases is to be reached, and can be. No torch in here."""

import os

import wandb


def wandb_mode(chosen: str | None = None) -> str:
    """What was chosen, else WANDB_MODE, else what `wandb offline` left behind: "online", "offline" or "disabled".

    The environment is read anew each time, which Weights & Biases itself does only once per process.
    """
    mode: str = chosen or os.environ.get("WANDB_MODE") or wandb.setup().settings.mode
    return {"dryrun": "offline", "run": "online"}.get(mode, mode)  # their old names


def logged_in() -> bool:
    """Whether there is a login; nobody is asked, nothing is sent."""
    return bool(wandb.login(prompt=False))
