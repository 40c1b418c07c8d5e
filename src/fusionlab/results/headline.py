"""The sentence above a table: the claim that was named before the run, or the range of the gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionlab.records.signature import canonical
from fusionlab.results.cells import gain_text
from fusionlab.results.claim import claim_sentence
from fusionlab.results.crossed import Comparison
from fusionlab.results.formatting import points
from fusionlab.results.load import TOGETHER, Entry
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row
from fusionlab.results.spec import Spec

NOT_FUSED = ("joint",)  # arms that train the average of scores: no fusion, and no control
Claim = Mapping[str, Any]


def claim_of(entries: Sequence[Entry]) -> tuple[Claim | None, list[str]]:
    """The claim that the records name; and a note if they name several, of which none then counts.

    A stream is shared: the study that trained it may have had another claim.
    """
    claims: dict[str, Claim] = {}
    for entry in (one for one in entries if one.kind != "stream"):
        if claim := (entry.record.get("circumstances", {}).get("run") or {}).get("claim"):
            claims.setdefault(canonical(claim), claim)
    if len(claims) > 1:
        return None, [f"These records name {len(claims)} claims, so they are of several plans, and none is judged."]
    return next(iter(claims.values()), None), []


def headline(rows: Sequence[Row], spec: Spec, kind: str, claim: Claim | None) -> str:
    """The claim's sentence, or the range of the gains over the control, or why there is none."""
    if claim is not None:
        return claim_sentence(rows, spec, claim)
    over, gained = gains_of(rows, kind)
    if not gained:
        return _nothing(rows, spec)
    axes = title_axes(rows)
    on = "" if kind == TOGETHER else f" on {kind}"
    ranked = sorted(gained, key=lambda one: one[1].mean)
    if len(ranked) == 1:
        row, gain = ranked[0]
        text = f"Gain over {over}{on}: {row_title(row, axes)} {gain_text(gain, gain.method, spec.decimals)} points"
    else:
        ends = [
            f"{points(gain.mean, spec.decimals)} ({row_title(row, axes)})" for row, gain in ranked[:: len(ranked) - 1]
        ]
        text = f"Gains over {over}{on}: from {ends[0]} to {ends[1]} points"
    return text + ("." if over == "the control" else ", which contain what further training alone gains.")


def gains_of(rows: Sequence[Row], kind: str) -> tuple[str, list[tuple[Row, Comparison]]]:
    """What the fusions are held against, and their gains: over the control, or, where no row has one, over late."""
    fused = [row for row in rows if row.kind == "fused" and row.axes.get("fusion") not in NOT_FUSED]
    over_control = [(row, row.gains[kind]) for row in fused if kind in row.gains]
    if over_control or any(row.control for row in fused):
        return "the control", over_control
    return "late fusion", [(row, row.over_late[kind]) for row in fused if kind in row.over_late]


def _nothing(rows: Sequence[Row], spec: Spec) -> str:
    wanted = ", ".join(f"{axis}={_either(value)}" for axis, value in spec.where.items())
    if not any(row.kind == "fused" for row in rows):
        return "No fusion in this table" + (f" (it is limited to {wanted})" if wanted else "") + ": only baselines."
    if all(row.refused and not (row.done or row.undone) for row in rows if row.kind == "fused"):
        return "Every fusion in this table is refused; see the notes."
    if not any(row.kind == "fused" and row.done for row in rows):
        return "No fusion is done yet."
    return "No fusion could be compared with its control or with late fusion; see the notes."


def _either(value: object) -> str:
    return " or ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
