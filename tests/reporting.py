"""Run folders for the tests of `srgan report`: trained by the real command, and copies that collapse, run or broke."""

import base64
import gzip
import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import escape
from pandas import DataFrame

from srgan.cli.main import main
from srgan.collapse import CollapseThresholds, mode_collapse, spectral_collapse
from srgan.report.page import write_page
from srgan.runs.folder import RunFolder
from srgan.utils.files import append_json_line, write_json

TINY = [
    "fit", "-c", "configs/digits.yaml",
    "--data.init_args.image_size", "8", "--data.init_args.batch_size", "4",
    "--model.networks.init_args.generator_channels", "4",
    "--model.networks.init_args.discriminator_channels", "8", "--model.networks.init_args.latent_dim", "8",
    "--model.n_dis", "1",
    "--scores.every", "10", "--scores.protocol.num_fake_images", "200", "--scores.protocol.num_real_images", "200",
    "--samples.every", "10", "--spectra.every", "5", "--losses.every", "5", "--checkpoints.every", "10",
    "--outputs.every", "10", "--outputs.images", "100", "--gradients.every", "5",
]  # fmt: skip
ODD_NAME = '<b>x<b>, "y"=1'
COLLAPSE = 30
"""The iteration from which the spectra and the scores of the collapsed copy are bad."""


@cache
def run_folders(temporary: Path) -> Path:
    """`pair/{sn,sr-s,sr-d,collapsed}`, `running`, `bare`, `broken` and `odd/ODD_NAME`."""
    root = temporary / "report runs"
    sn, sr_s, sr_d = (root / "pair" / name for name in ("sn", "sr-s", "sr-d"))
    for path, iterations in ((sn, 20), (sr_s, 20), (sr_d, 20)):
        config = ["-c", f"configs/{path.name}.yaml", "--model.iterations", str(iterations), "--run", str(path)]
        if path is sr_d:
            config += ["--from-checkpoint", str(sn / "checkpoints" / "last.ckpt"), "--model.iterations", "30"]
        assert main([*TINY, *config]) == 0
    _collapse(shutil.copytree(sn, root / "pair" / "collapsed"))
    _unfinish(shutil.copytree(sn, root / "running"))
    shutil.copytree(sr_s, root / "odd" / ODD_NAME)
    (root / "bare").mkdir()
    shutil.copy(sn / "run.json", root / "bare")
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text('{"status":')
    return root


def _collapse(path: Path) -> None:
    """Goes on for 20 more iterations, in which spectra sink and scores get worse."""
    folder = RunFolder(path)
    history = folder.read_spectra()
    assert history is not None
    row = folder.read_scores()[0]
    for t in range(25, 41, 5):
        decay = 12 if t >= COLLAPSE else 0.1
        sigmas = [2 * np.exp(-decay * np.arange(layer.rank) / layer.rank) for layer in history.layers]
        folder.append_spectra(t, history.layers, sigmas)
    folder.scores.unlink()
    folder.warnings.unlink(missing_ok=True)
    for t, FID in ((10, 100.0), (20, 90.5), (25, 900.0), (30, 900.0), (40, 800.0)):  # medians of three: 900 from 30 on
        append_json_line(folder.scores, row | {"iteration": t, "FID_cls": FID})
    message = "The tail means of 8 of 8 layers <b>fell</b>."
    append_json_line(folder.warnings, {"iteration": COLLAPSE, "name": "spectral collapse", "message": message})
    record, history = folder.read_record(), folder.read_spectra()
    assert record is not None
    assert history is not None
    record["iterations"] = 40
    record["verdicts"] = {
        "mode_collapse": vars(mode_collapse(folder.read_scores())),
        "spectral_collapse": vars(spectral_collapse(history.iterations, history.judged())),
        "thresholds": vars(CollapseThresholds()),
    }
    write_json(folder.record, record)


def _unfinish(path: Path) -> None:
    """A run that is training, as older versions recorded: no verdicts, gradients, outputs; a grid half written."""
    folder = RunFolder(path)
    record = folder.read_record()
    assert record is not None
    unwritten = ("verdicts", "ended", "scores", "final", "reported")
    write_json(
        folder.record, {key: value for key, value in record.items() if key not in unwritten} | {"status": "running"}
    )
    for name in ("gradients.jsonl", "outputs.bin", "outputs.json"):
        (path / name).unlink()
    picture = folder.read_samples()[20]
    picture.write_bytes(picture.read_bytes()[:200])


def table_page(root: Path, output: Path) -> None:
    """The page of these runs below a table as `reproduce` writes it, wider than a phone."""
    row = {"Setting": "pair"} | {f"column {k}": "12.5" for k in range(12)} | {"verdict": "MC + SC", "gap": "to do"}
    write_page(root, output, "Table <II>", [("The table", DataFrame([row] * 30), "Scale <mini>.")])


def stored_run(page: Path, key: str) -> dict[str, Any]:
    """What a page holds of a run, besides the overview."""
    found = re.search(rf'data-run="{re.escape(str(escape(key)))}">([^<]*)<', page.read_text())
    assert found
    content: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return content
