"""What a run says to loggers, read back with their own tools: every key, every count, against the run's own files."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tracked
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from srgan.cli.main import main
from srgan.collapse import CollapseThresholds, summarize
from srgan.loggers.rows import History
from srgan.loggers.tensorboard import TensorBoardRunLogger
from srgan.loggers.wandb import WandbRunLogger
from srgan.loggers.wandb_runs import newest_id, wandb_runs
from srgan.runs.folder import RunFolder

Views = dict[str, list[tracked.OfflineRun]]
CSV = ["--trainer.logger", "CSVLogger", "--trainer.logger.init_args.save_dir"]


@pytest.fixture(scope="module", autouse=True)
def _offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        tracked.offline(patch, tmp_path_factory.mktemp("wandb"))
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real runs: SN of 20 iterations, stopped after 10 and resumed; SR-d from its end; all logged offline."""
    root = tmp_path_factory.mktemp("tracking") / "runs"
    sn, child = root / "sn", root / "sr-d"
    assert main(tracked.command("sn", sn, 20, *tracked.FINAL, *tracked.WANDB)) == 0
    stop_after(sn, 10)
    assert main(tracked.command("sn", sn, 20, *tracked.FINAL, *tracked.WANDB)) == 0
    source = ["--from-checkpoint", str(RunFolder(sn).checkpoint)]
    assert main(tracked.command("sr-d", child, 30, *source, *tracked.WANDB)) == 0
    return root


def test_tensorboard_shows_the_newest_telling_of_the_same_files(runs: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "sn")
    shutil.copytree(runs / "sn", folder.path)
    record = folder.read_record()
    assert record is not None
    for _ in range(2):
        history, view = History(folder, CollapseThresholds()), TensorBoardRunLogger()
        view.bind(folder, record)
        view.log_hyperparams(record["config"])
        view.log_rows(history.new_rows(), history)
        view.summarize(record)
        view.finalize("success")
    events = EventAccumulator(str(folder.path / "tensorboard"), size_guidance={"histograms": 0})
    events.Reload()
    tags = events.Tags()
    losses = {line["iteration"]: line["loss/generator"] for line in folder.read_losses()}
    assert {event.step: event.value for event in events.Scalars("loss/generator")} == pytest.approx(losses)
    assert [event.step for event in events.Images("samples")] == sorted(folder.read_samples())
    spectra = folder.read_spectra()
    assert spectra is not None
    layer = next(layer for layer in spectra.layers if layer.rank > 1)
    histograms = events.Histograms(f"spectra/{layer.name}/histogram")
    assert [event.step for event in histograms] == list(spectra.iterations)
    assert histograms[-1].histogram_value.num == layer.rank
    assert not {"hp_metric"} & set(tags["scalars"])
    assert "status: finished" in str(events.Tensors("outcome/text_summary")[-1])


@pytest.fixture(scope="module")
def views(runs: Path) -> Views:
    """Name of a run -> its runs of Weights & Biases, read back."""
    return {name: tracked.offline_runs(runs / name) for name in ("sn", "sr-d")}


def stop_after(run: Path, iteration: int) -> None:
    """As if the run had been stopped behind a checkpoint that it kept."""
    folder = RunFolder(run)
    record = folder.read_record()
    assert record is not None
    folder.record.write_text(json.dumps(record | {"status": "stopped"}))
    (folder.checkpoint.parent / f"{iteration:08d}.ckpt").replace(folder.checkpoint)


# What is logged offline, read back.


def test_every_record_of_the_files_is_logged_and_nothing_else(runs: Path, views: Views) -> None:
    """The run that was resumed offline holds the whole history."""
    folder = RunFolder(runs / "sn")
    before, resumed = views["sn"]
    assert Counter(tracked.keys_of(before.rows)) == tracked.expected_counts(folder)
    assert Counter(tracked.keys_of(resumed.rows)) == tracked.expected_counts(folder)
    child = RunFolder(runs / "sr-d")
    (run,) = views["sr-d"]
    assert Counter(tracked.keys_of(run.rows)) == tracked.expected_counts(child)


