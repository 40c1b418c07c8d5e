"""The list of mutants fits the tree, and the mutation check finds what it must."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import mutate
import pytest
from tree import PACKAGE, ROOT

MUTANTS = mutate.parse(mutate.FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.new[:40]}")
def test_a_mutant_can_be_made(mutant: mutate.Mutant) -> None:
    assert mutant.error() is None
    assert all((ROOT / test).exists() for test in mutant.tests)


def test_each_package_has_mutants_and_none_is_there_twice() -> None:
    parts = {file.name for file in PACKAGE.iterdir() if file.is_dir() and file.name != "__pycache__"}
    assert {mutant.package for mutant in MUTANTS} >= parts - {"benchmarks", "testing"}
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS) >= 150


def test_equivalent_mutants_have_a_reason_and_are_few() -> None:
    assert sum(bool(mutant.reason) for mutant in MUTANTS) <= len(MUTANTS) / 20


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("errors.py\n- class UserError\n+ class UserFault\n", None),
        ("errors.py\n- import\n+ \n", "stands in the file"),
        ("errors.py\n- no such text\n+ \n", "0 times"),
        ("errors.py\n- class UserError\n+ class UserError\n", "changes nothing"),
        ("errors.py\n- class UserError\n+ class class\n", "no Python"),
        ("error.py\n- class UserError\n+ class UserFault\n", "no such file"),
    ],
)
def test_a_mutant_that_is_none_is_found(text: str, error: str | None) -> None:
    (mutant,) = mutate.parse("# a comment\n\n" + text)
    found = mutant.error()
    assert found is None if error is None else error in (found or "")


SOURCE = """
def double(x):
    assert x >= 0
    return 2 * x


def halved(x):
    while x > 10:
        x = x // 2
    return x
"""
TEST = """
from fusionlab.small.numbers import double, halved

def test_numbers():
    assert double(3) == 6 and halved(20) == 10
"""
LIST = {
    "killed": ("- return 2 * x\n+ return 3 * x\n", 0),
    "hangs": ("- x = x // 2\n+ x = x\n", 0),
    "survives": ("- assert x >= 0\n+ pass\n", 1),
    "gone": ("- assert x > 0\n+ pass\n", 1),
    "no tests": ("- return 2 * x\n+ return 3 * x\n", 1),
}


@pytest.mark.slow
def test_the_check_finds_a_survivor(tmp_path: Path) -> None:
    house = tmp_path / "tests" / "house"
    house.mkdir(parents=True)
    for file in ("mutate.py", "tree.py"):
        shutil.copy(ROOT / "tests" / "house" / file, house / file)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["slow", "notebook"]\n')
    tree = {"src/fusionlab/__init__.py": "", "src/fusionlab/small/__init__.py": ""}
    tree |= {"src/fusionlab/small/numbers.py": SOURCE, "tests/small/test_numbers.py": TEST}
    for place, text in tree.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text, encoding="utf-8")
    (tmp_path / "tests" / "none").mkdir()
    (tmp_path / "tests" / "none" / "test_none.py").write_text("", encoding="utf-8")
    for word, (lines, status) in LIST.items():
        tests = " small none/test_none.py" if word == "no tests" else ""
        text = f"small/numbers.py{tests}\n{lines}"
        if word == "no tests":  # the tests of the tree are there, those of the mutant are not
            text = f"small/numbers.py none/test_none.py\n{lines}\n\nsmall/numbers.py\n- return x\n+ return x + 1\n"
        (house / "mutants.txt").write_text(text, encoding="utf-8")
        command = [
            sys.executable,
            str(house / "mutate.py"),
            "--jobs",
            "1",
            "--limit",
            "15" if word == "hangs" else "300",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{word}\n{done.stdout}\n{done.stderr}"
        assert {"killed": "| all | 1 | 1 |", "hangs": "hangs ", "survives": "survivor: small/numbers.py:3"}.get(
            word, ""
        ) in done.stdout
