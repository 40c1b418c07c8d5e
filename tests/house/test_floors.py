"""Imports go down only, third parties stay in their rooms, and CONTRIBUTING shows the floors as they are."""

from __future__ import annotations

import pytest
from floors import BY_NAME, OF_VERBS, ROOMS, breaches, drawn, room_of
from tree import PACKAGE, ROOT, modules

BEGIN, END = "<!-- floors: drawn by tests/house/test_floors.py -->", "<!-- floors: end -->"
MODULES = modules()
PACKAGES = {path.parent.name for path in PACKAGE.rglob("__init__.py")} - {"fusionlab"}
VERBS = {file.stem for file in PACKAGE.glob("*.py")} - set(BY_NAME) - {"__init__", OF_VERBS}


def test_imports_go_down_only() -> None:
    found = []
    for module, file in MODULES.items():
        if module == "fusionlab":
            continue
        package = module if file.stem == "__init__" else module.rpartition(".")[0]
        for breach in breaches(file.read_text(encoding="utf-8"), room_of(file), package):
            found.append(f"{file.relative_to(ROOT)}, {breach}")
    assert not found, "\n".join(found)


def test_the_top_imports_nothing() -> None:
    assert "import" not in MODULES["fusionlab"].read_text(encoding="utf-8")


def test_every_room_is_there() -> None:
    missing = [room.name for room in ROOMS if room.name != "verbs" and not _exists(room.name)]
    assert not missing, f"rows of floors.py that stand for nothing: {missing}"


def _exists(name: str) -> bool:
    return (PACKAGE / name / "__init__.py").is_file() or (PACKAGE / f"{name}.py").is_file()


def test_packages_and_verbs_share_no_name() -> None:
    assert not PACKAGES & VERBS


def test_neighbours_do_not_go_round_in_a_circle() -> None:
    for room in ROOMS:
        for name in room.beside:
            assert BY_NAME[name].floor == room.floor
            assert room.name not in BY_NAME[name].beside


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("study", "def f():\n    import torch\n"),
        ("study", "from fusionlab.training import cohort\n"),
        ("results", "from hydra import compose\n"),
        ("records", "import numpy.random\n"),
        ("fusion", "from fusionlab.temporal.pool2d import Pool2d\n"),
        ("fusion", "from fusionlab import two_stream\n"),
        ("fusion", "from ..data import clips\n"),
        ("training", "import lightning\n"),
        ("door", "import fusionlab.sweep\n"),
        ("errors", "from fusionlab.records import files\n"),
    ],
)
def test_a_breach_is_seen(room: str, source: str) -> None:
    assert len(breaches(source, BY_NAME[room], f"fusionlab.{room}")) == 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        (
            "training",
            "import torch.nn as nn, os\nfrom fusionlab.two_stream.net import x\nfrom . import arm\n",
        ),
        ("records", "import fusionlab\nfrom fusionlab import errors, __version__\n"),
        ("verbs", "from fusionlab.door import compose\nfrom fusionlab import errors\n"),
    ],
)
def test_what_is_allowed_is_no_breach(room: str, source: str) -> None:
    assert not breaches(source, BY_NAME[room], f"fusionlab.{room}")


def test_contributing_shows_the_floors() -> None:
    page = ROOT / "CONTRIBUTING.md"
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    shown, found_end, after = rest.partition(END)
    assert found and found_end, f"CONTRIBUTING.md lost its markers {BEGIN} … {END}"
    if shown.strip() != drawn():
        page.write_text(f"{before}{BEGIN}\n{drawn()}\n{END}{after}", encoding="utf-8")
        pytest.fail("the floors in CONTRIBUTING.md were out of date and were drawn anew: look at them and commit")
