"""Imports go down only, third parties stay in their packages, and CONTRIBUTING shows the levels as they are."""

from __future__ import annotations

import pytest
from levels import BY_NAME, LISTING, PACKAGES, breaches, drawn, imported, package_of
from tree import PACKAGE, ROOT, modules

BEGIN, END = "<!-- levels: drawn by tests/house/test_levels.py -->", "<!-- levels: end -->"
MODULES = modules()
FOLDERS = {path.parent.name for path in PACKAGE.rglob("__init__.py")} - {"fusionlab"}
COMMANDS = {file.stem for file in PACKAGE.glob("*.py")} - set(BY_NAME) - {"__init__", LISTING}


def test_imports_go_down_only() -> None:
    found = []
    for module, file in MODULES.items():
        if module == "fusionlab":
            continue
        package = module if file.stem == "__init__" else module.rpartition(".")[0]
        for breach in breaches(file.read_text(encoding="utf-8"), package_of(file), package):
            found.append(f"{file.relative_to(ROOT)}, {breach}")
    assert not found, "\n".join(found)


def test_every_package_is_there() -> None:
    missing = [own.name for own in PACKAGES if own.name != "commands" and not _exists(own.name)]
    assert not missing, f"rows of levels.py that stand for nothing: {missing}"


def _exists(name: str) -> bool:
    return (PACKAGE / name / "__init__.py").is_file() or (PACKAGE / f"{name}.py").is_file()


def test_packages_and_commands_share_no_name() -> None:
    assert not FOLDERS & COMMANDS


def test_neighbours_do_not_go_round_in_a_circle() -> None:
    for own in PACKAGES:
        for name in own.beside:
            assert BY_NAME[name].level == own.level
            assert own.name not in BY_NAME[name].beside


@pytest.mark.parametrize(
    ("own", "source"),
    [
        ("study", "def f():\n    import torch\n"),
        ("study", "from fusionlab.training import cohort\n"),
        ("results", "from hydra import compose\n"),
        ("records", "import numpy.random\n"),
        ("fusion", "from fusionlab.temporal.pool2d import Pool2d\n"),
        ("fusion", "from fusionlab import two_stream\n"),
        ("fusion", "from ..data import clips\n"),
        ("training", "import lightning\n"),
        ("planning", "import fusionlab.sweep\n"),
        ("jobs", "from fusionlab.planning import grid\n"),
        ("training", "from hydra import compose\n"),
        ("errors", "from fusionlab.records import files\n"),
    ],
)
def test_a_breach_is_seen(own: str, source: str) -> None:
    assert len(breaches(source, BY_NAME[own], f"fusionlab.{own}")) == 1


@pytest.mark.parametrize(
    ("own", "source"),
    [
        (
            "training",
            "import torch.nn as nn, os\nfrom fusionlab.two_stream.net import x\nfrom . import arm\n",
        ),
        ("records", "import fusionlab\nfrom fusionlab import errors, __version__\n"),
        ("commands", "from fusionlab.config import compose\nfrom fusionlab import errors\n"),
    ],
)
def test_what_is_allowed_is_no_breach(own: str, source: str) -> None:
    assert not breaches(source, BY_NAME[own], f"fusionlab.{own}")


def test_contributing_shows_the_levels() -> None:
    page = ROOT / "CONTRIBUTING.md"
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    shown, found_end, after = rest.partition(END)
    assert found and found_end, f"CONTRIBUTING.md lost its markers {BEGIN} … {END}"
    if shown.strip() != drawn():
        page.write_text(f"{before}{BEGIN}\n{drawn()}\n{END}{after}", encoding="utf-8")
        pytest.fail("the levels in CONTRIBUTING.md were out of date and were drawn anew: look at them and commit")


def test_what_imports_level_0_alone_is_on_level_1() -> None:
    levels: dict[str, set[int]] = {}
    for module, file in MODULES.items():
        own = package_of(file).name if module != "fusionlab" else "errors"
        package = module if file.stem == "__init__" else module.rpartition(".")[0]
        for _, name in imported(file.read_text(encoding="utf-8"), package):
            other = BY_NAME.get(name.removeprefix("fusionlab.").partition(".")[0]) if "fusionlab." in name else None
            if other is not None and other.name != own:
                levels.setdefault(own, set()).add(other.level)
    for own, below in levels.items():
        assert BY_NAME[own].level <= max(below) + 1, f"{own} imports levels {sorted(below)}, and could be lower"
