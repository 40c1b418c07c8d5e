"""What rows of one table must share, in one table of rules: docs/reading-a-table.md is drawn from it.

A rule says what is compared, where a record has it, and what follows from a difference. *Refused*: the row keeps its
line, but its figures do not stand in the columns of the others; the line says why, and the CSV has the figures. *Note*:
a note names the rows. A difference that an axis of the table makes is the table's question, and no breach: the axis has
a column of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fusionlab.records.environment import arithmetic
from fusionlab.records.signature import canonical
from fusionlab.results.formatting import short_list
from fusionlab.results.gains import answer_counts
from fusionlab.results.load import Entry, part_leaves
from fusionlab.results.rows import Row, varies
from fusionlab.results.selection import BUDGET
from fusionlab.results.splits import SPLIT

Leaves = Mapping[str, Any]  # what is compared: name -> value; what a record lacks is not compared
_BUDGET = ("epochs", "until", "budget", "patience")  # leaves below optim.fusion that say how long it trains
_STREAMS = ("appearance", "motion")
_TESTING = ("test", "crop", "crops", "snippets", "stride", "times")  # leaves below data.sampling that a test hangs on


@dataclass(frozen=True)
class Rule:
    """`read`: the parts of an entry that are compared, each with its leaves. `place`: where a record has them."""

    name: str
    place: str
    why: str
    read: Callable[[Entry], Mapping[str, Leaves]]
    refused: bool = False
    advice: str = ""


def around(entry: Entry) -> Mapping[str, Any]:
    """The environment that an arm ran in."""
    environment: Mapping[str, Any] = entry.record.get("circumstances", {})
    return environment


def quarantined(entry: Entry) -> list[str]:
    """The quarantined videos in its record."""
    names: list[str] = (entry.record.get("config", {}).get("data") or {}).get("quarantine") or []
    return names


def _one(name: str, of: Callable[[Entry], Any]) -> Callable[[Entry], Mapping[str, Leaves]]:
    def read(entry: Entry) -> Mapping[str, Leaves]:
        value = of(entry)
        return {} if value in (None, "", {}) else {"": {name: value}}

    return read


def _flow(entry: Entry) -> str | None:
    """Method, rule and bound; the other options of the method are in the config."""
    flow = entry.result.get("flow")
    if not isinstance(flow, Mapping):
        return None
    return f"{flow.get('method')} by {flow.get('rule', 'bound')}, ±{flow.get('bound')} px"


def _weights(entry: Entry) -> Mapping[str, Leaves]:
    """What each stream starts from, and its second data set, which a stream's recipe has under other names."""
    config = entry.record.get("config", {})
    weights, second = config.get("weights") or {}, config.get("multitask") or {}
    if entry.kind == "stream":
        own = {str(entry.axes.get("streams")): (weights.get("source"), second)}
    else:
        own = {stream: (weights.get(stream), second.get(stream)) for stream in _STREAMS}
    return {
        stream: {
            f"weights.{stream}": source or "drawn",
            **({f"multitask.{stream}": _short(task)} if task else {}),
        }
        for stream, (source, task) in own.items()
    }


def _short(task: Mapping[str, Any]) -> str:
    """A second data set in a word and a hash."""
    name = str((task.get("dataset") or {}).get("_target_")).rpartition(".")[2]
    return f"{name} ({hashlib.sha256(canonical(task).encode()).hexdigest()[:8]})"


def _part(entry: Entry, *names: str) -> Mapping[str, Any]:
    """The leaves of a part of the config, without those at their neutral value."""
    return part_leaves(entry.record.get("config", {}), *names)


def _kept(leaves: Leaves, prefix: str, names: Sequence[str], inside: bool) -> Leaves:
    """The leaves that are among the names, or those that are not; made once for the leaves that records share."""
    key = (id(leaves), inside)
    if key not in _KEPT:
        own = {leaf: one for leaf, one in leaves.items() if (leaf.removeprefix(prefix) in names) is inside}
        _KEPT[key] = leaves, own  # the first is kept, so that its id stays its own
    return _KEPT[key][1]


_KEPT: dict[tuple[int, bool], tuple[Leaves, Leaves]] = {}


