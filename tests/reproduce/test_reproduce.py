"""Table II: the paper's numbers, the runs, and the launcher on real tiny runs."""

import csv
import io
import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from rich.console import Console

from reproduce.__main__ import main
from reproduce.evidence.records import read_evidence
from reproduce.experiments.baselines import SLIDE, THREAD, works_run
from reproduce.experiments.scale import digits_runs, small_runs
from reproduce.launcher.cost import fit_parser
from reproduce.launcher.local import Display, Stopped, launch
from reproduce.launcher.options import Options
from reproduce.plan.run import BATCH_SIZE, CHANNELS, FINISHED, IMAGES, TO_DO, Run, merged
from reproduce.plan.settings import METHODS, SETTINGS, Scale
from reproduce.plan.table_runs import (
    LENGTHS,
    collapse_runs,
    default_settings,
    mini_batch_size,
    mini_channels,
    resume_runs,
    sweep_runs,
    table_runs,
)
from reproduce.plan.variants import COLLAPSE, SN, SR_S
from srgan.cli.main import main as srgan
from srgan.runs.folder import RunFolder
from srgan.utils.files import write_json

SCALES: tuple[Scale, ...] = ("mini", "small", "paper")
QUIET = Console(file=io.StringIO(), width=200)


def test_the_settings_are_the_papers_table(shared_data: Path) -> None:
    with (shared_data.parent / "paper" / "table2.csv").open() as file:
        published = list(csv.DictReader(file))
    assert len(SETTINGS) == len(published) == 26
    for ours, theirs in zip(SETTINGS, published, strict=True):
        assert (ours.name, ours.name[0], ours.dataset) == (theirs["setting"], theirs["group"], theirs["dataset"])
        assert (ours.batch_size, ours.discriminator_channels) == (
            int(theirs["batch_size"]),
            int(theirs["discriminator_channels"]),
        )
        assert ours.compensation == {"static": "sr-s", "dynamic": "sr-d"}[theirs["compensation"]]
        for method, cell in (("sn", ours.sn), ("sr", ours.sr)):
            numbers = tuple(float(theirs[f"{method}_{key}"]) for key in ("is", "is_std", "fid", "fid_std"))
            assert cell[:4] == numbers
            for kind in ("mode", "spectral"):
                assert cell.collapsed == (theirs[f"{method}_{kind}_collapse"] == "yes")


def test_the_plan_follows_table_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reproduce.plan.table_runs.REPOSITORY", tmp_path)
    runs = table_runs("paper", ["A_1024-128", "E_2048-64"], METHODS, [1, 2], tmp_path)
    assert [run.name for run in runs][:3] == ["A_1024-128 SN seed 1", "A_1024-128 SR seed 1", "A_1024-128 SN seed 2"]
    assert [run.configs[1] for run in runs] == ["sn", "sr-s", "sn", "sr-s", "sn", "sr-d", "sn", "sr-d"]
    assert (runs[0].flat[BATCH_SIZE], runs[0].flat[CHANNELS]) == (1024, 128)
    assert runs[0].configs[0] == "cifar10"
    assert runs[0].state == TO_DO
    assert runs[4].state == "not run: first srgan prepare ROOT data/imagenet128"
    assert {run.setting.name[0] for run in table_runs("mini", default_settings("mini"), METHODS, [1], tmp_path)} == set(
        "ABCDE"
    )
    with pytest.raises(ValueError, match="found 'A_1-1'"):
        table_runs("mini", ["A_1-1"], METHODS, [1], tmp_path)


def test_mini_sizes_keep_the_order_of_the_rows(tmp_path: Path) -> None:
    batches = sorted({setting.batch_size for setting in SETTINGS})
    minis = [mini_batch_size(next(s for s in SETTINGS if s.batch_size == batch)) for batch in batches]
    assert minis == sorted(set(minis))
    assert [mini_channels(channels) for channels in (32, 64, 128, 256)] == [6, 8, 12, 20]
    assert all(run.missing is None for run in table_runs("mini", [s.name for s in SETTINGS], METHODS, [1], tmp_path))


SIZES: dict[str, Any] = {
    "data.init_args.image_size": 8, "data.init_args.batch_size": 4,
    "model.networks.init_args.generator_channels": 4, "model.n_dis": 1, "samples.every": 0, "checkpoints.every": 5,
    "scores.protocol.num_fake_images": 50, "scores.protocol.num_real_images": 50,
}  # fmt: skip


def tiny_run(method: str, root: Path, **further: Any) -> Run:
    """A real run of a second."""
    lengths = {"model.networks.init_args.discriminator_channels": 4, "model.iterations": 120, "scores.every": 60}
    overrides = {**SIZES, **lengths, "checkpoints.every": 25, **further}
    return Run(name=method, folder=RunFolder(root / method), configs=("digits", method), overrides=overrides)


