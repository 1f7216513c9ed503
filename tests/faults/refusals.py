"""How a bad input is to end, and content that is damaged by chance."""

import random
import re
from collections.abc import Callable

from faults.forks import Child
from faults.trials import Outcome

MOST_LINES = 12


def refused(action: Callable[[], int], what: str, says: str, must_be: bool = True) -> Outcome:
    """Judges a call: no traceback, no hang, and an exit status with the words that belong to the mistake.

    Args:
        action: the call.
        what: the mistake.
        says: a regular expression, of letters of either case, that a refusal has to hold.
        must_be: whether it must be refused.
    """
    ended = Child(action).wait()
    problem = ended.problem
    lines = [line for line in ended.said.splitlines() if line.strip()]
    if not problem and ended.status and not re.search(says, ended.said, re.IGNORECASE):
        problem = f"expected {says!r}, found {ended.said[:400]}"
    if not problem and must_be and ended.status == 0:
        problem = f"accepted: {ended.said[-200:]}"
    if not problem and ended.status not in (0, 1, 2):
        problem = f"exit status {ended.status}: {ended.said[-400:]}"
    if not problem and ended.status and not 1 <= len(lines) <= MOST_LINES:
        problem = f"{len(lines)} lines: {ended.said[:400]}"
    return Outcome(1, f"{what}: {problem}" if problem else None, ("refused" if ended.status else "harmless",))


def answered(action: Callable[[], int], what: str, status: int, says: str) -> Outcome:
    """Judges a call that is to end with one exit status, and with words that the regular expression `says` finds."""
    ended = Child(action).wait()
    problem = ended.problem
    if not problem and (ended.status != status or not re.search(says, ended.said)):
        problem = f"expected {status} and {says!r}, found {ended.status}: {ended.said[-400:]}"
    kind = "refused" if status == 2 else "reported" if says else "taken"
    return Outcome(1, f"{what}: {problem}" if problem else None, (kind,))


def with_damage(content: bytes, draw: random.Random) -> bytes:
    """Cut, with bytes changed, doubled, or taken out."""
    damaged = bytearray(content)
    for _ in range(draw.choice([1, 1, 3, 20])):
        place = draw.randrange(len(damaged)) if damaged else 0
        match draw.randrange(5):
            case 0:
                del damaged[place:]
            case 1:
                damaged[place : place + 1] = bytes([draw.randrange(256)])
            case 2:
                damaged[place:place] = draw.choice(
                    [b"\t", b"{", b"]", b": ", b"\n- ", b"&a ", b"*a ", b"!!", b"\0", b"'"]
                )
            case 3:
                del damaged[place : place + draw.randrange(1, 30)]
            case 4:
                damaged[place:place] = damaged[place : place + draw.randrange(1, 60)]
    return bytes(damaged)
