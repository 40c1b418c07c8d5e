"""Warnings about rows that were made differently and so cannot be compared, and remarks about single rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.signature import canonical, differing, identity
from fusionlab.results.ceilings import lies_above
from fusionlab.results.formatting import ceiling, percent, short_list
from fusionlab.results.gains import NO_PREDICTIONS
from fusionlab.results.load import ONE_HEAD, TOGETHER, Entry, follows_seed, is_seed
from fusionlab.results.protocol_rules import differences
from fusionlab.results.rows import NO_CONTROL, RECIPE, Row, shown_axes, varies
from fusionlab.results.selection import edge, unfinished
from fusionlab.results.spec import Spec

Warned = list[tuple[str, list[Row]]]
_OF_SEED = ("seed", "stage_one", "chosen_by")  # parts of a config that follow the seed altogether
LATE_IS_CONTROL = "its control is late fusion: above such a meeting there is nothing to train on"
OTHER_CLASSIFIER = "its classifier is a linear SVM, that of its control a softmax"
ONE_SCORE = "it has one head, so no combination changes its scores"
NOT_CONVERGED = "not converged: it reached the cap of its budget"


def row_title(row: Row, axes: Sequence[str]) -> str:
    """A row's name in a sentence, with the axes that distinguish it: Conv relu5 pool2d."""
    words = [row.method]
    last = [axis.rpartition(".")[2] for axis in axes]
    for axis, word in zip(axes, last, strict=True):
        if text := row.text(axis):  # a bare number or true says nothing
            name = word if last.count(word) == 1 else axis
            words.append(f"{name}={text}" if isinstance(row.axes.get(axis), bool | int | float) else text)
    return " ".join(words)


def title_axes(rows: Sequence[Row]) -> list[str]:
    """The axes that titles need: those with a column that vary among the fusions, without a selected one."""
    fused = [row for row in rows if row.kind == "fused"]
    selected = {row.tried[0].axis for row in fused if row.tried}
    return [axis for axis in shown_axes(rows, Spec("")) if axis not in selected and varies(axis, fused)]


def seed_text(seed: Sequence[Any]) -> str:
    return "/".join(str(value) for value in seed) or "without a seed"


def protocol_warnings(rows: Sequence[Row]) -> Warned:
    """(warning, its rows), the most important first; a warning about the whole table has no rows."""
    done = [row for row in rows if row.done]
    return [
        *_above_ceiling(done),
        *_other_split(done),
        *_seeds(done),
        *((text, []) for text in differences(done, partial(row_title, axes=title_axes(done)))),
        *_each(done, NOT_CONVERGED, _not_converged),
        *_surplus(done),
        *_recipes(done),
        *_predictions(done),
        *_no_groups(done),
        *_no_gain(done),
        *_each(done, LATE_IS_CONTROL, lambda row: row.kind == "fused" and row.control and row.control.kind == "late"),
        *_each(done, OTHER_CLASSIFIER, _other_classifier),
        *_each(done, ONE_SCORE, lambda row: any(entry.result.get(ONE_HEAD) for entry in row.done)),
        *((remark, [row]) for row in rows for about in (unfinished, edge) if (remark := about(row.tried))),
    ]


def _each(rows: Sequence[Row], text: str, holds: Any) -> Warned:
    found = [row for row in rows if holds(row)]
    return [(text, found)] if found else []


def _not_converged(row: Row) -> bool:
    return any(entry.result.get("converged") is False for entry in row.done)


def _other_classifier(row: Row) -> bool:
    if row.kind != "fused" or row.control is None:
        return False
    part = row.done[0].record.get("config", {}).get("fusion")
    return isinstance(part, dict) and part.get("classifier") == "svm"


def _above_ceiling(rows: Sequence[Row]) -> Warned:
    """Rows whose interval lies above what such a system can reach: over other videos, and over other seeds."""
    warnings = []
    for row in rows:
        for kind, share in row.shares.items():
            limit = share.ceiling
            if kind != TOGETHER and limit is not None and limit < 1 and lies_above(row, kind, limit):
                text = (
                    f"above its ceiling by more than chance: {percent(share.mean)} on {kind}, where at most "
                    f"{ceiling(limit)} is possible; the data leak information"
                )
                warnings.append((text, [row]))
    return warnings


def _other_split(rows: Sequence[Row]) -> Warned:
    """Rows whose config allows weights from another split."""
    allowed = [
        row
        for row in rows
        if any((entry.record["config"].get("weights") or {}).get("other_split") == "allow" for entry in row.done)
    ]
    text = (
        "weights.other_split=allow: initial weights may come from another split, whose training list shares groups "
        "with this test list, so accuracy may be too high"
    )
    return [(text, allowed)] if allowed else []


