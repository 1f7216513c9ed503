"""The plan on a real Slurm: submitted once, disturbed in every way, requeued, and finished with the same bits."""

import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from slurm_cluster import SlurmCluster, missing_programs
from tiny_runs import assert_identical, state

import reproduce.launcher.slurm
from reproduce.__main__ import main
from reproduce.launcher.local import launch
from reproduce.launcher.options import Options
from reproduce.launcher.slurm import Queue, sbatch_parameters
from reproduce.plan.run import Run
from reproduce.plan.settings import METHODS
from srgan.cli.main import main as srgan
from srgan.runs.folder import RunFolder

ITERATIONS = 300  # seconds: a run must still train when its turn to be disturbed comes
SIZES = {
    "data.init_args.image_size": 8, "data.init_args.batch_size": 4,
    "model.networks.init_args.generator_channels": 4, "model.networks.init_args.discriminator_channels": 4,
    "model.n_dis": 1,
    "model.iterations": ITERATIONS, "losses.every": 1, "samples.every": 0, "checkpoints.every": 25,
    "scores.every": 150, "scores.protocol.num_fake_images": 50, "scores.protocol.num_real_images": 50,
}  # fmt: skip
TINY = " ".join(f"{name}={value}" for name, value in SIZES.items())
ROWS = ("B_8-64", "B_16-64")
SECONDS = 120.0
QUIET = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def slurm(patch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """Nodes of one CPU: each run has a node of its own to lose."""
    absent = missing_programs()
    if absent:
        pytest.skip(absent)
    with SlurmCluster(nodes=5, cpus=1) as cluster:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        patch.setenv("MASTER_ADDR", "127.0.0.1")  # its nodes have no addresses of their own
        patch.setattr(reproduce.launcher.slurm, "POLL_SECONDS", 0.2)
        yield cluster


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each method that nobody stops; all rows are the same run at these sizes."""
    root = tmp_path_factory.mktemp("undisturbed")
    for method, config in (("sn", "sn"), ("sr", "sr-s")):
        sizes = {"model.seed": 1, **SIZES}
        run = Run(name=method, folder=RunFolder(root / method), configs=("digits", "mini", config), overrides=sizes)
        assert srgan(["fit", *run.write_plan()]) == 0
    return {method: root / method for method in ("sn", "sr")}


@dataclass(frozen=True)
class Campaign:
    """What happened to the jobs of one array.

    Attributes:
        root: of all runs.
        submitted: after each call of the command, folders of the runs by the name of the array they are in.
        queued: after each call, ids of jobs by the folder of their run.
    """

    root: Path
    submitted: list[dict[str, list[str]]]
    queued: list[dict[str, str]]

    def run(self, row: str, method: str) -> RunFolder:
        return RunFolder(self.root / row / f"{method}-seed1")


@pytest.fixture(scope="module")
def campaign(
    slurm: SlurmCluster,
    undisturbed: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Campaign:
    """Submits four runs through the command line, disturbs each half-way, and goes on until all have finished."""
    runs = tmp_path_factory.mktemp("runs")
    campaign = Campaign(runs / "table2" / "mini", [], [])
    queue = Queue(campaign.root)

    def call(*options: str) -> None:
        arguments = [
            "table2",
            "--scale",
            "mini",
            "--cluster",
            "slurm",
            "--runs",
            str(runs),
            "--settings",
            " ".join(ROWS),
        ]
        assert main([*arguments, "--overrides", TINY, *options]) == 0
        campaign.submitted.append(json.loads(queue.record.read_text()))
        campaign.queued.append({folder: job.id for folder, job in queue.jobs().items()})

    def under_way(row: str, method: str, times: int = 0) -> str:
        """The id of a run's job, once it has trained for a while and has been resumed so many times."""
        folder = campaign.run(row, method)
        wait_until(lambda: len(resumed_at(folder)) == times)
        behind = (resumed_at(folder) or [0])[-1] + 10
        wait_until(lambda: last_iteration(folder) >= behind)
        job = queue.jobs().get(str(folder.path))
        assert job, f"{row} {method} ended before it was disturbed: more ITERATIONS are needed"
        return job.id

    def node_of(job: str) -> str:
        return slurm.run("squeue", "--noheader", "--jobs", job, "--format=%N").strip()

    call()
    slurm.run("sbatch", "--hold", "--job-name=a|job|of ours", "--output=/dev/null", "--wrap=true")
    call()
    slurm.run("scancel", "--signal=USR2", under_way("B_8-64", "sn"))  # as Slurm does before the time limit
    slurm.lose(node_of(under_way("B_8-64", "sr")))
    slurm.kill_tasks(under_way("B_16-64", "sn"))
    slurm.run("scancel", under_way("B_16-64", "sr"))
    ended = {str(campaign.run("B_16-64", method).path) for method in METHODS}
    wait_until(lambda: not ended & queue.jobs().keys())
    call()
    pre_empted = under_way("B_8-64", "sn", times=1)
    urgent = ["--partition=urgent", f"--nodelist={node_of(pre_empted)}", "--output=/dev/null", "--wrap=true"]
    slurm.run("sbatch", *urgent)
    call("--wait", "1")
    return campaign


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)


def last_iteration(folder: RunFolder) -> int:
    rows = folder.read_losses()
    return rows[-1]["iteration"] if rows else -1


def resumed_at(folder: RunFolder) -> list[int]:
    record = folder.read_record()
    found: list[int] = record["resumed_at"] if record else []
    return found


