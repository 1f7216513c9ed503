"""When spectral regularization acts."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """Which discriminator updates are followed by an application of SR.

    Attributes:
        every_iterations: act in the iterations t = 0, every, 2 every, ... (t counts generator updates from 0).
        updates: after "all" of such an iteration's n_dis discriminator updates, or after the "last" one only.
        start_iteration: act from this iteration on; before it the discriminator is under plain SN.

    `Schedule()` is the authors' code (every 5th iteration, all D updates); `Schedule(1, "last")` is the text
    of the paper (Section IV: the last discriminator update); `Schedule(1, "all")` is every D update.

    Raises:
        ValueError: an interval below 1, a negative start or an unknown choice of updates.
    """

    every_iterations: int = 5
    updates: Literal["all", "last"] = "all"
    start_iteration: int = 0

    def __post_init__(self) -> None:
        if self.every_iterations < 1 or self.start_iteration < 0:
            raise ValueError(
                f"Expected every_iterations >= 1 and start_iteration >= 0, found {self.every_iterations} "
                f"and {self.start_iteration}."
            )
        if self.updates not in ("all", "last"):
            raise ValueError(f"Expected updates to be 'all' or 'last', found {self.updates!r}.")

    def is_due(self, iteration: int, update: int, n_dis: int) -> bool:
        """Whether SR acts after D update `update` (0 ... n_dis - 1) of `iteration` (from 0)."""
        return (
            iteration >= self.start_iteration
            and iteration % self.every_iterations == 0
            and (self.updates == "all" or update == n_dis - 1)
        )