def _training(entry: Entry) -> Mapping[str, Leaves]:
    """Stream by stream, since a recipe may train each in its own way; and what is trained above them."""
    optim = entry.record.get("config", {}).get("optim") or {}
    if entry.kind == "stream":
        blocks = {str(entry.axes.get("streams")): optim}
    else:
        both = {leaf: one for leaf, one in optim.get("streams", {}).items() if leaf not in _STREAMS}
        blocks = {stream: both | (optim.get("streams", {}).get(stream) or {}) for stream in _STREAMS}
    parts = {
        f"optim.streams of {stream}": part_leaves({"optim": {"streams": block}}, "optim", "streams")
        for stream, block in blocks.items()
    }
    if entry.kind in ("fused", "control"):
        parts["optim.fusion"] = _kept(_part(entry, "optim", "fusion"), "optim.fusion.", _BUDGET, False)
    return {name: leaves for name, leaves in parts.items() if leaves}


def _validation(entry: Entry) -> Mapping[str, Leaves]:
    """Of every arm, at the neutral value too."""
    return {"val": {leaf: entry.value(leaf) for leaf in ("val.list", "val.then")}}


def _budget(entry: Entry) -> Mapping[str, Leaves]:
    if entry.kind not in ("fused", "control") or entry.result.get("converged"):
        return {}
    own = _kept(_part(entry, "optim", "fusion"), "optim.fusion.", _BUDGET, True)
    return {"optim.fusion": own} if own else {}


def _testing(entry: Entry) -> Mapping[str, Leaves]:
    leaves = _part(entry, "data", "sampling")
    own = _kept(leaves, "data.sampling.", _TESTING, True)
    return {"data.sampling": own} if leaves else {}


def _commit(entry: Entry) -> str | None:
    commit = around(entry).get("commit")
    return None if not commit else str(commit)[:10] + (" with changes" if around(entry).get("dirty") else "")


def _arithmetic(entry: Entry) -> Mapping[str, Leaves]:
    return {name: {name: value} for name, value in arithmetic(around(entry)).items() if value}


def _quarantine(entry: Entry) -> str:
    names = quarantined(entry)
    if not names:
        return "none"
    return f"{len(names)} videos ({hashlib.sha256(canonical(names).encode()).hexdigest()[:8]})"


def _totals(entry: Entry) -> str:
    return ", ".join(f"{total} {kind}" for kind, (_, total) in sorted(answer_counts(entry).items()))


RULES = (
    Rule(
        "decoder", "result.decoder", "decoders give other frames of the same file, some of them wrong ones",
        _one("decoder", lambda entry: entry.result.get("decoder")), refused=True,
    ),
    Rule(
        "optical flow", "result.flow", "another method, rule or bound is another input",
        _one("optical flow", _flow), refused=True,
    ),
    Rule(
        "weights", "config: weights, multitask", "more data for a stream is no gain of the fusion", _weights,
        refused=True,
    ),
    Rule(
        "training protocol", "config: optim, without the budget",
        "a gain of the optimiser is no gain of the fusion", _training, refused=True,
    ),
    Rule(
        "validation", "config: val", "a net trained on the validation videos too has seen more; one that was chosen by "
        "test labels has seen the answers", _validation, refused=True,
    ),
    Rule(
        "budget", "config: optim.fusion epochs, patience, until, budget; result.converged",
        "who trains for longer is better; arms that have converged may differ", _budget, refused=True,
    ),
    Rule(
        "test protocol", "config: data.sampling test, crop, crops, snippets, stride, times",
        "more views of a video are more accurate", _testing, refused=True,
    ),
    Rule(
        "prepared data", "result.data", "other bytes of the same videos; doses differ in them",
        _one("prepared data", lambda entry: str(entry.result.get("data") or "")[:12]),
    ),
    Rule("quarantine", "config: data.quarantine", "other videos are left out", _one("quarantine", _quarantine)),
    Rule(
        "number of test videos", "result.total, result.kinds", "other test lists make no pairs",
        _one("number of test videos", _totals),
    ),
    Rule(
        "precision", "config: trainer.precision", "half precision moves an accuracy by less than a seed does",
        _one("precision", lambda entry: (entry.record.get("config", {}).get("trainer") or {}).get("precision")),
    ),
    Rule("code version", "circumstances.commit", "the code may have changed", _one("code", _commit)),
    Rule(
        "instruction set", "circumstances.machine, device, packages", "the last bits of float32 differ", _arithmetic,
        advice="; between these, equal bits are not promised, and equal arms may differ as much as seeds "
        "(DETERMINISM.md)",
    ),
    Rule(
        "convergence", "result.converged: false", "such an arm reached the cap of its budget",
        lambda entry: {"": {"converged": False}} if entry.result.get("converged") is False else {},
    ),
)  # fmt: skip


