"""How the tree looks: small files named for what they hold, and nothing of one machine in them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tree import ROOT, files

LINES = 400
VAGUE = {
    "utils",
    "util",
    "helpers",
    "helper",
    "base",
    "manager",
    "managers",
    "common",
    "misc",
    "tools",
    "stuff",
}
# Each pattern is written so that it does not match itself.
FORBIDDEN = {
    "a registry's address": r"py[p]i\.or[g]|python[h]osted|deb\.debia[n]|registr[y]\.npmjs|ana[c]onda\.org",
    "an index in a lock": r"-{2}(extra-)?index-ur[l] |-{2}find-link[s]",
    "a path of one machine": r"(?<![\w.~$}>/-])/(root|hom[e]|work|Users)/\w|/tm[p]/\w",
    "the lightning package": r"^\s*(import|from) lightnin[g]\b",
    "a number in some tracker": r"\bissu[e] #?\d",
}
TEXT = {
    "",
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".cff",
    ".lock",
    ".txt",
    ".ipynb",
    ".cfg",
    ".ini",
    ".sh",
    ".csv",
    ".json",
}
FILES = [file for file in files() if file.suffix in TEXT]
PYTHON = [file for file in FILES if file.suffix == ".py"]


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_the_tree_was_found() -> None:
    assert {"pyproject.toml", "src/fusionlab/errors.py", "conf/fusion/sum.yaml"} <= {name(file) for file in FILES}


def test_files_are_small() -> None:
    lines = {name(file): len(file.read_text(encoding="utf-8").splitlines()) for file in PYTHON}
    assert not {file: count for file, count in lines.items() if count > LINES}, "one idea per file"


def test_files_are_named_for_what_they_hold() -> None:
    words = {name(file): set(re.split(r"[_/.]", name(file))) for file in PYTHON}
    assert not {file: parts & VAGUE for file, parts in words.items() if parts & VAGUE}, "says nothing"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_of_one_machine_is_in_the_tree(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    found = [
        f"{name(file)}:{number}: {line.strip()[:120]}"
        for file in FILES
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, what + "\n" + "\n".join(found)


def test_the_lock_is_the_only_lock() -> None:
    assert not [name(file) for file in files() if file.name == "uv.lock"], "uv.lock names registry addresses"
    assert re.search(r"^uv\.lock$", (ROOT / ".gitignore").read_text(encoding="utf-8"), re.MULTILINE)


def test_what_running_makes_is_ignored_at_the_root_only() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/runs/", "/data/"} <= set(ignored)
    assert not {"runs", "runs/", "data", "data/"} & set(ignored), "would hide src/fusionlab/data"


def test_no_file_is_large() -> None:
    large = {name(file): file.stat().st_size for file in files() if file.stat().st_size > 1 << 20}
    assert not large


def test_text_leaves_by_one_way() -> None:
    """`errors.show`, which writes out what steers a terminal."""
    calls = {
        f"{name(file)}:{node.lineno}"
        for file in PYTHON
        if file.is_relative_to(ROOT / "src") and file.name != "errors.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id == "print"
    }
    assert not calls, "fusionlab.errors.show instead of print"


def test_json_from_disk_is_read_one_way() -> None:
    """`records.files.parse_json`, which knows bounds. A plan's text in memory is its own."""
    pattern = re.compile(r"json\.loads?\(")
    found = {
        name(file)
        for file in PYTHON
        if file.is_relative_to(ROOT / "src") and pattern.search(file.read_text(encoding="utf-8"))
    }
    assert found <= {"src/fusionlab/records/files.py", "src/fusionlab/video/writing.py", "src/fusionlab/study/plan.py"}
