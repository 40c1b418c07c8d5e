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


def docstrings(source: str) -> list[tuple[str, str]]:
    """(name, text) of each docstring of a module, its functions and its classes."""
    documented = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    return [(getattr(node, "name", "the module"), text) for node in nodes if (text := ast.get_docstring(node))]


def long_first_lines(source: str) -> list[str]:
    """Names whose docstring has a second line that is not blank."""
    return [name for name, text in docstrings(source) if text.partition("\n")[2].partition("\n")[0]]


def short_last_lines(source: str) -> list[str]:
    """Names whose docstring has a paragraph that ends in a line of one or two words, outside of doctests and tables."""
    paragraphs = [(name, part.split("\n")) for name, text in docstrings(source) for part in text.split("\n\n")]
    return [
        name
        for name, lines in paragraphs
        if len(lines) > 1 and lines[-1].endswith(".") and len(lines[-1].split()) < 3
        if not any(line.startswith((" ", "|", ">>>")) for line in lines)
    ]


SOURCES = {name(file): file.read_text(encoding="utf-8") for file in PYTHON if file.is_relative_to(ROOT / "src")}


def test_the_first_line_of_a_docstring_is_whole() -> None:
    assert not {file: names for file, source in SOURCES.items() if (names := long_first_lines(source))}


def test_no_docstring_ends_in_a_line_of_a_word_or_two() -> None:
    assert not {file: names for file, source in SOURCES.items() if (names := short_last_lines(source))}


@pytest.mark.parametrize(
    ("text", "long", "short"),
    [
        ("One line.", [], []),
        ("One line.\n\n    And a second paragraph.\n    ", [], []),
        ("A first line that runs\n    on to a second one.\n    ", ["f"], []),
        ("One line.\n\n    A paragraph that ends in a single\n    word.\n    ", [], ["f"]),
        ("One line.\n\n    It ends in a single\n    word.\n\n    Then one more.\n    ", [], ["f"]),
        ("One line.\n\n    >>> f()\n    Ready.\n    ", [], []),
    ],
)
def test_a_docstring_that_breaks_a_rule_is_found(text: str, long: list[str], short: list[str]) -> None:
    source = f'def f() -> None:\n    """{text}"""\n'
    assert (long_first_lines(source), short_last_lines(source)) == (long, short)
