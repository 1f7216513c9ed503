"""Weights & Biases switched off, or online without a login."""

from pathlib import Path

import pytest
import tracked

from srgan.cli.main import main
from srgan.runs.folder import RunFolder


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracked.offline(monkeypatch, tmp_path)


def test_disabled_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run = tmp_path / "run"
    assert main(tracked.command("sn", run, 10, *tracked.WANDB)) == 0
    assert not (run / "wandb.json").exists()
    assert not list(run.rglob("*.wandb"))


def test_online_without_a_login_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert main(tracked.command("sn", tmp_path / "run", 10, *tracked.WANDB)) == 2
    assert "WANDB_MODE=offline" in capsys.readouterr().err
    assert not RunFolder(tmp_path / "run").record.exists()
