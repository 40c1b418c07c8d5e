"""Warnings are errors; each one ignored says whose it is, with which version it was seen, and why."""

from __future__ import annotations

import re
import tomllib

from tree import ROOT

TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
FILTERS = tomllib.loads(TEXT)["tool"]["pytest"]["ini_options"]["filterwarnings"]
LOCKED = dict(
    re.findall(r"^([a-z0-9.-]+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
)


def explained(text: str) -> dict[str, tuple[str, str, str]]:
    """filter -> (package, version, reason), from the end of its line: `# torch 2.15: the reason`."""
    rows = re.findall(r'^\s*"(ignore:[^"]*)",\s*#\s*([\w.-]+) (\d+\.\d+)\S*: (\S.*)$', text, re.MULTILINE)
    return {row[0]: row[1:] for row in rows}


def test_warnings_are_errors() -> None:
    assert FILTERS[0] == "error"


def test_an_ignored_warning_is_explained_and_not_stale() -> None:
    known = explained(TEXT)
    for entry in FILTERS[1:]:
        assert entry.startswith("ignore:") and entry.count(":") >= 2, f"{entry}: one message of one category"
        assert entry in known, f"{entry}: say whose it is: # package 1.2: reason"
        package, version, _ = known[entry]
        now = LOCKED[package]
        same = now.split(".")[:2] == version.split(".")[:2]
        assert same, f"{entry} was seen with {package} {version}; the lock has {now}: try without it"


def test_the_explanation_is_read() -> None:
    line = '    "ignore:old thing:DeprecationWarning",  # torch 2.15: it still asks numpy the old way\n'
    known = {"ignore:old thing:DeprecationWarning": ("torch", "2.15", "it still asks numpy the old way")}
    assert explained(line) == known