def _seeds(rows: Sequence[Row]) -> Warned:
    """Rows with other seeds than most rows."""
    counts: dict[tuple[Any, ...], int] = {}
    for row in rows:
        counts[row.seeds] = counts.get(row.seeds, 0) + 1
    if len(counts) < 2:
        return []
    usual = max(counts, key=lambda one: (counts[one], len(one)))
    notes = []
    for seeds in counts:
        if seeds != usual:
            ours, theirs = (short_list([seed_text(seed) for seed in one]) for one in (seeds, usual))
            text = f"other seeds ({ours}) than most rows ({theirs})"
            mine = [row for row in rows if row.seeds == seeds]
            if any(row.undone for row in mine):
                text += "; the mean leaves out failed seeds and may be too high"
            notes.append((text, mine))
    return notes


def _surplus(rows: Sequence[Row]) -> Warned:
    notes = []
    for row in rows:
        for entry in row.surplus:
            shown = next(one for one in row.done if one.seed == entry.seed)
            leaves = short_list([leaf for leaf, *_ in differing(shown.identity, entry.identity)]) or "their stage one"
            text = f"a second record of seed {seed_text(entry.seed)} is not shown; they differ in {leaves}"
            notes.append((text, [row]))
    return notes


def _recipes(rows: Sequence[Row]) -> Warned:
    """Arms of a row, or rows with equal axes, whose configs differ in more than seeds."""
    notes = []
    for row in rows:
        first = row.done[0].arms
        pairs = [pair for entry in row.done[1:] for pair in zip(first, entry.arms, strict=True)]
        leaves = {leaf for one, other in pairs for leaf in _other_leaves(one, other)}
        between = {leaf for other in first[1:] for leaf in _other_leaves(first[0], other)}
        leaves |= {leaf for leaf in between if not leaf.startswith("data.quarantine")}  # each split has its own
        if leaves:
            notes.append((f"its arms differ in more than the seed: {short_list(sorted(leaves))}", [row]))
    equal_axes: dict[str, list[Row]] = {}
    for row in rows:
        if RECIPE in row.axes:
            rest = {axis: value for axis, value in row.axes.items() if axis != RECIPE}
            equal_axes.setdefault(canonical([row.kind, rest]), []).append(row)
    for same in equal_axes.values():
        leaves = {leaf for row in same[1:] for leaf in _other_leaves(same[0].done[0], row.done[0])}
        if leaves:
            notes.append((f"equal axes, but the recipes differ in: {short_list(sorted(leaves))}", same))
    return notes


def _other_leaves(one: Entry, other: Entry) -> list[str]:
    """Only the parts of the configs that differ are flattened, since most of them do not."""
    first, second = (entry.record.get("config", {}) for entry in (one, other))
    parts = [name for name in {**first, **second} if first.get(name) != second.get(name) and name not in _OF_SEED]
    own = [identity({name: config[name] for name in parts if name in config}) for config in (first, second)]
    axes = {axis for axis in (*one.axes, *other.axes) if not is_seed(axis)}
    return [leaf for leaf, *_ in differing(*own) if not follows_seed(leaf) and leaf not in axes]


def _predictions(rows: Sequence[Row]) -> Warned:
    """Predictions that contradict the record, or that some rows lack; that all lack them is another note."""
    notes: Warned = []
    lacking: Warned = []
    for row in rows:
        for entry in (arm for joined in row.done for arm in joined.arms):
            try:
                right = int(entry.answers.right.sum())
            except UserError as error:
                kept = lacking if error.what.startswith(NO_PREDICTIONS) else notes
                kept.append((f"{error.what} (seed {seed_text(entry.seed)})", [row]))
                continue
            if "correct" in entry.result and right != entry.result["correct"]:
                text = f"its predictions have {right} right answers, its record has {entry.result['correct']}"
                notes.append((f"{text} (seed {seed_text(entry.seed)})", [row]))
    return notes + (lacking if len(lacking) < sum(len(row.done) for row in rows) else [])


def _no_groups(rows: Sequence[Row]) -> Warned:
    """Rows whose intervals take videos as independent, where those of other rows allow for groups."""
    warnings: Warned = []
    lacking = [row for row in rows if row.shares and all(share.effective is None for share in row.shares.values())]
    for row in lacking if len(lacking) < len(rows) else ():
        try:
            named = all(arm.answers.of.groups is not None for entry in row.done for arm in entry.arms)
        except UserError:  # another warning says so
            continue
        why = "its seeds have test videos of their own" if named else "its predictions do not name groups"
        warnings.append((f"{why}: its videos are taken as independent", [row]))
    return warnings


def _no_gain(rows: Sequence[Row]) -> Warned:
    """The reasons of rows without a gain. Where no row has a control, the table says so once, in another note."""
    over: dict[str, list[Row]] = {}
    some = any(row.control is not None for row in rows)
    for row in rows:
        if row.no_gain and (some or row.no_gain != NO_CONTROL):
            over.setdefault(f"no gain over the control: {row.no_gain}", []).append(row)
        if row.no_late:
            over.setdefault(f"no gain over late fusion: {row.no_late}", []).append(row)
        lacking = len(row.done) - len(next(iter(row.gains.values())).per_seed) if row.gains else 0
        if lacking:
            over.setdefault("its gain is over fewer seeds: its control lacks some", []).append(row)
    return list(over.items())