def test_every_logged_key_is_listed_and_every_listed_one_that_applies_is_logged(views: Views) -> None:
    run = views["sn"][0]
    recorded = set(tracked.keys_of(run.rows))
    words = {key.pattern for key in tracked.DOCUMENTED if key.kind == "summary"} | {
        key for key in run.summary if "reported/" in key
    }
    logged = recorded | (words & run.summary.keys())
    assert not {name for name in logged if tracked.documented(name) is None}
    absent = {key.pattern for key in tracked.DOCUMENTED} - {
        key.pattern for name in logged if (key := tracked.documented(name))
    }
    # Table II is a run of its own; nothing has collapsed; the nets have no classes; the protocol in training asks for
    # one split, no KID, no PRDC; neither the constraint nor the loss has numbers of its own.
    expected = {"table2", "mode_collapse_iteration"}
    expected |= {"loss/penalty", "loss/k", "loss/convergence", "constraint/{number}"}
    expected |= {f"{group}/FID_intra{{features}}{{ema}}" for group in ("scores", "final", "reported")}
    lacking = ("IS{}_std", "KID{}", "KID{}_std", "precision{}", "recall{}", "density{}", "coverage{}")
    expected |= {f"{group}/{name.format('{features}')}{{ema}}" for group in ("scores", "reported") for name in lacking}
    assert absent == expected


def test_values_are_those_of_the_files(runs: Path, views: Views) -> None:
    folder = RunFolder(runs / "sn")
    rows = {row["iteration"]: row for row in views["sn"][-1].rows}
    for line in folder.read_losses():
        assert line.items() <= rows[line["iteration"]].items()
    for line in folder.read_scores():
        logged = rows[line["iteration"]]
        assert all(logged[f"scores/{name}"] == line[name] for name in ("FID_cls", "IS_cls", "modes", "modes_kl"))
    for line in folder.read_gradients():
        logged = rows[line["iteration"]]
        assert all(logged[f"gradient/generator/{name}"] == norm for name, norm in line["generator"].items())
    history = folder.read_spectra()
    record = folder.read_record()
    assert history is not None
    assert record is not None
    thresholds = CollapseThresholds(**record["verdicts"]["thresholds"])
    summaries = {name: summarize(spectra, thresholds) for name, spectra in history.spectra.items()}
    judged = [summaries[name] for name in history.judged()]
    assert any(summary.collapsed.any() for summary in judged)
    for place, iteration in enumerate(history.iterations.tolist()):
        for name, spectra in history.spectra.items():
            spectrum, prefix = spectra[place], f"spectra/{name}/"
            logged = {
                key.removeprefix(prefix): value for key, value in rows[iteration].items() if key.startswith(prefix)
            }
            assert logged["sigma_1"] == pytest.approx(history.sigma_1[name][place])
            assert logged["relative_rate"] * logged["sigma_1"] == pytest.approx(history.sigma_1[name][0])
            if len(spectrum) > 1:
                for key in ("tail_mean", "effective_rank", "p10", "p50"):
                    assert logged[key] == pytest.approx(summaries[name].at(place)[key])
                assert logged["histogram"]["bins"] == pytest.approx(np.linspace(0, 1, 65))
                assert logged["histogram"]["values"] == np.histogram(spectrum.clip(0, 1), 64, (0, 1))[0].tolist()
            if name in history.judged():
                assert logged["collapsed"] == summaries[name].collapsed[place]
        assert rows[iteration]["spectra/collapsed_share"] == pytest.approx(
            np.mean([summary.collapsed[place] for summary in judged])
        )
    outputs = folder.read_outputs()
    assert outputs is not None
    for place, iteration in enumerate(outputs.iterations.tolist()):
        logged = {kind: rows[iteration][f"outputs/{kind}/histogram"] for kind in outputs.outputs}
        assert set(logged) == {"train", "test", "generated"}
        assert len({tuple(found["bins"]) for found in logged.values()}) == 1
        assert all(sum(found["values"]) == 50 for found in logged.values())
        assert rows[iteration]["outputs/test/mean"] == pytest.approx(outputs.outputs["test"][place].mean())


