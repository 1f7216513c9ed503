"""What the documentation says is there."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import srgan
from srgan.constraints import METHODS

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
PAPER = (REPOSITORY / "docs" / "explanation" / "paper.md").read_text()


@pytest.mark.parametrize(
    "module",
    ["srgan.constraints.export", "srgan.constraints.layers", "srgan.constraints.regularize", "srgan.constraints.watch"],
)
def test_examples_in_docstrings_print_what_they_say(module: str) -> None:
    outcome = doctest.testmod(import_module(module))
    assert outcome.attempted
    assert not outcome.failed


def test_the_paper_to_code_map_names_files_that_exist() -> None:
    for path in re.findall(r"(?:configs|reproduce|tests)/[\w/.-]+\.(?:py|yaml)", PAPER):
        assert (REPOSITORY / path).exists(), path
    for path in re.findall(r"`((?:networks|callbacks|training)/\w+\.py)`", PAPER):
        assert (REPOSITORY / "srgan" / path).exists(), path
    for method in METHODS:
        assert (REPOSITORY / "configs" / f"{method}.yaml").exists()


def test_the_readme_can_be_read_in_a_few_minutes_and_links_to_what_exists() -> None:
    assert 600 <= len(README.split()) <= 900
    links = re.findall(r"\]\(([^)#]+)", README)
    assert len(links) > 15
    for link in links:
        assert link.startswith("https://") or (REPOSITORY / link).exists(), link


def test_the_paper_to_code_map_names_code_that_exists() -> None:
    names = re.findall(r"`((?:spectral|constraints|losses)\.(?!jsonl|bin)[\w.]+)", PAPER)
    assert len(names) > 8
    for name in names:
        module, *attributes = name.split(".")
        found = import_module(f"srgan.{module}")
        for attribute in attributes:
            found = getattr(found, attribute)


def test_the_page_of_configurations_names_them_all() -> None:
    page = (REPOSITORY / "docs" / "reference" / "configs.md").read_text()
    assert all(f"`{path.stem}`" in page for path in (REPOSITORY / "configs").glob("*.yaml"))


def test_the_public_names_are_there() -> None:
    assert {"export", "load", "regularize", "spectra", "unregularize", "watch"} <= set(srgan.__all__)
    assert all(getattr(srgan, name) for name in srgan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'regularise'"):
        _ = srgan.regularise


def test_the_repository_speaks_of_itself_alone() -> None:
    """No paths of somebody's machine."""
    texts = (
        "*.md",
        "docs/**/*.md",
        "docs/**/*.json",
        "srgan/**/*.py",
        "reproduce/**/*.py",
        "configs/*.yaml",
        "bench/**/*.json",
    )
    for path in [path for pattern in texts for path in REPOSITORY.glob(pattern)]:
        assert not re.search(r"/(?:home|root|work|Users)/", path.read_text()), path


def advice() -> dict[str, str]:
    """Name -> text of what tells people what to call: pages, the notebook, docstrings and messages of the package."""
    paths = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
    for pattern in ("docs/**/*.md", "examples/*", "srgan/**/*.py"):
        paths += [path for path in REPOSITORY.glob(pattern) if path.is_file()]
    # Lines of a shell command that goes on are one.
    texts = {str(path.relative_to(REPOSITORY)): path.read_text().replace("\\\n", " ") for path in paths}
    return {name: text.replace('\\"', '"') for name, text in texts.items()}  # of the notebook


SENT_TO_SR_D = re.compile(r"(?:-c sr-d\b|regularize\([^)\n]*[\"']sr-d[\"'])[^\n]*")


def test_nobody_is_sent_into_sr_d_without_a_word_on_its_scale() -> None:
    """As the authors have it, its scale grows, and D slows down."""
    calls = [(name, call) for name, text in advice().items() for call in SENT_TO_SR_D.findall(text)]
    assert {name for name, _ in calls} >= {"docs/tutorials/regularize.md", "examples/regularize_your_gan.ipynb"}
    assert [(name, call) for name, call in calls if "scale" not in call] == []
    assert [name for name, text in advice().items() if re.search(r"SR-d later|SN,? then SR-d", text)] == []
    assert "scale" in (srgan.regularize.__doc__ or "").partition('"sr-d" with')[2].partition("Args:")[0]
