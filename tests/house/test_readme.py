"""The blocks of README.md and of docs/ are run as they stand, page by page, in an empty folder.

A block whose first line names a file (`# conf/fusion/gated.yaml`) is that file. Before a block, `<!-- slow -->` leaves
it to `make test-slow`, `<!-- elsewhere: reason -->` to another stage. All of docs/ is left to the slow tests.
`<!-- prints: a … b / c -->`, or `slow; prints: …`, says what the block prints: these lines, in this order, in any
column, with anything for `…`; other lines may stand between them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tree import ROOT

from fusionlab.results.figures.accuracy import accuracy
from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table
from fusionlab.results.text_tables import markdown
from fusionlab.summaries.summary_text import describe_arms

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>slow|elsewhere: [^>]+?)?(?:; )?(?:prints: (?P<prints>[^>]+))? -->\n)?"
    r"```(?P<language>bash|python|yaml)\n(?P<text>.*?)```",
    re.DOTALL,
)
NAMED = re.compile(r"# ([\w./-]+\.(?:py|yaml))\n")
WIDTH, LENGTH = 120, 120  # of the README, in characters and lines


@dataclass(frozen=True)
class Block:
    """One block of a page; `prints` are the lines that it is said to print."""

    language: str
    text: str
    mark: str
    prints: tuple[str, ...]

    @property
    def file(self) -> str | None:
        """The file that it is, if it is no command."""
        named = NAMED.match(self.text)
        return named[1] if named else None


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text("utf-8"))
    return [
        Block(
            one["language"], one["text"], one["mark"] or "", tuple(one["prints"].split(" / ") if one["prints"] else ())
        )
        for one in found
    ]


def not_printed(lines: Iterable[str], output: str) -> str | None:
    """The first line that is not there, or stands above one of those before it; None if all are printed."""
    rest = iter(output.splitlines())
    for line in lines:
        words = [r"\s+".join(map(re.escape, part.split())) for part in line.split("…")]
        pattern = re.compile(r"(?<!\w)" + ".*".join(words) + r"(?!\w)")
        if not any(pattern.search(one) for one in rest):
            return line
    return None


def run(language: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """In the page's folder, as a user of the wheel would; `make` where its file is."""
    first = str(Path(sys.executable).parent)
    around = {**os.environ, "PATH": os.pathsep.join([first, os.environ["PATH"]])}
    for name in ("MAKEFLAGS", "MAKELEVEL", "PYTEST_CURRENT_TEST"):
        around.pop(name, None)
    command = ["bash", "-euo", "pipefail", "-c", text] if language == "bash" else [sys.executable, "-c", text]
    place = ROOT if text.startswith("make") else folder
    return subprocess.run(
        command, cwd=place, env=around, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def test_the_readme_has_commands() -> None:
    text = "\n".join(block.text for block in blocks(ROOT / "README.md"))
    for needed in ("make demo", "make test", "python -m fusionlab.sweep fusion=conv,sum layer=relu5"):
        assert re.search(rf"^{re.escape(needed)}$", text, re.MULTILINE), f"{needed} is not in the README"


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= LENGTH
    assert max(map(len, lines)) <= WIDTH


def between(name: str, new: str) -> None:
    """The README has this text between two markers; else it is written there, and the test fails once."""
    page = ROOT / "README.md"
    text = page.read_text("utf-8")
    shown = re.search(rf"<!-- {name}: [^>]+ -->\n(.*?)<!-- {name}: end -->", text, re.DOTALL)
    assert shown, f"README.md has no place for the {name}"
    if shown[1] != new:
        page.write_text(text[: shown.start(1)] + new + text[shown.end(1) :], encoding="utf-8")
        pytest.fail(f"the {name} in README.md was out of date and was made again: look at it and commit")


def demo_table() -> str:
    spec = yaml.safe_load((ROOT / "conf" / "table" / "short.yaml").read_text("utf-8"))
    table = make_table(load(ROOT / "experiments" / "demo" / "records"), Spec.of(spec))
    drawn, place = accuracy(table), ROOT / "docs" / "demo.svg"
    assert drawn is not None
    figure = drawn.svg() + "\n"
    if not place.is_file() or place.read_text("utf-8") != figure:
        place.write_text(figure, encoding="utf-8")
        pytest.fail("docs/demo.svg was out of date and was drawn again: look at it and commit")
    # The README has no room for ceilings and the control's towers, which are in table.md.
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
    rows = [line for line in lines if "| Ceiling" not in line and " trained on " not in line]
    return re.sub("[¹²³⁴⁵⁶⁷⁸⁹]", " ", "\n".join(rows)) + "\n"  # the marks of notes, which are in table.md


def test_the_readme_begins_with_the_demo_s_table_and_plot() -> None:
    between("demo", demo_table())


def test_the_readme_draws_the_network_as_summary_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = describe_arms(["fusion=conv", "layer=relu5"]).splitlines()
    first = next(at for at, line in enumerate(lines) if "scores of" in line)
    last = next(at for at, line in enumerate(lines) if line.strip().startswith("appearance, "))
    between("drawing", "```\n" + "\n".join(line.rstrip() for line in lines[first : last + 1]) + "\n```\n")


def runnable(page: Path, mark: str) -> list[Block]:
    """The blocks of a page to run with this mark."""
    return [block for block in blocks(page) if block.mark == mark and not block.file]


def test_each_command_of_the_readme_says_what_it_prints() -> None:
    commands = [block for mark in ("", "slow") for block in runnable(ROOT / "README.md", mark)]
    assert len(commands) >= 3 and all(block.prints for block in commands)


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        (["5 arms", "conv … relu5 12"], None),
        (["conv  relu5"], None),
        (["conv … relu5", "5 arms"], "5 arms"),
        (["6 arms"], "6 arms"),
        (["5 arm"], "5 arm"),
        (["relu5 … conv"], "relu5 … conv"),
        (["5 arms … conv"], "5 arms … conv"),
    ],
)
def test_a_line_that_is_not_printed_is_found(lines: list[str], missing: str | None) -> None:
    assert not_printed(lines, "study x\n15 arms\n  5 arms\n  conv    relu5   12\n") == missing


@pytest.mark.parametrize(
    ("page", "mark"),
    [
        pytest.param(
            page,
            mark,
            id=f"{page.stem}{mark and ', slow'}",
            marks=[pytest.mark.slow] if mark or page.parent.name == "docs" else [],
        )
        for page in PAGES
        for mark in ("", "slow")
        if runnable(page, mark)
    ],
)
def test_the_blocks_of_a_page_run(page: Path, mark: str, tmp_path: Path) -> None:
    """The slow test runs the slow blocks alone, on the page's files."""
    for block in blocks(page):
        if block.file:
            place = tmp_path / block.file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text, encoding="utf-8")
        elif block.mark == mark:
            assert block.language != "yaml", "a block of YAML names its file in its first line"
            done = run(block.language, block.text, tmp_path)
            assert done.returncode == 0, block.text + done.stdout[-4000:] + done.stderr[-4000:]
            assert done.stdout.strip(), f"a user would see nothing: {block.text}"
            missing = not_printed(block.prints, done.stdout)
            assert missing is None, f"not printed: {missing}\n{block.text}{done.stdout[-4000:]}"