def test_the_axis_of_everything_is_the_iteration(views: Views) -> None:
    for run in views["sn"]:
        assert [row["iteration"] for row in run.rows] == [0, 5, 10, 15, 20]  # one row each
    (child,) = views["sr-d"]
    assert [row["iteration"] for row in child.rows] == [25, 30]


def test_media_are_there(runs: Path, views: Views) -> None:
    folder = RunFolder(runs / "sn")
    run = views["sn"][-1]
    rows = {row["iteration"]: row for row in run.rows}
    for iteration, picture in folder.read_samples().items():
        assert run.media_file(rows[iteration]["samples"]).read_bytes() == picture.read_bytes()
    maps = [row["spectra/heat_map"] for row in run.rows if "spectra/heat_map" in row]
    assert len(maps) == 2
    assert all(run.media_file(found).stat().st_size == found["size"] > 5_000 for found in maps)
    history = folder.read_spectra()
    assert history is not None
    table = json.loads(run.media_file(rows[20]["spectra/curves_table"]).read_text())
    place = history.iterations.tolist().index(20)
    curves: dict[str, list[float]] = {}
    for k, layer, value in sorted(table["data"]):
        assert 0 < k <= 1
        curves.setdefault(layer, []).append(value)
    assert curves == {
        name: pytest.approx(spectra[place].tolist())
        for name, spectra in history.spectra.items()
        if spectra.shape[1] > 1
    }


def test_verdicts_warnings_and_reported_scores_are_in_the_run(runs: Path, views: Views) -> None:
    folder = RunFolder(runs / "sn")
    record, run = folder.read_record(), views["sn"][-1]
    assert record is not None
    verdict = record["verdicts"]["spectral_collapse"]
    assert verdict["collapsed"]
    assert run.summary["status"] == "finished"
    assert run.summary["spectral_collapse"] is True
    assert run.summary["spectral_collapse_iteration"] == verdict["iteration"]
    assert run.summary["mode_collapse"] is record["verdicts"]["mode_collapse"]["collapsed"]
    assert run.summary["reported/FID_cls"] == record["reported"]["FID_cls"]
    warned = {f"{row['name']} at iteration {row['iteration']}": row["message"] for row in folder.read_warnings()}
    assert any(title.startswith("spectral collapse") for title in warned)
    assert run.alerts == warned


# Resumed runs, groups, modes.


def test_a_run_resumed_offline_is_a_new_one_of_the_same_group_with_the_same_rows(runs: Path, views: Views) -> None:
    before, resumed = views["sn"]
    assert [found["id"] for found in wandb_runs(runs / "sn")] == [before.run["run_id"], resumed.run["run_id"]]
    assert before.run["run_id"] != resumed.run["run_id"]
    assert before.run["run_group"] == resumed.run["run_group"] == "sn"
    assert newest_id(runs / "sn", online=True) is None  # nothing can go on with what was written offline

    def numbers(run: tracked.OfflineRun) -> list[dict[str, Any]]:
        return [{key: value for key, value in row.items() if not isinstance(value, dict)} for row in run.rows]

    assert numbers(before) == numbers(resumed)


def test_a_run_that_goes_on_from_another_is_in_its_group(runs: Path, views: Views) -> None:
    parent = views["sn"][-1]
    (child,) = views["sr-d"]
    assert child.run["run_group"] == parent.run["run_group"]
    assert child.config["parent"] == {
        "checkpoint": str(RunFolder(runs / "sn").checkpoint), "iteration": 20,
        "constraint": "SN", "run": parent.run["run_id"],
    }  # fmt: skip
    assert (parent.config["parent"], parent.config["method"], child.config["method"]) == (
        None,
        "sn",
        "sr-d, unit scale",
    )
    assert child.config["model"]["n_dis"] == 2
    assert child.run["tags"] == ["sr-d, unit scale", "DigitsData"]
    assert (child.run["display_name"], child.run["job_type"], child.run["project"]) == ("sr-d", "train", "srgan")


