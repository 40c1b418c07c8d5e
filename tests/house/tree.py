"""The project's own files, for the tests that read them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "fusionlab"
MADE = {"build", "data", "dist", "runs", "streams", "wandb"}


@cache
def files() -> tuple[Path, ...]:
    """What is, or is about to be, in the repository; without git, all but what running makes."""
    try:
        if _git("rev-parse", "--show-prefix").strip():
            raise OSError("a copy inside somebody else's repository")
        names = _git("ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
        found = [ROOT / name for name in names if name]
    except (OSError, subprocess.SubprocessError):
        found = [file for file in ROOT.rglob("*") if not _made(file.relative_to(ROOT))]
    return tuple(sorted(file for file in found if file.is_file() and not file.is_symlink()))


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True, timeout=30, text=True).stdout


def _made(file: Path) -> bool:
    """By running, or by a tool; data/ only at the root, for src/fusionlab/data is ours."""
    hidden = any(part.startswith(".") and part != ".ci" for part in file.parts[:-1])
    return hidden or "__pycache__" in file.parts or file.parts[0] in MADE


def modules() -> dict[str, Path]:
    """Dotted name -> file, for every module of the package."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = ["fusionlab", *file.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


# Prints the top-level modules that importing argv[1:] adds; the standard library's do not count.
MODULES_SCRIPT = """
import sys
before = set(sys.modules)
for name in sys.argv[1:]:
    __import__(name)
added = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(added - set(sys.stdlib_module_names)))
"""
