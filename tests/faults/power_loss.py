"""Power cuts, replayed: what a disk holds that lost all that was not brought to it, after every change of a file.

strace tells of a run's system calls. Each prefix of them leaves a disk: files hold what they held at their last fsync.
Names are there either at once (a journal of names alone) or from the fsync of their folder on (what POSIX promises).
"""

import ast
import hashlib
import os
import pickle
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from faults.forks import Child
from faults.subject import differences, end_here, train, watch_writes
from faults.trials import Attempt, Outcome, World

CALLS = (
    "openat,write,pwrite64,writev,lseek,close,rename,renameat,renameat2,link,linkat,unlink,unlinkat,"
    "ftruncate,truncate,mkdir,mkdirat,fsync,fdatasync,sendfile,copy_file_range"
)
LINE = re.compile(r"(\w+)\((.*)\) += (\d+)")
STATES = "power-loss.pickle"


@dataclass(eq=False)
class File:
    """Its content, and what of it is on the disk."""

    content: bytearray = field(default_factory=bytearray)
    on_disk: bytes = b""


@dataclass
class Disk:
    """Files by their names below a root; folders are names of None."""

    root: str
    folders_are_lazy: bool
    names: dict[str, File | None] = field(default_factory=dict)
    names_on_disk: dict[str, File | None] = field(default_factory=dict)
    pending: list[tuple[str, File | None, bool]] = field(default_factory=list)
    """Changes of names that are not on the disk: name, what it is of, whether it is taken away."""

    def inside(self, path: str) -> str | None:
        """A path below the root; None for others."""
        path = os.path.normpath(path)
        return path[len(self.root) + 1 :] if path.startswith(self.root + os.sep) else None

    def put(self, name: str, file: File | None, gone: bool = False) -> None:
        if gone:
            self.names.pop(name, None)
        else:
            self.names[name] = file
        self.pending.append((name, file, gone))
        if not self.folders_are_lazy:
            self.bring(name.rpartition("/")[0])

    def bring(self, folder: str) -> None:
        """The names in a folder, onto the disk."""
        rest = []
        for name, file, gone in self.pending:
            if name.rpartition("/")[0] != folder:
                rest.append((name, file, gone))
            elif gone:
                self.names_on_disk.pop(name, None)
            else:
                self.names_on_disk[name] = file
        self.pending = rest

    def after_a_cut(self) -> dict[str, bytes | None]:
        """What is found when the power is back: only what lies in folders that are there."""
        found: dict[str, bytes | None] = {}
        for name, file in sorted(self.names_on_disk.items()):
            folder = name.rpartition("/")[0]
            if not folder or folder in found:
                found[name] = None if file is None else file.on_disk
        return found


class State(NamedTuple):
    """A disk after a cut, and how many prefixes lead to it."""

    files: dict[str, bytes | None]
    prefixes: int


def replay(lines: Iterator[str], disk: Disk) -> Iterator[dict[str, bytes | None]]:
    """The disk after a cut behind each change of a file below the root."""
    opened: dict[int, tuple[str, File | None, int, bool]] = {}  # name, file, position, appending
    for line in lines:
        if not (match := LINE.search(line)):
            continue
        call, words, result = match[1], match[2], int(match[3])
        texts = [ast.literal_eval("b" + text) for text in re.findall(r'"(?:[^"\\]|\\.)*"', words)]
        paths = [disk.inside(os.fsdecode(text)) for text in texts] if not call.startswith("write") else []
        number = int(words.partition(",")[0]) if words[:1].isdigit() else -1
        if call == "openat":
            if paths[0] is None and os.fsdecode(texts[0]).rstrip("/") != disk.root:
                opened.pop(result, None)
                continue
            name = paths[0] or ""
            if "O_CREAT" in words and name not in disk.names:
                disk.put(name, File())
            file = disk.names.get(name)
            if file is not None and "O_TRUNC" in words:
                del file.content[:]
            opened[result] = (name, file, 0, "O_APPEND" in words)
        elif call == "close":
            opened.pop(number, None)
            continue
        elif call in ("write", "pwrite64", "lseek"):
            name, file, place, appending = opened.get(number, ("", None, 0, False))
            if file is None:
                continue
            if call == "lseek":
                opened[number] = (name, file, result, appending)
                continue
            start = len(file.content) if appending else place
            file.content[start : start + result] = texts[0][:result]
            opened[number] = (name, file, start + result, appending)
        elif call in ("fsync", "fdatasync"):
            if number not in opened:
                continue
            name, file, _, _ = opened[number]
            if file is None:
                disk.bring(name)
            else:
                file.on_disk = bytes(file.content)
        elif call.startswith("rename") and paths[0] is not None and paths[1] is not None:
            file = disk.names.get(paths[0])
            disk.put(paths[1], file)
            disk.put(paths[0], file, gone=True)
        elif call.startswith("link") and paths[0] is not None and paths[1] is not None:
            disk.put(paths[1], disk.names[paths[0]])
        elif call.startswith("unlink") and paths[0] is not None:
            disk.put(paths[0], None, gone=True)
        elif call == "truncate" and paths[0] is not None:
            file = disk.names[paths[0]]
            assert file is not None
            del file.content[int(words.rpartition(",")[2]) :]
        elif call.startswith("mkdir") and paths[0] is not None:
            disk.put(paths[0], None)
        elif call in ("writev", "sendfile", "copy_file_range", "ftruncate") and number in opened:
            raise NotImplementedError(line[:200])
        else:
            continue
        yield disk.after_a_cut()


