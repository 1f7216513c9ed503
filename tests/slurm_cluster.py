"""A real Slurm on this one machine: munged, slurmctld and slurmd in a folder of their own.

Nothing of a Slurm that may be installed and running here is touched: key, sockets, ports and state are this
cluster's own, the daemons belong to whoever starts it, and it stops exactly the processes that it started.
By hand, until Ctrl-C: python tests/slurm_cluster.py
"""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

DAEMONS = ("munged", "slurmctld", "slurmd")
DEBIAN_PACKAGES = "slurm-wlm munge"
SECONDS_TO_START = 60.0
SYSTEM_FOLDERS = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/sbin"))  # not in everybody's PATH


def missing_programs() -> str | None:
    """What is not installed, in words; None where a cluster can be started."""
    absent = [name for name in DAEMONS if _program(name) is None]
    return f"no {', '.join(absent)} here; on Debian: apt-get install {DEBIAN_PACKAGES}" if absent else None


class SlurmCluster:
    """A cluster for the time of a `with` statement.

    Args:
        nodes: how many slurmd, "n0", "n1" ...; all of them are this machine.
        cpus: that each node claims to have.

    Attributes:
        folder: configuration, state and logs.
        environment: variables with which Slurm's commands talk to this cluster.
    """

    def __init__(self, nodes: int = 2, cpus: int = 4) -> None:
        self.node_names = [f"n{k}" for k in range(nodes)]
        self.cpus = cpus
        # Short: a socket's path has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.configuration = self.folder / "slurm.conf"
        self.munge_socket = self.folder / "munge.socket"
        self.environment = {"SLURM_CONF": str(self.configuration)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "SlurmCluster":
        absent = missing_programs()
        if absent:
            raise RuntimeError(f"Expected Slurm and munge, found {absent}.")
        try:
            self._write_files()
            self._start_munge()
            self.start("slurmctld", "slurmctld", "-D", "-i")
            for node in self.node_names:
                self.start(node, "slurmd", "-D", "-N", node)
            self._wait_for("nodes that are idle", self._is_ready)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def run(self, *command: str) -> str:
        """Output of one of Slurm's commands on this cluster.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    def start(self, name: str, program: str, *options: str) -> None:
        """A daemon in the foreground of a process that is ours, and that ends with us however we end."""
        path = _program(program)
        assert path is not None
        tied = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with (self.folder / f"{name}.out").open("wb") as output:
            self.processes[name] = subprocess.Popen(
                [*tied, path, *options],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def lose(self, node: str) -> None:
        """Power fails: everything on a node dies at once, and the controller notices."""
        self.processes.pop(node).kill()
        for process in processes_with({"SLURMD_NODENAME": node} | self.environment):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if "slurmstepd" in Path(f"/proc/{parent}/comm").read_text():
                _kill(parent)
            _kill(int(process.name))
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")

    def kill_tasks(self, job: str) -> None:
        """kill -9 to the processes of a job, as by a kernel that is out of memory."""
        raw = self.run("scontrol", "show", "job", job).partition("JobId=")[2].split()[0]
        tasks = processes_with({"SLURM_JOB_ID": raw, "SLURM_STEP_ID": "0"} | self.environment)
        if not tasks:
            raise RuntimeError(f"Expected processes of job {job}, found none.")
        for process in tasks:
            _kill(int(process.name))

    def close(self) -> None:
        """Ends the jobs, then the daemons, and removes the folder."""
        if self.processes.get("slurmctld") and self._answers("scancel", "--user", getpass.getuser()):
            with suppress(subprocess.CalledProcessError):  # it died meanwhile
                self._wait_for("the end of all jobs", lambda: not self.run("squeue", "--noheader"), complain=False)
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_munge(self) -> None:
        """Signs messages between the daemons with a key of this cluster."""
        files = {name: self.folder / f"munge.{name}" for name in ("key", "pid", "log", "seed")}
        files["key"].write_bytes(secrets.token_bytes(128))
        files["key"].chmod(0o600)
        options = [f"--{name}-file={path}" for name, path in files.items()]
        # --force: it is asked to run as whoever we are, root included, in a folder below /tmp.
        self.start("munged", "munged", "--foreground", "--force", f"--socket={self.munge_socket}", *options)
        self._wait_for("munge's socket", self.munge_socket.exists)

    def _write_files(self) -> None:
        for folder in ("state", *(f"spool-{name}" for name in self.node_names)):
            (self.folder / folder).mkdir()
        control, *ports = _free_ports(1 + len(self.node_names))
        host, user = socket.gethostname().partition(".")[0], getpass.getuser()
        settings = {
            "ClusterName": self.folder.name,
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": control,
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={self.munge_socket},cred_expire=5",  # a requeued job waits so many seconds, not 120
            "SlurmUser": user,
            "SlurmdUser": user,
            "StateSaveLocation": self.folder / "state",
            "SlurmdSpoolDir": self.folder / "spool-%n",
            "SlurmctldPidFile": self.folder / "slurmctld.pid",
            "SlurmdPidFile": self.folder / "slurmd-%n.pid",
            "SlurmctldLogFile": self.folder / "slurmctld.log",
            "SlurmdLogFile": self.folder / "slurmd-%n.log",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "MpiDefault": "none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_CPU",
            "SchedulerParameters": "sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1",
            "SlurmdParameters": "config_overrides",  # nodes have the CPUs that they claim
            "PreemptType": "preempt/partition_prio",
            "PreemptMode": "REQUEUE",
            "JobRequeue": 1,
            "ReturnToService": 2,
            "KillWait": 5,
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        for name, port in zip(self.node_names, ports, strict=True):
            lines.append(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} State=UNKNOWN"
            )
        lines.append("PartitionName=usual Nodes=ALL Default=YES PriorityTier=1 GraceTime=60 State=UP")
        lines.append("PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF State=UP")  # takes nodes from usual
        self.configuration.write_text("\n".join(lines) + "\n")

    def _is_ready(self) -> bool:
        if not self._answers("scontrol", "ping"):
            return False
        states = self.run("sinfo", "--noheader", "--partition=usual", "--Node", "--format=%T").split()
        return states == ["idle"] * len(self.node_names)

    def _answers(self, *command: str) -> bool:
        try:
            self.run(*command)
        except subprocess.CalledProcessError:
            return False
        return True

    def _wait_for(self, what: str, is_there: Callable[[], bool], complain: bool = True) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not is_there():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                if not complain:
                    return
                raise RuntimeError(f"Expected {what}, found none. {self._words_of(ended or list(self.processes))}")
            time.sleep(0.05)

    def _words_of(self, names: list[str]) -> str:
        """The last lines that daemons have written."""
        words = []
        for name in names:
            for log in (f"{name}.out", f"{name}.log", f"slurmd-{name}.log"):
                path = self.folder / log
                if path.exists():
                    words += [f"{log}:", *path.read_text(errors="replace").splitlines()[-15:]]
        return "\n".join(words)


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=SYSTEM_FOLDERS)


def processes_with(environment: Mapping[str, str]) -> list[Path]:
    """Folders in /proc of the processes that have these variables."""
    wanted, found = {f"{name}={value}".encode() for name, value in environment.items()}, []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or somebody else's
            if wanted <= set((process / "environ").read_bytes().split(b"\0")):
                found.append(process)
    return found


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on: all are held before any is let go."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def main() -> int:
    with SlurmCluster() as cluster:
        print(f"export SLURM_CONF={cluster.configuration}    # then: sinfo, squeue, srun hostname; Ctrl-C here ends it")
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
