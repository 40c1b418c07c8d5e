"""The floors of the house: who stands where, what each may import of the house and of third parties.

Imports go down only. On one floor nobody sees a neighbour, but where `beside` says so.
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
class Room:
    """One package, or one module of the top level; `verbs` stands for every verb."""

    floor: int
    name: str
    holds: str
    third: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    reach: int | None = None  # the highest floor below that it may import, where that is not simply all of them

    @property
    def lower(self) -> int:
        return self.floor - 1 if self.reach is None else self.reach


ROOMS = (
    Room(
        6,
        "verbs",
        "one small file each: what a person types",
        (*TORCH, "hydra", "omegaconf", "pandas", "pytorch_lightning", "tqdm"),
        beside=("door",),
    ),
    Room(
        6,
        "door",
        "Hydra: compose, help, parts from their config, errors as they are shown",
        (*TORCH, "decord", "hydra", "omegaconf", "pytorch_lightning", "wandb", "yaml"),
    ),
    Room(5, "study", "grid → plan → jobs; the ledger, workers, launchers", ("tqdm",), reach=0),
    Room(4, "training", "cohorts of arms, checkpoints, evaluation", (*TORCH, "pytorch_lightning")),
    Room(3, "results", "records → statistics, tables, page", ("numpy", "pandas"), reach=0),
    Room(3, "testing", "the contract of a part: fusion, temporal head, tower", (*TORCH, "pytest", "yaml")),
    Room(2, "two_stream", "networks made of towers, fusions and heads", TORCH),
    Room(2, "data", "data sets, splits, sampling, crops, the data module", (*TORCH, "pytorch_lightning", "tqdm")),
    Room(1, "temporal", "temporal heads", TORCH, beside=("backbones", "fusion")),
    Room(1, "fusion", "fusions", TORCH, beside=("backbones",)),
    Room(1, "backbones", "towers, their taps, their first weights", (*TORCH, "safetensors", "torchvision")),
    Room(
        1,
        "video",
        "decoding, optical flow, the packed store",
        ("av", "cramjam", "cv2", "decord", "lz4", "numpy", "torch", "torchvision"),
    ),
    Room(0, "records", "what an arm leaves behind; draws, signatures, atomic files", beside=("errors",)),
    Room(0, "errors", "errors that teach"),
)
BY_NAME = {room.name: room for room in ROOMS}
# Read by everybody, imports nothing: the version.
TOP = "fusionlab"
# Lists the verbs; belongs to their floor.
OF_VERBS = "__main__"


def room_of(file: Path) -> Room:
    """The room of a module's file; a file at the top that is no room of its own is a verb."""
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if first in BY_NAME and first != "verbs":
        return BY_NAME[first]
    if file.parent != PACKAGE:
        raise LookupError(f"{first}/ stands on no floor; give it a row in tests/house/floors.py")
    return BY_NAME["verbs"]


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


def breaches(source: str, room: Room, package: str) -> list[str]:
    """What a source of this room imports and may not."""
    return [
        f"line {line}: {room.name} (floor {room.floor}) may not import {name}"
        for line, name in imported(source, package)
        if not allowed(name, room)
    ]


def allowed(name: str, room: Room) -> bool:
    top, _, rest = name.partition(".")
    if top != TOP:
        return top in sys.stdlib_module_names or top in room.third
    first = rest.partition(".")[0]
    if first in ("", "__version__", room.name):
        return True
    other = BY_NAME.get(first)
    if other is None:  # a verb
        return False
    return other.floor <= room.lower or other.name in room.beside


def drawn() -> str:
    """The table as Markdown."""
    lines = [
        "| floor | room | holds | imports of the house | third parties |",
        "| --- | --- | --- | --- | --- |",
    ]
    for room in ROOMS:
        below = "none" if room.floor == 0 else "floor 0" if room.lower == 0 else f"floors 0–{room.lower}"
        house = ", ".join([*([below] if below != "none" or not room.beside else []), *room.beside])
        lines.append(f"| {room.floor} | {room.name} | {room.holds} | {house} | {', '.join(room.third) or '—'} |")
    return "\n".join(lines)