def refused_rows(rows: Sequence[Row]) -> dict[int, str]:
    """The id of a row -> why its figures do not stand in the columns of the others."""
    reasons: dict[int, str] = {}
    asked = _asked(rows)
    for rule in RULES:
        for _, values in _values(rule, rows, asked) if rule.refused else ():
            usual = _usual(values)
            for row, own in values:
                if others := [one for one in own if one != usual]:
                    reasons.setdefault(id(row), f"{rule.name} differs from most rows: {_difference(others[0], usual)}")
    return reasons


def differences(rows: Sequence[Row], title: Callable[[Row], str]) -> list[str]:
    """The notes about rows that differ in what is not refused."""
    notes = []
    asked = _asked(rows)
    for rule in RULES:
        for _, values in _values(rule, rows, asked) if not rule.refused and rule.name != "convergence" else ():
            usual = _usual(values)
            name = next(iter(usual))
            others: dict[str, list[str]] = {}
            for row, own in values:
                for one in own:
                    if one != usual:
                        others.setdefault(str(one.get(name)), []).append(title(row))
            if others:
                listed = "; ".join(f"{value}: {short_list(list(dict.fromkeys(own)))}" for value, own in others.items())
                notes.append(f"{name} differs between rows: {usual[name]} for most, but {listed}{rule.advice}")
    return notes


def _asked(rows: Sequence[Row]) -> list[str]:
    """The axes whose values differ between rows, or which only some rows have."""
    every = dict.fromkeys(axis for row in rows for axis in row.axes)
    parts = [part for row in rows for entry in row.done for part in entry.parts]
    joined = dict.fromkeys(axis for part in parts for axis in part.axes if axis == SPLIT)
    return [*(axis for axis in every if axis == BUDGET or varies(axis, rows)), *joined]


def _values(
    rule: Rule, rows: Sequence[Row], asked: Sequence[str]
) -> Iterator[tuple[str, list[tuple[Row, list[dict[str, Any]]]]]]:
    """By part: each row with the distinct values of its arms, if there are several in the table."""
    parts: dict[str, list[tuple[Row, list[dict[str, Any]]]]] = {}
    seen: dict[int, tuple[Leaves, str, dict[str, Any]]] = {}  # by identity: many records share their leaves
    for row in rows:
        own: dict[str, dict[str, dict[str, Any]]] = {}
        for entry in (arm for joined in row.done for arm in joined.arms):
            for part, leaves in rule.read(entry).items():
                if id(leaves) not in seen:
                    kept = {
                        leaf: value
                        for leaf, value in leaves.items()
                        if not any(_explains(axis, leaf) for axis in asked)
                    }
                    seen[id(leaves)] = leaves, canonical(kept), kept
                _, text, kept = seen[id(leaves)]
                own.setdefault(part, {}).setdefault(text, kept)
        for part, values in own.items():
            parts.setdefault(part, []).append((row, list(values.values())))
    for part, found in parts.items():
        if len({canonical(value) for _, values in found for value in values}) > 1:
            yield part, found


# The words for an axis by which a rule's value, which is no leaf of the config, differs.
_GROUPS = {
    "decoder": ("data",),
    "optical flow": ("flow", "data.store"),
    "prepared data": ("data", "split", "flow"),
    "quarantine": ("data", "split"),
    "number of test videos": ("data", "split"),
    "data.sampling.test": ("test",),
}


@cache  # of few axes and leaves; asked for each leaf of each record
def _explains(axis: str, leaf: str) -> bool:
    """Whether a difference of this leaf is what the axis asks about: the leaf itself, or the part that holds it."""
    groups = _GROUPS.get(leaf, ())
    return (
        leaf == axis or leaf.startswith(f"{axis}.") or any(axis == one or axis.startswith(f"{one}.") for one in groups)
    )


def _usual(values: Sequence[tuple[Row, list[dict[str, Any]]]]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    first: dict[str, dict[str, Any]] = {}
    for _, own in values:
        for one in own:
            text = canonical(one)
            counts[text] = counts.get(text, 0) + 1
            first.setdefault(text, one)
    return first[max(counts, key=lambda text: counts[text])]


def _difference(value: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    names = [name for name in {**usual, **value} if value.get(name) != usual.get(name)]
    texts = [f"{name}={value.get(name, 'as usual')}, not {usual.get(name, 'as usual')}" for name in names]
    return short_list(texts, 3)
