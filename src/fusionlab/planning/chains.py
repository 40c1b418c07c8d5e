"""The two chains of `val.then=retrain`: A chooses on a part of the training list, B is trained anew on all of it.

Each stream and each arm is there twice. Those of B stand on B's streams, never on A's, and name by signature what they
repeat (`chosen_by`: rate -> signature of an arm of A): the rate, the steps at which it drops, the step at which the
training stops. These numbers are results, and lie in B's records. Where a table selects the rate, A has an arm for each
rate and B has one: each seed chooses for itself, so that an arm is the same alone, and in a study of more seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fusionlab.config.value_types import as_typed
from fusionlab.planning.divide_jobs import PlannedArm
from fusionlab.records.plan_file import KEEP, RETRAIN, THEN
from fusionlab.records.signature import Signer, value
from fusionlab.study.recipes import ARM, STREAMS, trains_towers

RATE = "optim.fusion.lr"  # over which a table may select


def shared_by_cohort(recipe: Mapping[str, Any], selects: bool) -> dict[str, Any]:
    """What the arms that are trained in one pass over the data have in common.

    `selects`: the table selects the rate, so that each arm has its own. An arm that trains its towers is alone.
    """
    alone = trains_towers(recipe)
    shared = {part: one for part, one in recipe.items() if alone or part not in (*ARM, "chosen_by")}
    return _without_rate(shared) if selects and not alone else shared


def two_chains(arms: Sequence[PlannedArm], selects: bool) -> list[PlannedArm]:
    """The arms of both chains, A's first; arms that ask for one chain stay as they are."""
    asked = [one for one in arms if value(one.recipe, THEN) == RETRAIN]
    if not asked:
        return list(arms)
    others, chains = [one for one in arms if value(one.recipe, THEN) != RETRAIN], _Chains(selects)
    first = chains.first(asked)
    return [*others, *first, *chains.second(first)]


class _Chains:
    def __init__(self, selects: bool) -> None:
        self.selects, self._signer = selects, Signer()
        self._vals: dict[str, dict[str, str]] = {then: {"list": "cut", "then": then} for then in (KEEP, RETRAIN)}
        self._optims: dict[int, tuple[Any, dict[str, Any]]] = {}

    def first(self, asked: Sequence[PlannedArm]) -> list[PlannedArm]:
        """Chain A: the usual study, on the list without its validation part."""
        now: dict[str, PlannedArm] = {}
        for one in asked:
            now[one.signature] = self._moved(one, KEEP, now, {})
        return list(now.values())

    def second(self, first: Sequence[PlannedArm]) -> list[PlannedArm]:
        """Chain B, whose arms are chosen from those of A that differ in their rate only."""
        alike: dict[str, dict[float, str]] = {}
        for one in first:
            if (rate := self._rate(one)) is not None:
                alike.setdefault(self._shared(one), {})[rate] = one.signature
        now: dict[str, PlannedArm] = {}
        made: dict[str, PlannedArm] = {}
        for one in first:
            rates = alike.get(self._shared(one), {})
            moved = self._moved(one, RETRAIN, now, {as_typed(rate): rates[rate] for rate in sorted(rates)})
            now[one.signature] = made.setdefault(moved.signature, moved)
        return list(made.values())

    def _moved(
        self, one: PlannedArm, then: str, now: Mapping[str, PlannedArm], chosen_by: Mapping[str, str]
    ) -> PlannedArm:
        """The arm in its chain. `now`: the arms that are there already, by the signature that they had."""
        recipe = {**one.recipe, "val": self._vals[then], **({"chosen_by": dict(chosen_by)} if chosen_by else {})}
        axes = {**one.point.axes, THEN: then}
        if self._selects(one) and then == RETRAIN:
            recipe["optim"] = self._unrated(recipe["optim"])
            axes.pop(RATE, None)
        point = replace(one.point, tree={**one.point.tree, "val": self._vals[then]}, axes=axes)
        if one.kind in STREAMS:
            source = one.source and now[one.source].signature
            if source:
                recipe["stage_one"] = {one.kind: source}
            signature = self._signer.signature(recipe)
            below = {one.kind: signature}
            return replace(one, point=point, recipe=recipe, signature=signature, streams=below, source=source)
        recipe["stage_one"] = streams = {stream: now[below].signature for stream, below in one.streams.items()}
        return replace(
            one, point=point, recipe=recipe, signature=self._signer.signature(recipe), streams=streams,
            cohort=self._signer.signature(shared_by_cohort(recipe, self.selects)),
            control=one.control and now[one.control].signature,
        )  # fmt: skip

    def _rate(self, one: PlannedArm) -> float | None:
        """The rate of an arm that is trained; late fusion is not."""
        optim = one.recipe["optim"]
        return None if one.kind == "late" else float((optim if one.kind in STREAMS else optim["fusion"])["lr"])

    def _selects(self, one: PlannedArm) -> bool:
        return self.selects and one.kind not in (*STREAMS, "late")

    def _shared(self, one: PlannedArm) -> str:
        """The signature of what an arm shares with those from which one is chosen."""
        if not self._selects(one):
            return one.signature
        return self._signer.signature({**one.recipe, "optim": self._unrated(one.recipe["optim"])})

    def _unrated(self, optim: dict[str, Any]) -> dict[str, Any]:
        """The same with the rate open; made once for the configs that share it, so that it is signed once."""
        if id(optim) not in self._optims:
            self._optims[id(optim)] = optim, {**optim, "fusion": {**optim["fusion"], "lr": None}}
        return self._optims[id(optim)][1]


def _without_rate(recipe: Mapping[str, Any]) -> dict[str, Any]:
    rest = {leaf: one for leaf, one in recipe["optim"]["fusion"].items() if leaf != "lr"}
    return {**recipe, "optim": {**recipe["optim"], "fusion": rest}}
