"""Warnings about rows that were made differently and so cannot be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.environment import arithmetic
from fusionlab.records.signature import canonical, differing
from fusionlab.results.formatting import ceiling, percent, short_list
from fusionlab.results.load import TOGETHER, Entry, follows_seed, is_seed
from fusionlab.results.rows import RECIPE, Row, answer_counts, shown_axes, varies
from fusionlab.results.spec import Spec
from fusionlab.results.statistics import NO_PREDICTIONS


def row_title(row: Row, axes: Sequence[str]) -> str:
    """A row's name in a sentence, with the axes that distinguish it: Conv relu5 pool2d."""
    words = [row.method]
    for axis in axes:
        if text := row.text(axis):
            words.append(f"{axis}={text}" if isinstance(row.axes[axis], bool) else text)
    return " ".join(words)


def title_axes(rows: Sequence[Row]) -> list[str]:
    """The axes that titles need: those with a column that vary among the fusions."""
    fused = [row for row in rows if row.kind == "fused"]
    return [axis for axis in shown_axes(rows, Spec("")) if varies(axis, fused)]


def seed_text(seed: Sequence[Any]) -> str:
    return "/".join(str(value) for value in seed) or "without a seed"


def protocol_warnings(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """(warning, its rows), the most important first; a warning about the whole table has no rows."""
    axes = title_axes(rows)
    done = [row for row in rows if row.done]
    return [
        *_above_ceiling(done),
        *_other_split(done),
        *_seeds(done),
        *_different(done, axes, "prepared data", lambda entry: str(entry.result.get("data") or "")[:12]),
        *_different(done, axes, "decoder", lambda entry: entry.result.get("decoder")),
        *_different(done, axes, "optical flow", _flow),
        *_different(done, axes, "quarantine", _quarantine),
        *_different(done, axes, "number of test videos", _totals),
        *_different(done, axes, "code", _commit),
        *_arithmetic(done, axes),
        *_surplus(done),
        *_recipes(done),
        *_predictions(done),
        *_no_gain(done),
    ]


def _above_ceiling(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    warnings = []
    for row in rows:
        for kind, share in row.shares.items():
            if kind != TOGETHER and share.ceiling is not None and share.low > share.ceiling:
                text = (
                    f"above its ceiling by more than chance: {percent(share.mean)} on {kind}, where at most "
                    f"{ceiling(share.ceiling)} is possible; the data leak information"
                )
                warnings.append((text, [row]))
    return warnings


def _other_split(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows whose config allows weights from another split."""
    allowed = [row for row in rows if any(entry.leaves.get("weights.other_split") == "allow" for entry in row.done)]
    text = (
        "weights.other_split=allow: initial weights may come from another split, whose training list shares groups "
        "with this test list, so accuracy may be too high"
    )
    return [(text, allowed)] if allowed else []


def _seeds(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows with other seeds than most rows."""
    sets = [row.seeds for row in rows]
    if len(set(sets)) < 2:
        return []
    usual = max(dict.fromkeys(sets), key=lambda one: (sets.count(one), len(one)))
    notes = []
    for seeds in dict.fromkeys(sets):
        if seeds != usual:
            ours, theirs = (short_list([seed_text(seed) for seed in one]) for one in (seeds, usual))
            text = f"other seeds ({ours}) than most rows ({theirs})"
            mine = [row for row in rows if row.seeds == seeds]
            if any(row.undone for row in mine):
                text += "; the mean leaves out failed seeds and may be too high"
            notes.append((text, mine))
    return notes


def _different(
    rows: Sequence[Row], axes: Sequence[str], what: str, of: Callable[[Entry], Any]
) -> list[tuple[str, list[Row]]]:
    """A warning if the arms of the rows differ in something that they should share."""
    titles: dict[str, list[str]] = {}
    for row in rows:
        for entry in row.done:
            value = of(entry)
            if value not in (None, "", {}):
                text = value if isinstance(value, str) else canonical(value)
                titles.setdefault(text, []).append(row_title(row, axes))
    if len(titles) < 2:
        return []
    usual = max(titles, key=lambda value: len(titles[value]))
    others = [f"{value}: {short_list(list(dict.fromkeys(names)))}" for value, names in titles.items() if value != usual]
    return [(f"{what} differs between rows: {usual} for most, but {'; '.join(others)}", [])]


def _arithmetic(rows: Sequence[Row], axes: Sequence[str]) -> list[tuple[str, list[Row]]]:
    """The environment that determines the last bits of float32; older records lack some of it."""
    kept = dict.fromkeys(name for row in rows for entry in row.done for name in arithmetic(_environment(entry)))
    notes = [note for name in kept for note in _different(rows, axes, name, partial(_part, name))]
    advice = "; between these, equal bits are not promised, and equal arms may differ as much as seeds (DETERMINISM.md)"
    return [(text + advice, about) for text, about in notes]


def _part(name: str, entry: Entry) -> str | None:
    return arithmetic(_environment(entry)).get(name)


def _environment(entry: Entry) -> Mapping[str, Any]:
    environment: Mapping[str, Any] = entry.record.get("circumstances", {})
    return environment


def _commit(entry: Entry) -> str | None:
    commit = _environment(entry).get("commit")
    return None if not commit else str(commit)[:10] + (" with changes" if _environment(entry).get("dirty") else "")


def _flow(entry: Entry) -> str | None:
    """Method, rule and bound; the other options of the method are in the config."""
    flow = entry.result.get("flow")
    if not isinstance(flow, Mapping):
        return None
    return f"{flow.get('method')} by {flow.get('rule', 'bound')}, ±{flow.get('bound')} px"


def _quarantine(entry: Entry) -> str:
    names = quarantined(entry)
    if not names:
        return "none"
    return f"{len(names)} videos ({hashlib.sha256(canonical(names).encode()).hexdigest()[:8]})"


def quarantined(entry: Entry) -> list[str]:
    """The quarantined videos in its record."""
    names: list[str] = (entry.record.get("config", {}).get("data") or {}).get("quarantine") or []
    return names


def _totals(entry: Entry) -> str:
    return ", ".join(f"{total} {kind}" for kind, (_, total) in sorted(answer_counts(entry).items()))


def _surplus(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    notes = []
    for row in rows:
        for entry in row.surplus:
            shown = next(one for one in row.done if one.seed == entry.seed)
            leaves = short_list([leaf for leaf, *_ in differing(shown.identity, entry.identity)]) or "their stage one"
            text = f"a second record of seed {seed_text(entry.seed)} is not shown; they differ in {leaves}"
            notes.append((text, [row]))
    return notes


def _recipes(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Arms of a row, or rows with equal axes, whose configs differ in more than seeds."""
    notes = []
    for row in rows:
        leaves = {leaf for entry in row.done[1:] for leaf in _other_leaves(row.done[0], entry)}
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
    axes = {axis for axis in (*one.axes, *other.axes) if not is_seed(axis)}
    return [leaf for leaf, *_ in differing(one.identity, other.identity) if not follows_seed(leaf) and leaf not in axes]


def _predictions(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Predictions that contradict the record."""
    notes = []
    for row in rows:
        for entry in row.done:
            try:
                right = int(entry.answers.right.sum())
            except UserError as error:
                notes.append((f"{error.what} (seed {seed_text(entry.seed)})", [row]))
                continue
            if "correct" in entry.result and right != entry.result["correct"]:
                text = f"its predictions have {right} right answers, its record has {entry.result['correct']}"
                notes.append((f"{text} (seed {seed_text(entry.seed)})", [row]))
    return notes


def _no_gain(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    reasons = dict.fromkeys(row.no_gain for row in rows if row.no_gain)
    return [
        (f"no gain over late fusion: {reason}", [row for row in rows if row.no_gain == reason])
        for reason in reasons
        if reason and not reason.startswith(NO_PREDICTIONS)
    ]
