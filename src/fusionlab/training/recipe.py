"""How one arm is trained: the numbers of one block of conf/optim/*.yaml, checked once and then read-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fusionlab.errors import UserError, unknown
from fusionlab.training.optimiser import OWN_NUMBERS
from fusionlab.training.schedule import Constant, Schedule, schedule

SHARED = ("name", "lr", "weight_decay", "batch_size", "epochs", "patience", "clip", "schedule")


@dataclass(frozen=True)
class Recipe:
    """`patience`: validations without a new lowest loss before the arm stops, 0 = never. `clip`: the largest
    norm of the arm's own gradient, 0 = no limit. `own`: the optimiser's further numbers (adam: betas; sgd:
    momentum)."""

    name: str
    lr: float
    epochs: int
    weight_decay: float = 0.0
    patience: int = 0
    clip: float = 0.0
    schedule: Schedule = field(default_factory=Constant)
    own: Mapping[str, Any] = field(default_factory=dict)


def recipe(block: Mapping[str, Any]) -> Recipe:
    """One block (`streams:` or `fusion:`) of an optim yaml -> Recipe. `batch_size` is the data's and only let
    through."""
    numbers = dict(block)
    name = str(numbers.get("name"))
    if name not in OWN_NUMBERS:
        raise unknown("optimiser", name, OWN_NUMBERS, form="optim={}")
    allowed = (*SHARED, *OWN_NUMBERS[name])
    for leaf in numbers:
        if leaf not in allowed:
            raise unknown(f"number of the optimiser {name}", leaf, allowed, form="optim.….{}")
    for leaf in ("lr", "epochs", *OWN_NUMBERS[name]):
        if leaf not in numbers:
            raise UserError(f"the optimiser {name} lacks {leaf}", got=sorted(numbers), allowed=allowed)
    made = Recipe(
        name=name,
        lr=float(numbers["lr"]),
        epochs=int(numbers["epochs"]),
        weight_decay=float(numbers.get("weight_decay", 0.0)),
        patience=int(numbers.get("patience", 0)),
        clip=float(numbers.get("clip", 0.0)),
        schedule=schedule(numbers.get("schedule", {"name": "constant"})),
        own={leaf: numbers[leaf] for leaf in OWN_NUMBERS[name]},
    )
    if made.lr <= 0 or made.epochs < 1 or min(made.weight_decay, made.patience, made.clip) < 0:
        raise UserError(
            "an arm cannot be trained with these numbers",
            got={
                "lr": made.lr,
                "epochs": made.epochs,
                "weight_decay": made.weight_decay,
                "patience": made.patience,
                "clip": made.clip,
            },
            hint="lr > 0, epochs ≥ 1, the others ≥ 0",
        )
    for leaf, numbers_of in made.own.items():  # betas, momentum: how much of the past is kept
        several = numbers_of if isinstance(numbers_of, list | tuple) else [numbers_of]
        if not all(isinstance(one, int | float) and 0 <= one < 1 for one in several):
            raise UserError(f"{leaf} lies between 0 and 1", got=f"{leaf}={numbers_of}", hint="0 ≤ … < 1")
    return made