def as_words(overrides: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in overrides.items())


def test_settings_are_composed_and_another_class_drops_the_arguments_of_the_one_before() -> None:
    base: dict[str, Any] = {"data": {"class_path": "A", "init_args": {"a": 1, "b": 2}}, "model": {"n_dis": 5}}
    assert merged(base, {"data": {"init_args": {"b": 3}}})["data"]["init_args"] == {"a": 1, "b": 3}
    assert merged(base, {"data": {"class_path": "B", "init_args": {"c": 3}}})["data"]["init_args"] == {"c": 3}
    assert base["data"]["init_args"] == {"a": 1, "b": 2}


def every_run(root: Path) -> list[Run]:
    """Of every experiment at every scale, one seed."""
    names = ["A_64-128", "E_64-128", "E_512-64"]
    runs: list[Run] = [
        *(run for scale in SCALES for run in table_runs(scale, names, METHODS, [1], root)),
        *resume_runs("mini", root),
        *resume_runs("paper", root),
        *sweep_runs("mini", ["A_64-128"], [1], root),
        *collapse_runs(["C_64-32"], [1], root),
        *(run for runs in digits_runs([1], root, {}).values() for run in runs),
        *small_runs([4], root, {})["C_64-32"],
        *table_runs("small", ["C_64-32"], METHODS, [1], root, {IMAGES: "images.tar"}),
    ]
    of_works: tuple[Scale, ...] = ("mini", "paper")
    return runs + [works_run(row, "x", scale, 1, root, {}) for row in (*SLIDE, *THREAD) for scale in of_works]


def test_what_a_run_records_is_what_its_plan_says(tmp_path: Path) -> None:
    """Else a finished run would count as one of other settings. Resolved as training does it."""
    parser = fit_parser().parser
    for run in every_run(tmp_path):
        config = parser.parse_object(run.settings)
        recorded = yaml.safe_load(parser.dump(config, skip_none=False, skip_link_targets=False))
        assert run.differing_settings(recorded) == {}, run.name


def scores(run: Run) -> Any:
    record = run.folder.read_record()
    assert record is not None
    return record["status"], run.folder.read_scores(), record["verdicts"], record["reported"]


def test_a_stopped_launch_is_completed_by_the_next_call_and_equals_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduce.launcher.local.usable_cores", lambda: 2)  # one thread for each, as in this process
    straight, runs = ([tiny_run(name, tmp_path / place) for name in ("sn", "sr-s", "sr-d")] for place in ("a", "b"))
    assert [srgan(["fit", *run.write_plan()]) for run in straight] == [0, 0, 0]

    def stop_when_under_way() -> None:
        while runs[0].folder.read_record() is None:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop_when_under_way, daemon=True).start()
    with pytest.raises(Stopped):
        launch(runs, 2, 0, Options(), QUIET)
    assert runs[2].state == TO_DO
    assert launch([run for run in runs if run.state != FINISHED], 2, 0, Options(), QUIET) == []
    assert [scores(run) for run in runs] == [scores(run) for run in straight]
    assert {run.state for run in runs} == {FINISHED}
    assert replace(runs[0], folder=RunFolder(tmp_path / "elsewhere")).state == TO_DO


def test_a_failing_run_is_reported_with_its_log_and_what_waits_for_it_does_not_start(tmp_path: Path) -> None:
    run = tiny_run("sn", tmp_path, **{"model.n_dis": 0})
    then = replace(tiny_run("sr-d", tmp_path), after=run)
    assert launch([then, run], 1, 0, Options(), QUIET) == [run, then]
    assert "n_dis" in (run.folder.path / "log.txt").read_text()
    assert then.state == "after sn"
    assert not then.folder.path.exists()


def test_the_time_to_go_comes_from_iterations_done_by_all_runs(tmp_path: Path) -> None:
    """A run that goes on from a checkpoint has only the rest before it; one that failed has nothing."""
    sn, static = tiny_run("sn", tmp_path), tiny_run("sr-s", tmp_path)
    late = replace(tiny_run("sr-d", tmp_path), after=sn, checkpoint=sn.iterations - 1)
    with Display([sn, static, late]) as whole:
        assert (whole.n, whole.total) == (late.first_iteration, 3 * sn.iterations)
        whole.start_t -= 100  # seconds ago
        for run, iteration in ((sn, 2), (static, 1)):
            run.folder.path.mkdir(parents=True)
            write_json(run.folder.progress, {"iteration": iteration, "iterations": run.iterations})
        whole.show([sn, static], [])
        assert whole.n == late.first_iteration + 3
        rate = (whole.n - whole.initial) / whole.format_dict["elapsed"]
        assert whole.format_dict["rate"] is None  # no moving average, which would count refreshes
        assert rate == pytest.approx(0.03, rel=0.05)
        whole.show([static], [sn])
        assert whole.n == late.first_iteration + sn.iterations + 1
        assert f"1 of 3 runs; sr-s 1 of {static.iterations}" in str(whole.postfix)


