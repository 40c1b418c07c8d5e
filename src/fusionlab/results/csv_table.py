"""A table as CSV for programs: plain numbers, percentages with four decimals, full counts.

One line per row, one per unfinished arm with its reason and log, and one per refused row with its reason. The gains of
seeds are a list of JSON. A cell that a spreadsheet would take for a formula begins with a quote. Axes are written as
they are typed; the titles of parts are `method` and `temporal_title`.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from fusionlab.records.plan_file import THEN
from fusionlab.results import formatting
from fusionlab.results.cells import kinds_of
from fusionlab.results.chains import is_chosen
from fusionlab.results.crossed import Comparison
from fusionlab.results.doubling import moves
from fusionlab.results.load import REFUSED, TOGETHER, Entry
from fusionlab.results.protocol_warnings import row_title, seed_text
from fusionlab.results.rows import PAPER, Row
from fusionlab.results.selection import Trial, chosen_trial
from fusionlab.results.spec import CITED
from fusionlab.results.tables import Table

# What is written of a gain over the control (gain) and over late fusion (late), beside its mean.
_OF_GAIN = (
    "low", "high", "p", "p_holm", "networks_low", "networks_high", "networks_p", "per_seed", "groups", "why",
)  # fmt: skip


def csv_text(table: Table) -> str:
    paper = table.spec.paper
    figures = list(paper.figures) if paper else []
    rows = [*table.rows, *(line.row for line in table.lines if line.row.kind == PAPER)]
    first = [one for row in rows for entry in row.done for arm in entry.arms for one in arm.first]
    every = [*(row.axes for row in rows), *(one.place for one in first)]
    axes = [axis for axis in dict.fromkeys(axis for own in every for axis in own) if axis != THEN]
    questions = [TOGETHER, *kinds_of(table.rows)]
    lines: list[dict[str, Any]] = []
    for row in rows:
        name = {"method": row.method, "kind": row.kind, **row.axes, "temporal_title": row.titles.get("temporal", "")}
        paper_cells = {f"paper_{figure}": text for figure, text in (row.paper.figures if row.paper else {}).items()}
        if row.paper and row.paper.figures:
            paper_cells["paper_certainty"] = row.paper.certainty
        if row.kind == PAPER:
            lines.append({**name, "status": CITED if row.paper and row.paper.cited else "not run here", **paper_cells})
        if row.done:
            lines.append({**name, **_done(row, questions, table), **paper_cells})
        lines += [{**name, **_trial(trial)} for trial in row.tried if not trial.chosen]
        lines += [{**name, **_first(one, arm)} for entry in row.done for arm in entry.arms for one in arm.first]
        rate = {row.tried[0].axis} if row.tried else set()
        lines += [
            {**name, **{axis: entry.axes[axis] for axis in rate}, **_undone(entry), **paper_cells}
            for entry in row.undone
        ]
        for reason in dict.fromkeys(entry.reason for entry in row.refused):  # of all seeds
            lines.append({**name, "status": REFUSED, "reason": reason, **paper_cells})
    titled = ["temporal_title"] if any("temporal" in row.titles for row in table.rows) else []
    heads = ["method", "kind", *axes, *titled, "status", "seeds", "reason", "log", "videos"]
    for kind in questions:
        prefix = "accuracy" if kind == TOGETHER else kind
        heads += [
            prefix,
            *(f"{prefix}_{what}" for what in ("sd", "per_seed", "low", "high", "effective_videos", "ceiling")),
        ]
        heads += [
            f"{prefix}_{what}" for over in ("gain", "late") for what in (over, *(f"{over}_{one}" for one in _OF_GAIN))
        ]
    heads += ["control", "not_comparable", *(["saw_test"] if any(row.saw_test for row in rows) else [])]
    heads += [*([THEN] if first else []), *(["val_loss", "chosen"] if first or table.spec.select else []), "doubled"]
    heads += [
        "trials",
        "layers",
        "parameters",
        "trained_parameters",
        "multiply_adds",
        "hours",
        "device",
        *(f"paper_{figure}" for figure in figures),
    ]
    heads += ["paper_certainty"] if paper else []
    heads = list(dict.fromkeys(heads))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([formatting.safe(head) for head in heads])
    writer.writerows([formatting.safe(line.get(head, "")) for head in heads] for line in lines)
    return text.getvalue()


def _done(row: Row, questions: list[str], table: Table) -> dict[str, Any]:
    line: dict[str, Any] = {"status": "done", "seeds": " ".join(seed_text(seed) for seed in row.seeds)}
    line |= _cost(row)
    for kind in questions:
        prefix = "accuracy" if kind == TOGETHER else kind
        share = row.shares.get(kind)
        if share:
            numbers = {"": share.mean, "_sd": share.sd, "_low": share.low, "_high": share.high}
            line |= {prefix + what: formatting.exact(number) for what, number in numbers.items()}
            line[f"{prefix}_per_seed"] = formatting.exact_list(share.per_seed)
            line[f"{prefix}_effective_videos"] = "" if share.effective is None else f"{share.effective:.1f}"
            line[f"{prefix}_ceiling"] = "" if share.ceiling is None else str(share.ceiling)
        if share and kind == TOGETHER:
            line["videos"] = share.videos
        for over, gains in (("gain", row.gains), ("late", row.over_late)):
            if kind in gains:
                line |= {f"{prefix}_{what}": text for what, text in _gain(over, gains[kind]).items()}
        if kind == table.kind and id(row) in table.told:
            line[f"{prefix}_gain_p_holm"] = f"{table.told[id(row)]:.6g}"
    if row.control is not None:
        line["control"] = row_title(row.control, [axis for axis in ("layer", "temporal") if axis in row.control.axes])
    line["not_comparable"] = table.apart.get(id(row), "")
    line["saw_test"] = "yes" if row.saw_test else "no"
    line["doubled"] = " ".join(
        f"{seed_text(entry.seed)}:{formatting.exact(move)}" for entry, move, _ in moves(row, table.kind)
    )
    if chosen := chosen_trial(row.tried):
        line |= {"val_loss": _loss(chosen), "chosen": "yes"}
    for name in ("layers", "parameters", "trained_parameters"):
        number = row.number(name)
        line[name] = "" if number is None else number
    return line


def _cost(row: Row) -> dict[str, Any]:
    """What a row's arms cost: the values tried for it, the hours of its seeds together, and where they were spent."""
    around = [arm.record.get("circumstances", {}) for entry in row.done for arm in entry.arms]
    seconds = [one["seconds"] for one in around if one.get("seconds") is not None]
    return {
        "trials": len(row.tried) or 1,
        "hours": f"{sum(seconds) / 3600:.6g}" if len(seconds) == len(around) else "",
        "device": " ".join(dict.fromkeys(str(one["device"]) for one in around if one.get("device"))),
    }


