"""How long a run will take on a CPU, by the pace of its own iterations."""

MIN_SECONDS = 30.0
"""Seconds of training, behind its first iteration, before anything is said of its length."""
MIN_ITERATIONS = 3
"""Iterations that a pace is taken of."""
MAX_HOURS = 5.0
"""Hours on a CPU from which on a run says so, and what to use instead."""


class Pacemaker:
    """Looks at a clock after iterations; tells once how long those of a run that are left will take."""

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations
        self.began: tuple[int, float] | None = None
        self.told = False

    def hours_left(self, iteration: int, seconds: float) -> float | None:
        """Hours that the rest will take at the pace so far; None before that is known, and once it was told.

        The first iteration that is seen starts the clock (in seconds), since it also prepares what the others need.
        """
        if self.began is None:
            self.began = iteration, seconds
        done, passed = iteration - self.began[0], seconds - self.began[1]
        if self.told or done < MIN_ITERATIONS or passed < MIN_SECONDS:
            return None
        self.told = True
        return (self.iterations - iteration) * passed / done / 3600


def warning(hours: float, command: list[str]) -> str | None:
    """What to say to whoever waits at a CPU for so many hours more; None for fewer than MAX_HOURS.

    `command` is what was typed, so that nothing is advised that is there.
    """
    if hours < MAX_HOURS:
        return None
    smaller = "fewer --model.iterations, or smaller batches and nets"
    if "cifar10" in command and "small" not in command:
        smaller = "smaller nets (-c small behind -c cifar10)"
    return f"at its pace so far, training takes about {hours:,.0f} hours more on this CPU. Take a GPU, or {smaller}."
