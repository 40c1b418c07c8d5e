"""The protocol's guard: what must be said where the rows of a table were not made alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.environment import arithmetic
from fusionlab.records.signature import canonical, differing
from fusionlab.results.figures import ceiling, listed, percent, typed
from fusionlab.results.gains import NO_PREDICTIONS
from fusionlab.results.load import TOGETHER, Entry, is_seed, of_seed
from fusionlab.results.rows import RECIPE, Row, counted, shown_axes, varies
from fusionlab.results.spec import Spec


def title(row: Row, axes: Sequence[str]) -> str:
    """A row's name in a sentence, with the axes that tell it from others: Conv relu5 pool2d."""
    told = {axis: row.axes[axis] for axis in axes if row.axes.get(axis) is not None}
    words = (f"{axis}={typed(one)}" if isinstance(one, bool) else str(one) for axis, one in told.items())
    return " ".join([row.method, *words])


def telling(rows: Sequence[Row]) -> list[str]:
    """The axes that a title needs: shown ones that vary among the fusions."""
    fused = [row for row in rows if row.kind == "fused"]
    return [axis for axis in shown_axes(rows, Spec("")) if varies(axis, fused)]


def seed_text(seed: Sequence[Any]) -> str:
    return "/".join(str(value) for value in seed) or "without a seed"


