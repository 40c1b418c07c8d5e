"""The README's commands are run as they stand.

Before a block, `<!-- slow -->` leaves it to `make test-slow`, `<!-- elsewhere: reason -->` to another stage.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tree import ROOT

BLOCK = re.compile(r"(?:<!-- (?P<mark>slow|elsewhere: [^>]+) -->\n)?```bash\n(?P<lines>.*?)```", re.DOTALL)
BLOCKS = [
    (found["lines"].strip(), found["mark"] or "") for found in BLOCK.finditer((ROOT / "README.md").read_text("utf-8"))
]


def marked(lines: str, mark: str) -> object:
    slow = [pytest.mark.slow] if mark == "slow" else []
    return pytest.param(lines, id=lines.partition("\n")[0], marks=slow)


def run(lines: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """In a fresh folder, as a user of the wheel would; `make` where its file is."""
    first = str(Path(sys.executable).parent)
    around = {**os.environ, "PATH": os.pathsep.join([first, os.environ["PATH"]])}
    for name in ("MAKEFLAGS", "MAKELEVEL", "PYTEST_CURRENT_TEST"):
        around.pop(name, None)
    place = ROOT if lines.startswith("make") else folder
    command = ["bash", "-euo", "pipefail", "-c", lines]
    return subprocess.run(
        command, cwd=place, env=around, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def test_the_readme_has_commands() -> None:
    text = "\n".join(lines for lines, _ in BLOCKS)
    for needed in ("make demo", "make test", "python -m fusionlab.sweep fusion=conv,sum layer=relu5"):
        assert re.search(rf"^{re.escape(needed)}$", text, re.MULTILINE), f"{needed} is not in the README"


@pytest.mark.parametrize("lines", [marked(lines, mark) for lines, mark in BLOCKS if not mark.startswith("elsewhere")])
def test_a_command_of_the_readme_runs(lines: str, tmp_path: Path) -> None:
    done = run(lines, tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.strip(), "a user would see nothing"