class Server(SimpleNamespace):
    """Stands in for a run that Weights & Biases' server resumed: there is no server here. Keeps what it is told."""

    def __init__(self, until: int) -> None:
        super().__init__(resumed=True, summary={"iteration": until}, rows=[], alerts=[])

    def log(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def alert(self, title: str, text: str) -> None:
        self.alerts.append(title)


def test_a_run_resumed_online_keeps_its_id_and_gets_what_it_lacks(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(runs / "sn", tmp_path / "sn")
    folder = RunFolder(tmp_path / "sn")
    online = {"id": "abcd1234", "mode": "online"}
    (folder.path / "wandb.json").write_text(json.dumps({"runs": [online]}))
    record = folder.read_record()
    assert record is not None
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))  # somebody who could log in
    for mode, kept in (("online", True), ("offline", False)):
        monkeypatch.setenv("WANDB_MODE", mode)
        logger = WandbRunLogger()
        logger.bind(folder, record)
        assert (logger.version == "abcd1234") == kept
        assert logger._wandb_init["group"] == "sn"
        assert logger._wandb_init["resume"] == "allow"
    server = Server(until=10)
    logger._experiment = server  # type: ignore[assignment]
    history = History(folder, CollapseThresholds())
    logger.log_rows(history.new_rows(), history)
    assert [row["iteration"] for row in server.rows] == [15, 20]
    assert all(int(title.rsplit(" ", 1)[1]) > 10 for title in server.alerts)


# Other loggers, and the reading of growing files.


def test_other_loggers_get_every_number_and_alter_nothing(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(tracked.command("sn", run, 20, *tracked.FINAL, *CSV, str(tmp_path / "csv"))) == 0
    with next((tmp_path / "csv").rglob("metrics.csv")).open(newline="") as file:
        rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
    assert [int(row["step"]) for row in rows] == [0, 5, 10, 15, 20]
    found = Counter(key for row in rows for key in row if key != "step")
    media = {
        name
        for name in tracked.expected_counts(RunFolder(run))
        if (key := tracked.documented(name)) and key.kind != "number"
    }
    assert media
    assert found == {name: n for name, n in tracked.expected_counts(RunFolder(run)).items() if name not in media}
    last = RunFolder(run).read_losses()[-1]
    assert float(rows[-1]["loss/generator"]) == last["loss/generator"]
    assert RunFolder(run).read_losses() == RunFolder(runs / "sn").read_losses()
    assert RunFolder(run).spectra.path.read_bytes() == RunFolder(runs / "sn").spectra.path.read_bytes()
    assert "constraint" in next((tmp_path / "csv").rglob("hparams.yaml")).read_text()


def test_only_new_rows_are_read_and_lines_that_are_being_written_wait(runs: Path, tmp_path: Path) -> None:
    source, folder = RunFolder(runs / "sn"), RunFolder(tmp_path)
    history = History(folder, CollapseThresholds())
    assert history.new_rows() == []
    whole = source.losses.read_bytes()
    first, second, _ = whole.split(b"\n", 2)
    folder.losses.write_bytes(first + b"\n" + second[:7])
    assert [row.iteration for row in history.new_rows()] == [5]
    assert history.new_rows() == []
    folder.losses.write_bytes(whole)
    assert [row.iteration for row in history.new_rows()] == [10, 15, 20]
    layout, records = source.spectra.path.read_bytes(), 5
    folder.spectra.layout.write_bytes(source.spectra.layout.read_bytes())
    size = len(layout) // records
    folder.spectra.path.write_bytes(layout[: 2 * size + 3])
    assert [row.iteration for row in history.new_rows()] == [0, 5]
    folder.spectra.path.write_bytes(layout)
    rows = history.new_rows()
    assert [row.iteration for row in rows] == [10, 15, 20]
    assert all(len(spectra) == records for spectra in history.spectra.values())
