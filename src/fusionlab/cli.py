"""How every verb behaves at the terminal: help, exit codes, errors that teach.

0 all that was asked for is done; 1 something failed, and was said; 2 the command line or the disk is wrong; 130 Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence

from fusionlab.errors import UserError, show

Main = Callable[[list[str]], int]
MULTIRUN = ("-m", "--multirun")  # hydra's flag for a sweep, which sweeps here with it and without it


def run(main: Main, text: str, *, choices: bool = False, argv: Sequence[str] | None = None) -> None:
    """Call a verb's `main` and leave the process. `text`: its help; `choices`: list the config groups below it."""
    words = [word for word in (sys.argv[1:] if argv is None else argv) if word not in MULTIRUN]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot write a sign gets its number
            stream.reconfigure(errors="backslashreplace")
    try:
        if any(word in ("-h", "--help") for word in words):
            show(text.strip() + ("\n\n" + listing() if choices else ""))
            status = 0
        else:
            status = main(words)
        sys.stdout.flush()
    except UserError as error:
        show(error, file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        show("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:  # `… | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    sys.exit(status)


def listing() -> str:
    """The config groups and their choices, as `--help` shows them."""
    from fusionlab.config.catalogue import folder_of, groups

    own = {group: names for group, names in groups().items() if folder_of(group) == group}
    lines = [f"  {group:<11} {', '.join(names)}" for group, names in own.items()]
    return "\n".join(
        [
            "Groups (choose with group=name; `python -m fusionlab.plan` shows what a choice leads to):",
            *lines,
            "backbone= sets the towers of both streams; appearance= and motion= set one.",
        ]
    )


def flags(words: Sequence[str], known: dict[str, bool]) -> tuple[dict[str, str], list[str]]:
    """Split `--name value` (known[name] is True) and `--name` from the other words."""
    found: dict[str, str] = {}
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            rest.append(word)
            continue
        name, has_value, value = word.partition("=")
        if name not in known:
            raise UserError("unknown flag", got=word, allowed=[*known, "--help"])
        if not known[name]:
            found[name] = ""
        elif has_value or left:
            found[name] = value if has_value else left.pop(0)
        else:
            raise UserError("this flag needs a value", got=word, hint=f"{word} …")
    return found, rest