@pytest.mark.parametrize(
    ("row", "method", "stops"),
    [
        pytest.param("B_8-64", "sn", 2, id="time limit, then pre-empted"),
        pytest.param("B_8-64", "sr", 1, id="node lost"),
        pytest.param("B_16-64", "sn", 1, id="killed"),
        pytest.param("B_16-64", "sr", 1, id="cancelled"),
    ],
)
def test_a_disturbed_job_ends_with_the_bits_of_an_undisturbed_run(
    row: str, method: str, stops: int, campaign: Campaign, undisturbed: dict[str, Path]
) -> None:
    folder, straight = campaign.run(row, method), RunFolder(undisturbed[method])
    record = folder.read_record()
    assert record is not None
    assert record["status"] == "finished"
    assert len(record["resumed_at"]) == stops
    assert all(0 <= iteration < ITERATIONS for iteration in record["resumed_at"])
    assert_identical(state(folder.checkpoint), state(straight.checkpoint))
    assert folder.read_losses() == straight.read_losses()
    assert folder.read_scores() == straight.read_scores()


@pytest.mark.parametrize(("row", "method"), [("B_8-64", "sn"), ("B_16-64", "sr")])
def test_a_polite_stop_loses_no_iteration(row: str, method: str, campaign: Campaign) -> None:
    """Saved where the signal came, not at the last multiple of 25; and the log says so."""
    folder = campaign.run(row, method)
    log = (folder.path / "log.txt").read_text()
    assert resumed_at(folder)
    for iteration in resumed_at(folder):
        assert f"stopped after {iteration} iterations" in log


def test_only_what_is_missing_is_submitted(campaign: Campaign) -> None:
    first, again, repaired, finished = campaign.submitted
    (array,) = first
    everything = [str(campaign.run(row, method).path) for row in ROWS for method in METHODS]
    assert first[array] == everything
    assert again == first
    assert campaign.queued[0] == campaign.queued[1]
    ((_, resubmitted),) = [(name, runs) for name, runs in repaired.items() if name != array]
    assert resubmitted == everything[2:]  # Slurm requeues no job that failed or that was cancelled
    for folder in everything[:2]:  # requeued: the same job
        assert campaign.queued[2][folder] == campaign.queued[0][folder]
    assert finished == repaired
    assert campaign.queued[3] == {}


def test_the_table_is_written_when_all_have_finished(campaign: Campaign) -> None:
    table = (campaign.root / "table2.md").read_text()
    assert "B_8-64" in table
    assert "to do" not in table
    assert "cut" not in table


def two_processes(root: Path) -> Run:
    """A real run of a few seconds on two processes."""
    overrides = {**SIZES, "model.iterations": 120, "scores.every": 60}
    folder = RunFolder(root / "run")
    return Run(name="two processes", folder=folder, configs=("digits", "mini", "sr-s"), overrides=overrides, devices=2)


def test_two_processes_on_two_nodes_stop_together_and_equal_two_local_ones(slurm: SlurmCluster, tmp_path: Path) -> None:
    """The signal reaches both, or one, at different moments; neither waits for the other for ever."""
    on_nodes, here = two_processes(tmp_path / "nodes"), two_processes(tmp_path / "here")
    queue = Queue(tmp_path / "nodes")
    (job,) = queue.submit([on_nodes], Options(nodes=2)).values()
    wait_until(lambda: last_iteration(on_nodes.folder) >= 10)
    slurm.run("scancel", "--signal=USR2", job.id)
    assert launch([here], 1, 0, Options(), QUIET) == []
    wait_until(lambda: not queue.jobs())
    assert on_nodes.state == "finished"
    assert len(resumed_at(on_nodes.folder)) == 1
    assert_identical(state(on_nodes.folder.checkpoint), state(here.folder.checkpoint))
    for run in (on_nodes, here):
        record = run.folder.read_record()
        assert record is not None
        assert record["hardware"]["devices"] == 2


def test_a_run_that_needs_more_gpus_than_there_are_is_refused(tmp_path: Path) -> None:
    run = two_processes(tmp_path)
    with pytest.raises(ValueError, match=r"Expected 2 GPUs, found 1, for: two processes\. Set GPUS=1"):
        launch([run], 1, 1, Options(), QUIET)
    assert not run.folder.path.exists()
    with pytest.raises(ValueError, match="Expected NODES that divide the devices of two processes, 2, found 3"):
        Options(nodes=3).processes(run)


def test_the_same_command_runs_on_one_process_and_on_many(tmp_path: Path) -> None:
    run = two_processes(tmp_path)
    _, plan = run.write_plan(1)
    alone = yaml.safe_load(Path(plan).read_text())
    assert Options(gpus=8, nodes=2).fit_options(run) == ["-c", plan]
    parallel = {"devices": 8, "num_nodes": 2, "strategy": "ddp"}
    assert yaml.safe_load(Path(plan).read_text()) == alone | {"trainer": alone.get("trainer", {}) | parallel}


def test_a_job_gets_a_task_for_each_gpu_and_what_the_user_says() -> None:
    resources = Options(nodes=2, cpus=8, hours=0.1, jobs=3, sbatch={"partition": "gpu", "mem-per-cpu": "4G"})
    parameters = sbatch_parameters("name", 4, True, resources)
    assert {"nodes": 2, "ntasks_per_node": 4, "gpus_per_node": 4, "cpus_per_task": 8}.items() <= parameters.items()
    assert (parameters["time"], parameters["signal_delay_s"], parameters["array_parallelism"]) == (6, 180, 3)
    further = parameters["additional_parameters"]
    assert (further["partition"], further["mem_per_cpu"], further["requeue"]) == ("gpu", "4G", True)


def test_without_slurm_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["table2", "--scale", "mini", "--cluster", "slurm", "--runs", str(tmp_path)]) == 2
    assert "found no sbatch" in capsys.readouterr().err
