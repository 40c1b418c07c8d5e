"""Which trial of a row is shown: the value of one axis, such as a learning rate, with the lowest validation loss.

Test labels play no part in it: the predictions of the other trials are not opened.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from fusionlab.results.load import REFUSED, Entry
from fusionlab.results.spec import natural

BUDGET = "optim.fusion.budget"  # the axis of arms that were trained once more, with a multiple of the budget


@dataclass(frozen=True)
class Trial:
    """The arms of a row with one value of the axis.

    `loss`: the mean validation loss over seeds; infinite where one diverged, None where one has not ended.
    """

    axis: str
    value: Any
    entries: tuple[Entry, ...]
    loss: float | None
    chosen: bool = False


def make_trials(entries: Sequence[Entry], axis: str) -> tuple[Trial, ...]:
    """The trials of a row by their value; the one with the lowest loss is chosen, of equal ones the smaller value."""
    by_value: dict[Any, list[Entry]] = {}
    for entry in sorted(entries, key=lambda one: natural(one.axes[axis])):
        by_value.setdefault(entry.axes[axis], []).append(entry)
    seeds = {entry.seed for entry in entries}
    trials = [Trial(axis, value, tuple(own), _loss(own, len(seeds))) for value, own in by_value.items()]
    known = [(trial.loss, at) for at, trial in enumerate(trials) if trial.loss is not None]
    best = trials[min(known)[1]] if known else None
    return tuple(replace(one, chosen=one is best) for one in trials)


def has_ended(entry: Entry) -> bool:
    """Whether an arm is done or diverged: started again, one that failed otherwise may still be done."""
    return entry.status == "done" or any((arm.reason or "").startswith("diverged") for arm in entry.arms)


def _loss(entries: Sequence[Entry], seeds: int) -> float | None:
    ended = {entry.seed: entry for entry in entries if has_ended(entry)}
    if len(ended) < seeds or any(entry.status == REFUSED for entry in entries):
        return None
    losses = [entry.result.get("val_loss") for entry in ended.values()]  # null: it diverged
    return fmean([math.inf if loss is None else loss for loss in losses])


def chosen_trial(trials: Sequence[Trial]) -> Trial | None:
    return next((trial for trial in trials if trial.chosen), None)


def unfinished(trials: Sequence[Trial]) -> str | None:
    """A remark about a choice among fewer values than were to be tried."""
    ended = [trial for trial in trials if trial.loss is not None]
    if chosen_trial(trials) is None or len(ended) == len(trials):
        return None
    return f"its {trials[0].axis} is chosen among {len(ended)} of {len(trials)} trials; the others have not ended"


def edge(trials: Sequence[Trial]) -> str | None:
    """A remark about a choice that lies at the edge of the values that were tried."""
    chosen = chosen_trial(trials)
    if chosen is None or len(trials) < 2 or not (chosen is trials[0] or chosen is trials[-1]):
        return None
    tried = ", ".join(str(trial.value) for trial in trials)
    return f"its {chosen.axis}={chosen.value} lies at the edge of those tried ({tried}): a better one may lie beyond"
