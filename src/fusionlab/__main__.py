"""`python -m fusionlab`: the commands, one line each."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import fusionlab
from fusionlab import errors
from fusionlab.cli import commands
from fusionlab.errors import show


def page() -> str:
    """What `python -m fusionlab` shows."""
    lines = commands()
    width = max(map(len, lines), default=0)
    title = f"fusionlab {fusionlab.__version__}: {(fusionlab.__doc__ or '').strip()}"
    listing = [f"  python -m fusionlab.{name:<{width}}  {line}".rstrip() for name, line in lines.items()]
    return "\n".join([title, "", *listing, "", "Each command explains itself with --help."])


def main(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        show(page())
        return 0
    if words[0] == "--version":
        show(fusionlab.__version__)
        return 0
    form = "python -m fusionlab.{}"
    if words[0] in commands():
        error = errors.UserError(
            "a command is a module of its own", got=words[0], hint=" ".join([form.format(words[0]), *words[1:]])
        )
    else:
        error = errors.unknown("command", words[0], commands(), form=form)
    show(error, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