def record(action: Callable[[], int], log: Path) -> list[str]:
    """The system calls of a child that change files.

    Raises:
        FileNotFoundError: there is no strace.
    """
    go = log.with_suffix(".go")

    def waiting() -> int:
        while not go.exists():
            time.sleep(0.01)
        return action()

    child = Child(waiting)
    tracer = subprocess.Popen(
        ["strace", "-p", str(child.pid), "-o", str(log), "-xx", "-s", "100000000", "-e", f"trace={CALLS}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" not in said:
        child.kill()
        child.wait()
        raise RuntimeError(f"Expected strace to watch a child, found: {said}")
    go.touch()
    ended = child.wait(seconds=600.0)
    tracer.wait()
    if ended.status:
        raise RuntimeError(f"Expected an undisturbed run, found: {ended.said}")
    return log.read_text().splitlines()


def make_states(world: World) -> int:
    """Records a run from its beginning and one that goes on, and keeps the disks that cuts in them leave.

    Returns:
        how many cuts there are; many leave the same disk.
    """
    states: dict[str, State] = {}
    for name in ("begins", "goes-on"):
        root = world.scratch / f"power-{name}"
        root.mkdir()
        folder = root / "run"
        if name == "goes-on":
            Child(partial(_cut_short, folder)).wait()
        disks = [Disk(str(root), lazy) for lazy in (False, True)]
        for disk in disks:
            for path in sorted(root.rglob("*")):
                content = None if path.is_dir() else path.read_bytes()
                file = None if content is None else File(bytearray(content), content)
                disk.names[str(path.relative_to(root))] = file
            disk.names_on_disk = dict(disk.names)
        lines = record(partial(train, folder), world.scratch / f"{name}.strace")
        for disk in disks:
            for files in replay(iter(lines), disk):
                key = hashlib.blake2b(pickle.dumps(files)).hexdigest()
                states[key] = State(files, states[key].prefixes + 1 if key in states else 1)
            assert {name: bytes(file.content) for name, file in disk.names.items() if file} == {
                str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
            }, "the replay of all calls does not give the files that are there"
        shutil.rmtree(root)
    found = list(states.values())
    random.Random(0).shuffle(found)  # so that any beginning of them shows all parts of a run
    (world.scratch / STATES).write_bytes(pickle.dumps(found))
    return sum(state.prefixes for state in found)


def _cut_short(folder: Path) -> int:
    """A run that is killed behind its second checkpoint, with rows beyond it."""
    saves = [0]

    def note(kind: str, event: str) -> None:
        saves[0] += kind == "checkpoint" and event == "os.rename"
        if saves[0] > 3 and kind == "history row":
            end_here()

    watch_writes(folder, note)
    return train(folder)


def cut_power(attempt: Attempt) -> Outcome:
    """The run goes on from what a cut leaves, or begins anew, to the same bits."""
    states: list[State] = pickle.loads((attempt.world.scratch / STATES).read_bytes())
    if attempt.number >= len(states):
        return Outcome(0)
    state = states[attempt.number]
    for name, content in state.files.items():
        path = attempt.folder.parent / name
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
    had = (attempt.folder / "checkpoints" / "last.ckpt").exists()
    ended = Child(lambda: train(attempt.folder)).wait()
    if ended.status or ended.problem:
        return Outcome(state.prefixes, ended.problem or f"exit status {ended.status}: {ended.said}")
    kind = "already finished" if "already finished" in ended.said else "resumed" if had else "started over"
    return Outcome(state.prefixes, differences(attempt.folder, attempt.world.reference), (kind,) * state.prefixes)
