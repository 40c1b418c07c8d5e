"""`python -m fusionlab`: the verbs, one line each."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

import fusionlab
from fusionlab import errors
from fusionlab.errors import show

# What lies beside the verbs and is none.
NO_VERBS = frozenset({"__init__", "__main__", "cli", "errors"})


def verbs(folder: Path | None = None) -> dict[str, str]:
    """name -> the first line of its docstring; read, not imported, so that the list costs nothing."""
    folder = folder or Path(__file__).parent
    files = (file for file in sorted(folder.glob("*.py")) if file.stem not in NO_VERBS)
    return {file.stem: _first_line(file) for file in files}


def _first_line(file: Path) -> str:
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0]


def page() -> str:
    """What `python -m fusionlab` prints."""
    found = verbs()
    width = max(map(len, found), default=0)
    lines = [f"fusionlab {fusionlab.__version__}: {(fusionlab.__doc__ or '').strip()}", ""]
    lines += [f"  python -m fusionlab.{name:<{width}}  {line}".rstrip() for name, line in found.items()]
    lines += ["", "Each verb explains itself with --help."]
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        show(page())
        return 0
    if words[0] == "--version":
        show(fusionlab.__version__)
        return 0
    form = "python -m fusionlab.{}"
    if words[0] in verbs():
        error = errors.UserError(
            "a verb is a module of its own", got=words[0], hint=" ".join([form.format(words[0]), *words[1:]])
        )
    else:
        error = errors.unknown("verb", words[0], verbs(), form=form)
    show(error, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
