"""`srgan` in processes of its own, forked from this one: they need not import PyTorch again, which takes seconds."""

import os
import socket
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

from srgan.cli import main


def start(arguments: Sequence[str], log: Path, **environment: str) -> ForkProcess:
    """A real process of the command line, to be killed, signalled or joined; `log` takes what it says."""
    process = get_context("fork").Process(target=_run, args=(arguments, log, environment), daemon=True)
    process.start()
    return process


def run_on_two(arguments: Sequence[str], folder: Path, **environment: str) -> str:
    """Runs the command line in two processes that know of each other, as torchrun starts them; what the first says."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared |= {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "tests"} | environment
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"rank{rank}.log" for rank in range(2)]
    processes = [start(arguments, log, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank, log in enumerate(logs)]
    for process in processes:
        process.join(900)
        process.kill()  # where it hangs
    said = [log.read_text() for log in logs]
    assert [process.exitcode for process in processes] == [0, 0], said
    return said[0]


def _run(arguments: Sequence[str], log: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1) for stream in (1, 2))
    sys.exit(main(arguments))
