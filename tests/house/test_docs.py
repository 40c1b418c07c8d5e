"""The pages tell the truth: a promise names a test that is there, a link leads somewhere, an example runs."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest
from levels import BY_NAME
from tree import PACKAGE, ROOT, files, modules

NODE = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
PAGES = [file for file in files() if file.suffix == ".md"]
# Commands have no examples in their docstrings: importing one could run it. Their examples are in the README.
EXAMPLES = [
    module
    for module, file in modules().items()
    if ">>> " in file.read_text(encoding="utf-8") and (file.parent != PACKAGE or file.stem in BY_NAME)
]


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def written_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_test_that_a_page_names_exists(page: Path) -> None:
    for file, test in NODE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / file).is_file(), f"{file} is not there"
        assert not test or test in written_in(ROOT / file), f"{file} has no {test}"


def test_each_promise_has_its_test() -> None:
    rows = [
        line for line in (ROOT / "DETERMINISM.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    promises = [row for row in rows if not row.startswith(("| promise", "| ---"))]
    assert len(promises) >= 10
    for row in promises:
        assert NODE.search(row), f"a promise without a test: {row}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{target} is not there"


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert result.attempted and result.failed == 0


def test_the_way_of_an_arm_has_ten_stations_that_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    stations = re.findall(r"^\| (\d+) \| `([\w.]+)` \|", page, re.MULTILINE)
    assert [int(number) for number, _ in stations] == list(range(1, len(stations) + 1))
    assert 5 <= len(stations) <= 10
    for _, station in stations:
        names = station.split(".")
        held: object = importlib.import_module(".".join(["fusionlab", *names[:2]]))
        for name in names[2:]:
            held = getattr(held, name)
        assert callable(held)
