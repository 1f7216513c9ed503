"""A disk that takes no more from some write of a run on: one sentence, a status, and all that was saved."""

import resource

from faults.forks import Child
from faults.kills import finish
from faults.subject import train, watch_writes
from faults.trials import Attempt, Outcome, Trial


def fill_at_a_write(attempt: Attempt) -> Outcome:
    """From a write on, any of them, files take at most so many bytes; then there is room again."""
    world, draw, folder, number = attempt
    wanted = 37 * number % len(world.writes)  # all of them, in an order that shows all parts of a run early
    size = draw.choice([0, 0, int(10 ** draw.uniform(0, 5))])

    def action() -> int:
        left = [wanted]

        def note(kind: str, event: str) -> None:
            if not left[0]:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            left[0] -= 1

        watch_writes(folder, note)
        return train(folder)

    ended = Child(action).wait()
    if ended.problem:
        return Outcome(1, ended.problem)
    if ended.status not in (0, 1, 2) or (
        ended.status and not ("File too large" in ended.said or "Errno" in ended.said)
    ):
        return Outcome(1, f"exit status {ended.status}: {ended.said}")
    outcome = finish(world, folder, 1)
    return outcome._replace(kinds=("had enough space" if ended.status == 0 else "failed with a message",))


TRIALS: dict[str, tuple[Trial, int]] = {"from each of the changes of a file on": (fill_at_a_write, 120)}
