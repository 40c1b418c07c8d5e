"""The levels of the packages, and the imports that each may have, of fusionlab and of third parties.

Imports go down only. A package imports none of its own level, except those in `beside`. A package that imports only
level 0 is on level 1.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tree import PACKAGE

TORCH = ("numpy", "torch")


@dataclass(frozen=True)
class Package:
    """One package, or one module of the top level; `commands` stands for every command."""

    level: int
    name: str
    holds: str
    third: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


PACKAGES = (
    Package(7, "api", "the public surface: `fusionlab.load`, `fusionlab.Study`", ("pandas",)),
    Package(8, "commands", "one small file for each command", (*TORCH, "pandas")),
    Package(7, "cli", "flags, help, `--cfg job`, exit codes of all commands"),
    Package(7, "summaries", "summaries of an arm before it is trained: text, JSON, drawing", TORCH),
    Package(
        7,
        "benchmarks",
        "measurements of speed and memory, with their limits",
        ("av", "decord", "lz4", *TORCH),
    ),
    Package(6, "health", "the doctor: files, lists, copies, flow, brush's probes and page", TORCH),
    Package(6, "planning", "options → grid → arms → plan; checks; the loop of a sweep", TORCH, beside=("pricing",)),
    Package(6, "pricing", "prices of a plan: hours, memory, disk; from records, or calibrated", TORCH),
    Package(5, "sizes", "sizes of an arm: parameters, multiply-adds, memory; on the meta device", TORCH),
    Package(
        5,
        "jobs",
        "the work inside a job: data, stages, records, loggers",
        ("pytorch_lightning", "torch", "wandb"),
        beside=("sizes",),
    ),
    Package(
        4,
        "config",
        "options → one tree → typed configs; parts built from them",
        ("hydra", "omegaconf", "torch", "yaml"),
    ),
    Package(3, "training", "cohorts of arms, checkpoints, evaluation", (*TORCH, "pytorch_lightning")),
    Package(3, "preparation", "video files → packed store; disk space", ("numpy", "tqdm")),
    Package(2, "two_stream", "networks made of towers, fusions and heads", TORCH),
    Package(2, "data", "data sets, lists, sampling, crops, loaders; brush", (*TORCH, "pytorch_lightning", "tqdm")),
    Package(2, "monitor", "what is seen of a study: states, running jobs, workers, the time left"),
    Package(2, "testing", "the contract of a part: fusion, temporal head, tower", (*TORCH, "pytest", "yaml")),
    Package(
        1,
        "results",
        "records → statistics, tables, figures, page",
        ("jinja2", "matplotlib", "numpy", "pandas", "scipy"),
    ),
    Package(1, "study", "plan, ledger, attempts, workers, launchers"),
    Package(1, "temporal", "temporal heads", TORCH, beside=("backbones", "fusion")),
    Package(1, "fusion", "fusions", TORCH, beside=("backbones",)),
    Package(
        1,
        "backbones",
        "towers, their taps, their first weights",
        (*TORCH, "huggingface_hub", "safetensors", "timm", "torchvision"),
    ),
    Package(
        1,
        "video",
        "decoding, optical flow, the packed store",
        ("av", "cramjam", "cv2", "decord", "lz4", "numpy", "torch", "torchvision"),
    ),
    Package(0, "records", "records of arms; draws, signatures, atomic files", beside=("errors",)),
    Package(0, "errors", "errors for users, and text output"),
)
BY_NAME = {own.name: own for own in PACKAGES}
# Read by everybody, imports nothing: the version.
TOP = "fusionlab"
# Lists the commands, and is on their level.
LISTING = "__main__"


def package_of(file: Path) -> Package:
    """The package of a module's file; a file at the top that is no package of its own is a command."""
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if first in BY_NAME and first != "commands":
        return BY_NAME[first]
    if file.parent != PACKAGE:
        raise LookupError(f"{first}/ is on no level; give it a row in tests/house/levels.py")
    return BY_NAME["commands"]


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import, those inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                start = ".".join([*above, *filter(None, [node.module])])
            # `from fusionlab import errors` imports a module: the name counts, not the package alone.
            if start == TOP:
                yield from ((node.lineno, f"{TOP}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, start


def breaches(source: str, own: Package, package: str) -> list[str]:
    """What a source of this package imports and may not."""
    return [
        f"line {line}: {own.name} (level {own.level}) may not import {name}"
        for line, name in imported(source, package)
        if not allowed(name, own)
    ]


def allowed(name: str, own: Package) -> bool:
    top, _, rest = name.partition(".")
    if top != TOP:
        return top in sys.stdlib_module_names or top in own.third
    first = rest.partition(".")[0]
    if first in ("", "__version__", own.name):
        return True
    other = BY_NAME.get(first)
    if other is None:  # a command
        return False
    return other.level <= own.level - 1 or other.name in own.beside


def drawn() -> str:
    """The table as Markdown."""
    lines = [
        "| level | package | holds | imports | third parties |",
        "| --- | --- | --- | --- | --- |",
    ]
    for own in PACKAGES:
        below = "none" if own.level == 0 else "level 0" if own.level - 1 == 0 else f"levels 0–{own.level - 1}"
        below_and_beside = ", ".join([*([below] if below != "none" or not own.beside else []), *own.beside])
        lines.append(f"| {own.level} | {own.name} | {own.holds} | {below_and_beside} | {', '.join(own.third) or '—'} |")
    return "\n".join(lines)
