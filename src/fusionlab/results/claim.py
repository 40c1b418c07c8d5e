"""The claim that an experiment names before its run (`run.claim` in its yaml), and the verdict of its records on it.

run:
  claim: {row: {fusion: conv, layer: relu5}, against: control, kind: not_worse, margin: 1, question: all}
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fusionlab.errors import UserError, unknown
from fusionlab.records.signature import canonical
from fusionlab.results import formatting
from fusionlab.results.cells import gain_text
from fusionlab.results.crossed import Comparison, Estimate, seeds_needed, smallest_gap
from fusionlab.results.gains import compare_pairs
from fusionlab.results.load import TOGETHER, is_seed
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row
from fusionlab.results.spec import Spec

KINDS = ("better", "not_worse")
AGAINST = ("control", "late")
OTHERS = {"control": "its control", "late": "late fusion"}
Planned = tuple[str, Mapping[str, Any]]  # an arm of a plan: its kind and axes
EXAMPLE = "run.claim='{row:{fusion:conv,layer:relu5},against:control,kind:better,margin:1}'"


@dataclass(frozen=True)
class Claim:
    """`row` is `better` than `against` by more than `margin` points, or `not_worse` by as much, on a kind of question.

    `row`, and `against` where it is no word, are axes with one value each, as they are typed. `kind` is an axis too:
    {kind: control, layer: relu5}; without it a row is a fusion.
    """

    row: Mapping[str, Any]
    against: str | Mapping[str, Any]
    kind: str
    margin: float
    question: str = TOGETHER

    @classmethod
    def of(cls, tree: Any) -> Claim:
        names = [one.name for one in fields(cls)]
        if not isinstance(tree, Mapping):
            raise UserError("a claim names a row and what it is held against", got=f"run.claim={tree}", hint=EXAMPLE)
        for name in tree:
            if name not in names:
                raise UserError("unknown option of a claim", got=f"run.claim.{name}", allowed=names, hint=EXAMPLE)
        for name in names[:-1]:
            if name not in tree:
                raise UserError(f"a claim without {name}", got=f"run.claim={dict(tree)}", hint=EXAMPLE)
        return cls(**tree)

    def __post_init__(self) -> None:
        for name, row in (("row", self.row), ("against", self.against)):
            if name == "against" and row in AGAINST:
                continue
            values = list(row.values()) if isinstance(row, Mapping) else []
            if not values or any(isinstance(one, list | tuple | Mapping) for one in values):
                allowed = [*(AGAINST if name == "against" else ()), "axes with one value each"]
                raise UserError("no row of a claim", got=f"run.claim.{name}={row}", allowed=allowed, hint=EXAMPLE)
        if self.kind not in KINDS:
            raise UserError("no such kind of claim", got=f"run.claim.kind={self.kind}", allowed=KINDS, hint=EXAMPLE)
        margin: Any = self.margin  # as typed
        if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < 100:
            raise UserError("a claim's margin is a number of points", got=f"run.claim.margin={margin}", hint="1")
        if self.kind == "not_worse" and not margin:
            raise UserError(
                "not worse is a claim only by a margin: without one it is the claim to be better",
                got="run.claim.margin=0",
                hint="the largest loss, in points, that would not matter",
            )
        if not isinstance(self.question, str):
            raise UserError("no kind of question", got=f"run.claim.question={self.question}", hint="all")

    def expect_rows(
        self,
        arms: Iterable[Planned],
        *,
        kinds: Collection[str] | None = None,
        within: Collection[str] = (),
    ) -> None:
        """Raise a `UserError` if arms, given as (kind, axes), can never decide the claim.

        `kinds`: the kinds of question of the data, if they are known. `within`: axes, beside seeds, whose values are no
        rows of their own.
        """
        known: dict[str, Planned] = {}
        for kind, axes in arms:
            own = {axis: one for axis, one in axes.items() if not is_seed(axis) and axis not in within}
            known.setdefault(canonical([kind, own]), (kind, own))
        row = _only(self.row, known.values(), "row")
        kind, _ = row
        if isinstance(self.against, str):
            if kind != "fused" and (kind, self.against) != ("control", "late"):
                allowed = ["a fusion", *(["a control"] if self.against == "late" else [])]
                raise UserError(
                    f"this row is not held against {OTHERS[self.against]}", got=f"run.claim.row: kind={kind}",
                    allowed=allowed, hint="run.claim.against={kind:stream,streams:motion}, or another row",
                )  # fmt: skip
        elif _only(self.against, known.values(), "against") is row:
            raise UserError("a row is held against another one", got=f"run.claim.against: {_typed(self.against)}")
        if kinds is not None and self.question not in (TOGETHER, *kinds):
            raise unknown("kind of question", self.question, [TOGETHER, *kinds], form="run.claim.question={}")

    def verdict(self, estimate: Estimate) -> bool | None:
        """Whether it holds: the interval lies above the line, below it, or on both sides (None)."""
        line = self.margin / 100 if self.kind == "better" else -self.margin / 100
        return True if estimate.low > line else False if estimate.high <= line else None


def claim_sentence(rows: Sequence[Row], spec: Spec, tree: Mapping[str, Any]) -> str:
    """The claim and what these rows say of it, in plain sentences."""
    claim = Claim.of(tree)
    found = _find(rows, claim.row)
    if isinstance(found, str):
        return f"The claim that was named before the run cannot be decided: {found}."
    against = claim.against if isinstance(claim.against, str) else _find(rows, claim.against)
    if isinstance(against, str) and against not in AGAINST:
        return f"The claim that was named before the run cannot be decided: {against}."
    axes = title_axes(rows)
    other = row_title(against, axes) if isinstance(against, Row) else OTHERS[against]
    by = f" by more than {formatting.distance(claim.margin / 100)}" if claim.margin else ""
    than = "better than" if claim.kind == "better" else "not worse than"
    on = "" if claim.question == TOGETHER else f" on {claim.question}"
    said = f"Claim, named before the run: {row_title(found, axes)} is {than} {other}{by}{on}."
    comparison, why = _compared(found, against, claim.question)
    if comparison is None:
        return f"{said} It cannot be decided: {why}."
    gain = gain_text(comparison, comparison.method, spec.decimals)
    if comparison.method is None:
        return f"{said} It cannot be decided: {gain} points; {comparison.why}."
    verdict = {True: "It holds", False: "It does not hold", None: "It cannot be decided"}[
        claim.verdict(comparison.method)
    ]
    return f"{said} {verdict}: {gain} points; {_power(comparison, comparison.method, claim, spec)}."


def _power(comparison: Comparison, method: Estimate, claim: Claim, spec: Spec) -> str:
    gap = formatting.percent(smallest_gap(method), spec.decimals)
    text = f"these seeds and videos find a gap of {gap} points or more"
    if claim.verdict(method) is not None or not claim.margin:
        return text
    seeds = seeds_needed(comparison, claim.margin / 100)
    wanted = f"a gap of {formatting.distance(claim.margin / 100)}"
    return f"{text}; " + (
        f"{wanted} needs {seeds} seeds" if seeds else f"no number of seeds on these videos finds {wanted}"
    )


def _find(rows: Sequence[Row], wanted: Mapping[str, Any]) -> Row | str:
    """The one row with these axes, or why there is none."""
    found = [row for row in rows if _is(wanted, row.kind, row.axes)]
    if len(found) == 1:
        return found[0]
    return f"{len(found) or 'no'} rows of this table have {_typed(wanted)}"


def _compared(row: Row, against: Row | str, on: str) -> tuple[Comparison | None, str]:
    """The comparison, or None and the reason."""
    known: Mapping[str, Comparison]
    if isinstance(against, Row):
        partners = {entry.seed: entry for entry in against.done}
        pairs = [(entry, partners[entry.seed]) for entry in row.done if entry.seed in partners]
        known, why = compare_pairs(pairs) if pairs else ({}, "the two rows share no seed that is done")
    else:
        known, why = (row.gains, row.no_gain) if against == "control" else (row.over_late, row.no_late)
    if known:
        return known.get(on), f"there are no questions of kind {on}, only of {', '.join(known)}"
    if not row.done:
        return None, "no arm of the row is done"
    return None, why or f"{row.method} is not held against {OTHERS.get(str(against), 'it')}"


def _only(wanted: Mapping[str, Any], rows: Iterable[Planned], name: str) -> Planned:
    """The one row of a plan with these axes."""
    every = list(rows)
    found = [one for one in every if _is(wanted, one[0], one[1])]
    if len(found) == 1:
        return found[0]
    alike = found or [one for one in every if one[0] == wanted.get("kind", "fused")]
    listed = [_typed(axes) for _, axes in alike] or [f"kind={kind}" for kind in dict.fromkeys(one[0] for one in every)]
    several = f"a claim names one row, and {len(found)} have these axes"
    raise UserError(
        several if found else "a claim about a row that is not in this grid",
        got=f"run.claim.{name}: {_typed(wanted)}",
        allowed=listed[:12],
    )


def _is(wanted: Mapping[str, Any], kind: str, axes: Mapping[str, Any]) -> bool:
    """Whether these axes are those of the row; other axes may have any value."""
    own = {**axes, "kind": kind}
    return all(str(own.get(axis)) == str(one) for axis, one in {"kind": "fused", **wanted}.items())


def _typed(wanted: Mapping[str, Any]) -> str:
    return " ".join(f"{axis}={formatting.as_typed(one)}" for axis, one in wanted.items())
