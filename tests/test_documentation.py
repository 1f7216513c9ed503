"""What the documentation says is there."""

import doctest
import re
import shlex
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import srgan
from srgan.constraints import METHODS, Schedule, SpectralRegularization, Static
from srgan.constraints.regularize import options_of
from srgan.utils.distributed import accumulation

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


def test_the_page_of_the_one_liner_has_all_methods_with_their_options_and_defaults() -> None:
    page = (REPOSITORY / "docs" / "reference" / "regularize.md").read_text()
    rows = re.findall(r'^\| (`"[^|]+) \|[^|]+\|([^|]*)\|$', page, re.MULTILINE)
    documented = {
        method: dict(re.findall(r"`(\w+)=([^`]+)`", row))
        for names, row in rows
        for method in re.findall(r'"(.+?)"', names)
    }
    documented["sr-s"] |= documented["sr-d"]
    assert documented.keys() == METHODS.keys()
    for method, options in documented.items():
        assert options.keys() == set(options_of(method)), method
        constraint = METHODS[method]()
        for name, default in options.items():
            value = getattr(constraint, name, Static().fraction)
            assert value == eval(default, {"Schedule": Schedule}), (method, name)


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


def test_nobody_is_sent_into_an_sr_d_that_keeps_its_scale() -> None:
    """As the authors have it, sigma_1 grows, and D slows down: tutorials, README and notebook take the default."""
    pages = [*(REPOSITORY / "docs" / "tutorials").glob("*.md"), REPOSITORY / "README.md"]
    pages += list((REPOSITORY / "examples").iterdir())
    for page in [page for page in pages if page.is_file()]:
        calls = re.findall(r"srgan\.regularize\([^)]*sr-d[^)]*\)|srgan fit [^\n]*-c sr-d[^\n]*", page.read_text())
        assert not [call for call in calls if "keep" in call], page
    constraint = METHODS["sr-d"]()
    assert isinstance(constraint, SpectralRegularization)
    assert constraint.scale == "unit"
    assert "scale: unit" in (REPOSITORY / "configs" / "sr-d.yaml").read_text()


def test_batches_and_processes_of_the_commands_for_several_gpus_fit() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "gpus.md").read_text().replace("\\\n", " ")
    commands = [shlex.split(line, comments=True) for line in page.splitlines() if "--trainer.devices" in line]
    commands = [words for words in commands if "fit" in words]
    assert len(commands) == 3
    for words in commands:
        options = dict(pairwise(words))
        config = yaml.safe_load((REPOSITORY / "configs" / f"{words[words.index('-c') + 1]}.yaml").read_text())
        batch = int(options.get("--data.init_args.batch_size", config["data"]["init_args"]["batch_size"]))
        devices, nodes = (int(options.get(f"--trainer.{name}", 1)) for name in ("devices", "num_nodes"))
        assert accumulation(batch, devices * nodes, config["model"]["micro_batch_size"]) >= 1
        for launcher in ("--nproc-per-node", "--ntasks-per-node", "--gpus-per-node"):
            assert int(options.get(launcher, devices)) == devices, words
        assert int(options.get("--nodes", nodes)) == nodes, words