def test_the_collapse_experiment_runs_and_says_what_it_found(
    tmp_path: Path, folder_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All methods for real, at a thousandth of their length; three of them go on from SN's checkpoint."""
    monkeypatch.setattr("reproduce.plan.table_runs.BRANCH", 4)
    every = {f"{name}.every": 2 for name in ("losses", "gradients", "spectra", "scores")}
    sizes = {**SIZES, **every, "model.iterations": 8, "checkpoints.keep_every": 2, "samples.every": 4}
    sizes["scores.final.num_fake_images"] = 50
    options = [
        "collapse",
        "--settings",
        "C_8-32",
        "--seeds",
        "3",
        "--images",
        str(folder_root),
        "--runs",
        str(tmp_path),
    ]
    assert main([*options, "--overrides", as_words(sizes)]) == 0
    root = tmp_path / "collapse"
    runs = read_evidence(root / "evidence.json")
    samples = {}
    assert {run.method for run in runs} == {variant.label for variant in (SN, SR_S, *COLLAPSE.values())}
    for run in runs:
        begin = 4 if any(run.method == variant.label and variant.after_sn for variant in COLLAPSE.values()) else 0
        assert run.branch == (begin or None)
        assert list(run.scores.index) == list(range(begin + 2, 9, 2))
        assert list(run.tails.index) == list(range(0, 9, 2)) if begin == 0 else run.tails.index[-1] == 8
        assert list(run.signals.index) == list(run.scores.index)
        assert run.samples
        assert run.precision is not None
        assert run.recall is not None
        samples[run.method] = Image.open(root / run.samples)
    with Image.open(tmp_path / "table2" / "small" / "C_8-32" / "sn-seed3" / "samples" / "00000008.png") as grid:
        of_sn = grid.crop((0, 0, 266, 266))  # 4 x 4 tiles of 64 pixels, with 2 around each
    assert [samples[method].tobytes() == of_sn.tobytes() for method in ("SN", "SR-s")] == [True, False]
    assert "better under SR-s than under SN in" in (root / "evidence.md").read_text()
    labels = [json.loads(path.read_text())["label"] for path in root.glob("C_8-32/*/run.json")]
    assert sorted(labels) == sorted(variant.label for variant in COLLAPSE.values())
    assert (root / "C_8-32.png").stat().st_size > 10_000
    assert str(tmp_path) not in (root / "evidence.json").read_text()  # it is made to be shared


def test_the_resume_experiment_branches_off_the_sn_run_at_one_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section IV-A for real at a thirtieth of its mini length, on fewer and smaller images."""
    monkeypatch.setitem(LENGTHS, "mini", (10, 20))
    words = as_words({**SIZES, "scores.every": 10})
    assert main(["resume", "--scale", "mini", "--runs", str(tmp_path), "--overrides", words]) == 0
    root = tmp_path / "resume" / "mini"
    branches = [RunFolder(root / part) for part in ("sn", "sr-d")]
    for branch in branches:
        parent = (branch.read_record() or {})["parent"]
        assert (parent["iteration"], parent["constraint"]) == (10, "SN")
        assert [row["iteration"] for row in branch.read_scores()] == [20]
    losses = [branch.read_losses() for branch in branches]
    assert losses[0][0]["iteration"] == losses[1][0]["iteration"] == 20
    assert losses[0] != losses[1]
    assert "SR-d" in (root / "resume.html").read_text()


def test_the_resume_experiment_of_the_paper_splits_its_batch_as_the_authors(tmp_path: Path) -> None:
    start, sn, sr_d = resume_runs("paper", tmp_path)
    assert [run.settings["model"]["iterations"] for run in (start, sn, sr_d)] == [40_000, 80_000, 80_000]
    assert {run.devices for run in (start, sn, sr_d)} == {4}
    assert sn.source == sr_d.source == start.folder.checkpoint
    assert sr_d.configs == ("imagenet128", "sr-d")
    assert sn.settings["model"]["constraint"]["class_path"] == "srgan.constraints.SpectralNormalization"
    assert sr_d.settings["model"]["micro_batch_size"] == 32
