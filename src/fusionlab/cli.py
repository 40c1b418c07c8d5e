"""What all commands share: flags, help, exit codes, and errors as they are shown.

Exit codes: 0 everything that was asked for is done; 1 something failed, and the output says what; 2 the command line or
the disk is wrong; 130 Ctrl-C.

A command's FLAGS are a table, `--name VALUE` -> help. `main` gets each typed flag as a keyword argument: a text, a
whole number if VALUE is called N, True if there is no VALUE. A flag without a help text is not shown.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError, show

Main = Callable[..., int]
Flags = Mapping[str, str]
# The flags of a command that takes options of the config.
OPTIONS = {
    "--cfg job": "print the config of the first arm as YAML, then the axes of the grid; nothing is started",
    "-m, --multirun": "accepted, as hydra's flag for a sweep; options with several values are a sweep without it too",
}
# Shown with their defaults by --help; `--cfg job` shows all.
SHOWN_OPTIONS = (
    "streams", "layer", "into", "keep_motion", "backprop", "split", "seed", "weights", "multitask", "val.then",
    "test", "combine", "ablate", "data.sampling.snippets",
    "data.sampling.fields", "data.sampling.crop", "optim.streams.epochs", "optim.streams.steps",
    "optim.streams.lr", "optim.streams.micro_batch", "optim.fusion.epochs",
    "optim.fusion.lr", "optim.fusion.batch_size", "trainer.threads", "run.folder", "run.data", "run.weights",
    "run.device", "run.workers", "run.per_device", "run.loaders", "run.retries", "run.checkpoint_every", "run.keep",
    "select", "over",
)  # fmt: skip
WIDTH = 120
NOT_COMMANDS = frozenset({"__init__", "__main__", "api", "cli", "errors"})


def run(main: Main, text: str, flags: Flags | None = None, *, argv: Sequence[str] | None = None) -> None:
    """Call a command's `main` with its flags and words, and exit. `text` is the command's docstring."""
    flags, words = flags or {}, list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot write a character gets its number
            stream.reconfigure(errors="backslashreplace")
    try:
        if any(word in ("-h", "--help") for word in words):
            show(help_text(text, flags))
            status = 0
        else:
            given, words = parse_flags(words, flags)
            given.pop("multirun", None)
            cfg = given.pop("cfg", None)
            status = main(words, **given) if cfg is None else _show_config(cfg, words)
        sys.stdout.flush()
    except UserError as error:
        show(error, file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        show("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:  # `… | head` has closed the output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    sys.exit(status)


def parse_flags(words: Sequence[str], flags: Flags) -> tuple[dict[str, Any], list[str]]:
    """The flags that were typed, by name, and the other words."""
    try:
        given, rest = _parser(flags).parse_known_args(list(words))
    except argparse.ArgumentError as error:
        flag = str(error.argument_name).rpartition("/")[2]
        value = next(value for names, value in map(_split, flags) if flag in names)
        what = f"{flag} needs a value" if value else f"{flag} takes no value"
        raise UserError(what, got=" ".join(words), hint=f"{flag} {value}".strip()) from None
    for word in rest:
        if word.startswith("-"):
            raise UserError("unknown flag", got=word, allowed=flag_names(flags), hint=_hydra_flag(word, flags))
    return vars(given), rest


def help_text(text: str, flags: Flags) -> str:
    """The text of `--help`: the docstring and the flags; groups and options if the command has options."""
    parts = [_parser({**flags, "-h, --help": "show this text"}, text.strip()).format_help().strip()]
    return "\n\n".join([*parts, groups_text(), options_text()] if takes_options(flags) else parts)


def groups_text() -> str:
    """The config groups and their choices."""
    from fusionlab.config.catalogue import folder_of, groups

    own = {group: names for group, names in groups().items() if folder_of(group) == group}
    return "\n".join(
        [
            "groups (choose with group=name):",
            *(f"  {group:<11} {', '.join(names)}" for group, names in own.items()),
            "backbone= sets the towers of both streams; appearance= and motion= set one.",
        ]
    )


def options_text() -> str:
    """The most useful options below the groups, with their defaults and the comments of the yamls."""
    from fusionlab.config.options import read_options

    options = read_options()
    lines = [f"  {f'{name}={options[name].default}':<33} {options[name].comment}" for name in SHOWN_OPTIONS]
    return "\n".join(
        [
            "options, with their defaults (set with name=value; name=a,b makes an axis):",
            *(
                line if len(line) <= WIDTH else line[: WIDTH - 2].rpartition(" ")[0] + " …"
                for line in map(str.rstrip, lines)
            ),
            "Points are left out of a grid by 'exclude=[{fusion:sum,layer:fc8}]'. Axes advance together by",
            "'zip=[[fusion,layer]]', and 'grids=[{…},{…}]' has several parts. `--cfg job` shows all options.",
        ]
    )


def flag_names(flags: Flags) -> list[str]:
    """The long names of the flags that `--help` shows."""
    return [*(_split(usage)[0][-1] for usage, help_of_flag in flags.items() if help_of_flag), "--help"]


def takes_options(flags: Flags) -> bool:
    """Whether a command with these flags takes options of the config."""
    return OPTIONS.items() <= flags.items()


def _show_config(cfg: str, words: list[str]) -> int:
    """`--cfg job`, as hydra's users type it."""
    from fusionlab.config.compose import to_yaml
    from fusionlab.planning.grid import plan_study

    if cfg != "job":
        raise UserError(
            "--cfg shows one config, that of the job", got=f"--cfg {cfg}", allowed=["job"], hint="--cfg job"
        )
    study = plan_study(words)
    show(to_yaml(study.config))
    if study.axes:
        show("---\n# The axes of the grid; the config above is of its first arm.\n" + to_yaml(study.axes))
    return 0


def _hydra_flag(word: str, flags: Flags) -> str | None:
    """What hydra's flag is here."""
    from fusionlab.config.hydra_habits import FLAGS

    return FLAGS.get(word.partition("=")[0]) if takes_options(flags) else None


def commands(folder: Path | None = None) -> dict[str, str]:
    """Command -> the first line of its docstring. The files are read, not imported, so that this is fast."""
    return {file.stem: _first_line(file) for file in command_files(folder)}


def command_files(folder: Path | None = None) -> list[Path]:
    """The files of the commands, sorted by name."""
    files = sorted((folder or Path(__file__).parent).glob("*.py"))
    return [file for file in files if file.stem not in NOT_COMMANDS]


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _parser(flags: Flags, text: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        usage=argparse.SUPPRESS, description=text, add_help=False, allow_abbrev=False, exit_on_error=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=WIDTH, max_help_position=24),
    )  # fmt: skip
    group = parser.add_argument_group("flags")
    for usage, help_of_flag in flags.items():
        names, value = _split(usage)
        how: dict[str, Any] = {"help": help_of_flag.replace("%", "%%") or argparse.SUPPRESS}
        if value:
            how |= {"metavar": value, "type": partial(_whole_number, names[-1]) if value == "N" else str}
        else:
            how["action"] = "store_true"
        group.add_argument(*names, **how)
    return parser


def _split(usage: str) -> tuple[list[str], str]:
    """`-c, --cfg VALUE` -> the names of the flag, and of its value."""
    words = usage.replace(",", "").split()
    names = [word for word in words if word.startswith("-")]
    return names, " ".join(words[len(names) :])


def _whole_number(flag: str, text: str) -> int:
    if not text.isdecimal():
        raise UserError(f"{flag} takes a whole number", got=f"{flag} {text}", hint=f"{flag} 1")
    return int(text)
