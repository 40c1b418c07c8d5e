"""`python -m fusionlab` lists what can be typed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from levels import BY_NAME, LISTING
from tree import PACKAGE

from fusionlab import __main__ as listing

FILES = [file for file in sorted(PACKAGE.glob("*.py")) if file.stem not in {*BY_NAME, "__init__", LISTING}]


def test_the_list_and_the_floors_mean_the_same_verbs() -> None:
    assert list(listing.commands()) == [file.stem for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_verb_says_in_one_line_what_it_does(file: Path) -> None:
    first = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    assert first and len(first) <= 110
    assert f"python -m fusionlab.{file.stem}" in listing.page()


def test_the_list_reads_and_does_not_import(tmp_path: Path) -> None:
    (tmp_path / "bang.py").write_text('"""What it does.\n\nMore."""\nraise SystemExit("imported")\n', encoding="utf-8")
    assert listing.commands(tmp_path) == {"bang": "What it does."}


def test_a_wrong_verb_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "commands", lambda: {"sweep": "", "train": ""})
    assert listing.main(["sweap"]) == 2
    assert "python -m fusionlab.sweep" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "text"), [(["signature", "--help"], 0, "the signature of a config"), (["diff"], 2, "two runs")]
)
def test_a_command_runs_after_the_package_s_name(words: list[str], status: int, text: str) -> None:
    command = [sys.executable, "-m", "fusionlab", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status and text in done.stdout + done.stderr


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_no_words_or_help_print_the_list(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert listing.main(words) == 0
    assert capsys.readouterr().out.startswith("fusionlab ")
