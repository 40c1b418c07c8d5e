"""`python -m fusionlab`: the commands, one line each; `python -m fusionlab sweep …` runs one."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

import fusionlab
from fusionlab import errors
from fusionlab.cli import commands
from fusionlab.errors import show


def page() -> str:
    """The text that `python -m fusionlab` shows."""
    lines = commands()
    width = max(map(len, lines), default=0)
    title = f"fusionlab {fusionlab.__version__}: {(fusionlab.__doc__ or '').strip()}"
    listing = [f"  python -m fusionlab.{name:<{width}}  {line}".rstrip() for name, line in lines.items()]
    return "\n".join(
        [
            title,
            "",
            *listing,
            "",
            "Each command explains itself with --help. `python -m fusionlab.completion bash` completes what is typed.",
        ]
    )


def main(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        show(page())
        return 0
    if words[0] == "--version":
        show(fusionlab.__version__)
        return 0
    if words[0] not in commands():
        show(errors.unknown("command", words[0], commands(), form="python -m fusionlab.{}"), file=sys.stderr)
        return 2
    sys.argv = list(words)
    runpy.run_module(f"fusionlab.{words[0]}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
