"""`srgan` in processes of its own, forked from this one: they need not import PyTorch again, which takes seconds."""

import os
import socket
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import NamedTuple

from srgan.cli.main import main


def start(arguments: Sequence[str], log: Path, **environment: str) -> ForkProcess:
    """A real process of the command line, to be killed, signalled or joined; `log` takes what it says."""
    process = get_context("fork").Process(target=_run, args=(arguments, log, environment), daemon=True)
    process.start()
    return process


class Ended(NamedTuple):
    """How a process ended: its exit status, minus a signal that killed it, and what it said."""

    status: int | None
    said: str


def free_port() -> int:
    """Of this machine, for processes that look for each other."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def run_ranks(arguments: Sequence[str], folder: Path, **environment: str) -> list[Ended]:
    """Runs the command line in two processes that know of each other, as torchrun starts them."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared |= {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "tests"} | environment
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"rank{rank}.log" for rank in range(2)]
    processes = [start(arguments, log, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank, log in enumerate(logs)]
    for process in processes:
        process.join(900)
        process.kill()  # where it hangs
        process.join()
    return [Ended(process.exitcode, log.read_text()) for process, log in zip(processes, logs, strict=True)]


def run_on_two(arguments: Sequence[str], folder: Path, **environment: str) -> str:
    """The same; what the first says, once both have ended well."""
    ended = run_ranks(arguments, folder, **environment)
    assert [process.status for process in ended] == [0, 0], ended
    return ended[0].said


def _run(arguments: Sequence[str], log: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1) for stream in (1, 2))
    sys.exit(main(arguments))
