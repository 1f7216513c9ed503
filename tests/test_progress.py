"""What is said about long work where there is no terminal."""

from pathlib import Path

import pytest
from preparing import prepare

from srgan.progress import Progress


def test_what_was_done_before_took_no_time() -> None:
    progress = Progress("counting", 300, done=100)
    assert progress.line(60.0) == "counting: 100"  # nothing was made: nobody knows how long it takes
    with progress:
        progress.advance(50)
    assert progress.line(60.0) == "counting: 150 of 300, 3 minutes to go"  # 50 a minute, not 150
    progress.news = "FID 12.5"
    assert progress.line(60.0) == "counting: 150 of 300, 3 minutes to go  FID 12.5"
    assert progress.line(6000.0) == "counting: 150 of 300, 5 hours to go  FID 12.5"


def test_an_unknown_total_has_no_end() -> None:
    with Progress("listing", None) as progress:
        progress.advance(2000)
    assert progress.line(60.0) == "listing: 2,000"


def test_preparing_says_where_it_stands(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(photographs, tmp_path / "quick")
    assert "to go" not in capsys.readouterr().err  # less than a minute
    monkeypatch.setattr("srgan.progress.SECONDS_BETWEEN_LINES", 0.0)
    prepare(photographs, tmp_path / "slow")
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("preparing: ") and " of 150, " in line]) == 3
    assert "preparing: 150 of 150, 0 minutes to go" in lines