def _undone(entry: Entry) -> dict[str, Any]:
    return {
        "status": entry.status,
        "seeds": seed_text(entry.seed),
        "reason": entry.reason,
        "log": entry.log or "",
    }


def _gain(over: str, gain: Comparison) -> dict[str, str]:
    """Both questions, the method's and these networks'; points with four decimals."""
    cells = {over: formatting.exact(gain.mean), f"{over}_per_seed": formatting.exact_list(gain.per_seed)}
    for name, estimate in (("", gain.method), ("_networks", gain.networks)):
        if estimate is not None:
            cells |= {
                f"{over}{name}_low": formatting.exact(estimate.low),
                f"{over}{name}_high": formatting.exact(estimate.high),
            }
            cells[f"{over}{name}_p"] = f"{estimate.p:.6g}"
    return cells | {f"{over}_groups": "" if gain.groups is None else str(gain.groups), f"{over}_why": gain.why or ""}


def _trial(trial: Trial) -> dict[str, Any]:
    """A value of the selected axis that was not chosen."""
    reasons = dict.fromkeys(entry.reason for entry in trial.entries if entry.reason)
    return {
        trial.axis: trial.value,
        "status": "not chosen",
        "seeds": " ".join(seed_text(entry.seed) for entry in trial.entries),
        "reason": "; ".join(reasons),
        "val_loss": _loss(trial),
        "chosen": "no",
    }


def _first(first: Entry, last: Entry) -> dict[str, Any]:
    """An arm of the chain that chose; its test is no figure of the row."""
    loss = first.result.get("val_loss")
    return {
        **first.place,
        "status": "of the chain that chose",
        "seeds": seed_text(first.seed),
        "reason": first.reason or "",
        "val_loss": "" if loss is None else f"{loss:.6g}",
        "chosen": "yes" if is_chosen(first, last) else "no",
    }


def _loss(trial: Trial) -> str:
    return "" if trial.loss is None else f"{trial.loss:.6g}"