def guards(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """(what to know, the rows it is about), most weighty first; a sentence about all rows names none."""
    axes = telling(rows)
    done = [row for row in rows if row.done]
    return [
        *_above_ceiling(done),
        *_other_split(done),
        *_seeds(done),
        *_apart(done, axes, "prepared data", lambda entry: str(entry.result.get("data") or "")[:12]),
        *_apart(done, axes, "decoder", lambda entry: entry.result.get("decoder")),
        *_apart(done, axes, "optical flow", _flow),
        *_apart(done, axes, "quarantine", _quarantine),
        *_apart(done, axes, "numbers of test videos", _totals),
        *_apart(done, axes, "code", _commit),
        *_arithmetic(done, axes),
        *_surplus(done),
        *_recipes(done),
        *_predictions(done),
        *_no_gain(done),
    ]


def _above_ceiling(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    found = []
    for row in rows:
        for kind, share in row.shares.items():
            if kind != TOGETHER and share.ceiling is not None and share.low > share.ceiling:
                text = (
                    f"above its ceiling by more than chance: {percent(share.mean)} on {kind}, where at most "
                    f"{ceiling(share.ceiling)} can be known; the data tell what they should not"
                )
                found.append((text, [row]))
    return found


def _other_split(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows for which somebody said that it is meant."""
    told = [row for row in rows if any(entry.leaves.get("weights.other_split") == "allow" for entry in row.done)]
    text = (
        "weights.other_split=allow: first weights may come from another split, which has trained on groups of this "
        "one's test list, and flatter"
    )
    return [(text, told)] if told else []


def _seeds(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows over other seeds than most rows are."""
    sets = [row.seeds for row in rows]
    if len(set(sets)) < 2:
        return []
    usual = max(dict.fromkeys(sets), key=lambda one: (sets.count(one), len(one)))
    notes = []
    for seeds in dict.fromkeys(sets):
        if seeds != usual:
            ours, theirs = (listed([seed_text(seed) for seed in one]) for one in (seeds, usual))
            text = f"over other seeds ({ours}) than most rows ({theirs})"
            mine = [row for row in rows if row.seeds == seeds]
            if any(row.undone for row in mine):
                text += "; a mean over the seeds that did not fail may flatter"
            notes.append((text, mine))
    return notes


def _apart(
    rows: Sequence[Row], axes: Sequence[str], what: str, of: Callable[[Entry], Any]
) -> list[tuple[str, list[Row]]]:
    """A sentence where the rows' arms do not share a circumstance that they should."""
    holders: dict[str, list[str]] = {}
    for row in rows:
        for entry in row.done:
            value = of(entry)
            if value not in (None, "", {}):
                told = value if isinstance(value, str) else canonical(value)
                holders.setdefault(told, []).append(title(row, axes))
    if len(holders) < 2:
        return []
    usual = max(holders, key=lambda value: len(holders[value]))
    others = [f"{value}: {listed(list(dict.fromkeys(names)))}" for value, names in holders.items() if value != usual]
    return [(f"the rows were not made with the same {what} — most with {usual}, but {'; '.join(others)}", [])]


def _arithmetic(rows: Sequence[Row], axes: Sequence[str]) -> list[tuple[str, list[Row]]]:
    """What the last bits hang on. Records of before a circumstance was kept say nothing of it."""
    kept = dict.fromkeys(name for row in rows for entry in row.done for name in arithmetic(_around(entry)))
    notes = [note for name in kept for note in _apart(rows, axes, name, partial(_part, name))]
    then = "; between these no bits are promised, and equal arms may come out as far apart as seeds do (DETERMINISM.md)"
    return [(text + then, about) for text, about in notes]


def _part(name: str, entry: Entry) -> str | None:
    return arithmetic(_around(entry)).get(name)


def _around(entry: Entry) -> Mapping[str, Any]:
    around: Mapping[str, Any] = entry.record.get("circumstances", {})
    return around


def _commit(entry: Entry) -> str | None:
    commit = _around(entry).get("commit")
    return None if not commit else str(commit)[:10] + (" with changes" if _around(entry).get("dirty") else "")


def _flow(entry: Entry) -> str | None:
    """Method, rule and bound; which numbers of the method differ is told by the config."""
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
    """The videos that its record names as left out."""
    names: list[str] = (entry.record.get("config", {}).get("data") or {}).get("quarantine") or []
    return names


def _totals(entry: Entry) -> str:
    return ", ".join(f"{total} {kind}" for kind, (_, total) in sorted(counted(entry).items()))


def _surplus(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    notes = []
    for row in rows:
        for entry in row.surplus:
            shown = next(one for one in row.done if one.seed == entry.seed)
            leaves = listed([leaf for leaf, *_ in differing(shown.identity, entry.identity)]) or "their stage one"
            text = f"another record of seed {seed_text(entry.seed)} is not shown; they differ in {leaves}"
            notes.append((text, [row]))
    return notes


def _recipes(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Seeds of a row, or rows told apart by a recipe only, whose configs differ in more than seeds."""
    notes = []
    for row in rows:
        leaves = {leaf for entry in row.done[1:] for leaf in _other_leaves(row.done[0], entry)}
        if leaves:
            notes.append((f"its seeds differ in more than the seed: {listed(sorted(leaves))}", [row]))
    apart: dict[str, list[Row]] = {}
    for row in rows:
        if RECIPE in row.axes:
            rest = {axis: value for axis, value in row.axes.items() if axis != RECIPE}
            apart.setdefault(canonical([row.kind, rest]), []).append(row)
    for alike in apart.values():
        leaves = {leaf for row in alike[1:] for leaf in _other_leaves(alike[0].done[0], row.done[0])}
        if leaves:
            notes.append((f"alike in their axes, not in their recipe: {listed(sorted(leaves))}", alike))
    return notes


def _other_leaves(one: Entry, other: Entry) -> list[str]:
    axes = {axis for axis in (*one.axes, *other.axes) if not is_seed(axis)}
    return [leaf for leaf, *_ in differing(one.identity, other.identity) if not of_seed(leaf) and leaf not in axes]


def _predictions(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Predictions that do not give the record's own number again."""
    notes = []
    for row in rows:
        for entry in row.done:
            try:
                right = sum(answer.right for answer in entry.answers.values())
            except UserError as error:
                notes.append((f"{error.what} (seed {seed_text(entry.seed)})", [row]))
                continue
            if "correct" in entry.result and right != entry.result["correct"]:
                text = f"its predictions are right {right} times, its record says {entry.result['correct']}"
                notes.append((f"{text} (seed {seed_text(entry.seed)})", [row]))
    return notes


def _no_gain(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    reasons = dict.fromkeys(row.no_gain for row in rows if row.no_gain)
    told = [reason for reason in reasons if reason and not reason.startswith(NO_PREDICTIONS)]
    return [
        (f"no gain over late fusion is shown: {reason}", [row for row in rows if row.no_gain == reason])
        for reason in told
    ]
