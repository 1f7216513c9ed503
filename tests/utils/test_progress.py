"""What is said about long work where there is no terminal."""

from pathlib import Path

import pytest
from preparing import prepare


def test_preparing_says_where_it_stands(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(photographs, tmp_path / "quick")
    assert "preparing" not in capsys.readouterr().err  # less than a minute
    monkeypatch.setattr("srgan.utils.progress.SECONDS_BETWEEN_LINES", 0.0)
    prepare(photographs, tmp_path / "slow")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("preparing:")]
    assert [line.split(",")[0] for line in lines] == [f"preparing: {count} of 150" for count in range(151)]
