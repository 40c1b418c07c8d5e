"""run.json: the record of an arm, and the only source of tables.

A record is a plain dict. All of it outside `circumstances` and `log` is bit for bit reproducible. Records are data:
nothing is instantiated from them. A record has a schema version, and old records load: `upgrade` converts them.

    schema         the version of this format
    name           the arm's name in its study
    kind           fused | stream | late | control
    status         done | failed
    reason         why it failed; null for an arm that is done
    log            the log of a failed arm, or null
    axes           {axis: plain scalar}: the arm's place in the grid
    titles         {"fusion": text, "temporal": text}: the parts' titles for tables; optional
    signature      the signature of `config`
    control        the signature of the arm that it is compared with; null for a stream, late, a control; optional
    config         the resolved config without `run`
    stage_one      {stream: signature of the frozen stream below the arm}; {} for a stream
    result         accuracy, correct, total, kinds {kind: {correct, total}}, parameters, hashes …; {} if it failed
                   `towers` of a control: {stream: the same of this tower by itself}, whose predictions lie in
                   appearance.csv and motion.csv; `heads`: the digest of heads.npz, if it is there,
                   and `head_names`: those of the heads in it
    ceilings       {kind of question: the best share that this system can reach, as text ("1/4")}; {} if unknown
    circumstances  machine, versions, commit, seconds, the `run` subtree: all that does not determine the result
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from fusionlab.errors import UserError
from fusionlab.records.files import read_json, write_json
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import TOWERS, Predictions, tower_file, write_predictions
from fusionlab.records.signature import RUN

SCHEMA = 1
FILE = "run.json"
WEIGHTS = "weights.pt"  # beside it
CHECKPOINT = "checkpoint.pt"  # in the folder of an attempt
KINDS = ("fused", "stream", "late", "control")
STATUSES = ("done", "failed")
LARGEST = 16 << 20  # bytes; one that names 100,000 quarantined videos has 6 MB
UNREPRODUCED = ("circumstances", "log", "titles", "control")  # the keys that two runs of one arm may differ in

# schema -> the function that makes a record of the next schema from one of this.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

_PLAIN = frozenset((str, int, float, bool, type(None)))
_CEILING = re.compile(r"[0-9]{1,100}(/[0-9]{1,100})?")  # nothing that makes `Fraction` count to 10^9, as 1e-999999999


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ceiling(value: object) -> bool:
    if not isinstance(value, str) or not _CEILING.fullmatch(value):
        return False
    whole, _, parts = value.partition("/")
    return 0 <= int(whole) <= int(parts or 1) > 0


def _tree(value: object) -> bool:
    if type(value) in _PLAIN or isinstance(value, (str, int, float)):
        return True
    if isinstance(value, (list, tuple)):
        return all(map(_tree, value))
    return (
        isinstance(value, Mapping) and all(isinstance(name, str) for name in value) and all(map(_tree, value.values()))
    )


class Rule(NamedTuple):
    """A condition on a value, in words and as a predicate."""

    what: str
    holds: Callable[[Any], bool]


TEXT = Rule("text", lambda value: isinstance(value, str))
ANY = Rule("anything", lambda value: True)
TREE = Rule("a tree of plain values", _tree)
SCALAR = Rule("a plain scalar", lambda value: value is None or isinstance(value, (str, int, float)))
COUNT = Rule("a whole number from 0", lambda value: type(value) is int and 0 <= value < 1 << 63)
KIND = Rule(f"one of {', '.join(KINDS)}", lambda value: value in KINDS)
_SHARE = Rule("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1)
_NUMBER = Rule("a number, or null", lambda value: value is None or _number(value))
_COUNT = Rule("a whole number from 0, or null", lambda value: value is None or COUNT.holds(value))
_WORD = Rule("text, or null", lambda value: value is None or isinstance(value, str))
_PASSES = Rule("a number from 0", lambda value: _number(value) and value >= 0)
_FLAG = Rule("true, false or null", lambda value: value is None or isinstance(value, bool))
_KINDS = {"*": {"correct": COUNT, "total": COUNT}}
_CHANCE = Rule("a fraction from 0 to 1 as text, such as 1/4", _ceiling)

TESTED: dict[str, Any] = {  # what a test counts, of an arm or of one tower
    "accuracy": _SHARE, "correct": COUNT, "total": COUNT, "kinds": _KINDS,
    "predictions?": TEXT, "ceilings?": {"*": _CHANCE},
}  # fmt: skip

# A key's rule; with "?" the key may be absent; "*" is any other key. A dict is the rule of a mapping, [rule] of a list.
_RECORD: dict[str, Any] = {
    "schema": Rule(f"schema {SCHEMA}", lambda value: type(value) is int and value == SCHEMA),
    "name": TEXT,
    "kind": KIND,
    "status": Rule(f"one of {', '.join(STATUSES)}", lambda value: value in STATUSES),
    "reason": _WORD,
    "log": _WORD,
    "axes": {"*": SCALAR},
    "titles?": {"fusion?": TEXT, "temporal?": TEXT},
    "signature": TEXT,
    "control?": _WORD,
    "config": {"data?": {"quarantine?": [TEXT], "*": TREE}, "*": TREE},
    "stage_one": {"*": TEXT},
    "result": {
        **dict.fromkeys(("correct?", "total?"), COUNT),
        **dict.fromkeys(("steps?", "best_step?", "layers?"), _COUNT),
        **dict.fromkeys(("parameters?", "trained_parameters?", "svm_parameters?"), _COUNT),
        **dict.fromkeys(("weights?", "data?", "predictions?", "heads?"), _WORD),
        "head_names?": [TEXT],
        "accuracy?": _SHARE,
        "val_loss?": _NUMBER,
        "converged?": _FLAG,
        "kinds?": _KINDS,
        "towers?": dict.fromkeys((f"{tower}?" for tower in TOWERS), TESTED),
        "classes?": {"*": _WORD},
        "quarantined?": {"*": COUNT},
        "curves?": [{"epoch": _PASSES, "step": COUNT, "*": _NUMBER}],
        "initial_weights?": {"origin?": TEXT, "sha256?": TEXT, "notes?": TREE, "trained_on?": {"*": TREE}},
        "*": TREE,
    },
    "ceilings": {"*": _CHANCE},
    "circumstances": {
        **dict.fromkeys(("python?", "commit?", "platform?", "started?", "device?"), _WORD),
        "packages?": {"*": TEXT},
        "dirty?": _FLAG,
        "seconds?": _NUMBER,
        "*": TREE,
    },
}


def _without_trees(rule: Any) -> Any:
    if isinstance(rule, dict):
        return {name: _without_trees(one) for name, one in rule.items()}
    return [_without_trees(one) for one in rule] if isinstance(rule, list) else ANY if rule is TREE else rule


_PARSED = _without_trees(_RECORD)


def misfit(value: Any, rule: Any, at: str = "") -> tuple[str, Any] | None:
    """The first place where a value breaks its rule: the rule in words, and the value."""
    if isinstance(rule, Rule):
        return None if rule.holds(value) else (f"{at} is {rule.what}", value)
    if isinstance(rule, list):
        if not isinstance(value, (list, tuple)):
            return f"{at or 'it'} is a list", value
        if isinstance(rule[0], Rule) and all(map(rule[0].holds, value)):  # a plan has many such lists
            return None
        inside = (misfit(one, rule[0], f"{at}[{number}]") for number, one in enumerate(value))
        return next(filter(None, inside), None)
    if type(value) is not dict and not isinstance(value, Mapping):  # the first is much faster to ask
        return f"{at or 'it'} is a mapping", value
    known, needed, rest = _keys(rule)
    for name in needed:
        if name not in value:
            return f"{at or 'it'} has {name!r}", ", ".join(map(str, value))
    for name, one in value.items():
        inner = known.get(name, rest)
        if not isinstance(name, str) or inner is None:
            return f"{at or 'it'} has no other keys than {', '.join(known)}", name
        if isinstance(inner, Rule) and inner.holds(one):  # most are: 10,000 records have millions of values
            continue
        if wrong := misfit(one, inner, f"{at}.{name}" if at else name):
            return wrong
    return None


def _keys(rule: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...], Any]:
    """Of the rule of a mapping: key -> its rule, the keys that must be there, and the rule of any other key."""
    if id(rule) not in _KEYS:
        known = {name.removesuffix("?"): one for name, one in rule.items() if name != "*"}
        needed = tuple(name for name in rule if name[-1] not in "*?")
        _KEYS[id(rule)] = rule, (known, needed, rule.get("*"))
    return _KEYS[id(rule)][1]


_KEYS: dict[int, tuple[Any, tuple[dict[str, Any], tuple[str, ...], Any]]] = {}  # by identity; the rule is kept with it


def new_record(
    *,
    name: str,
    kind: str,
    axes: Mapping[str, Any],
    signature: str,
    config: Mapping[str, Any],
    result: Mapping[str, Any] | None = None,
    status: str = "done",
    reason: str | None = None,
    log: str | None = None,
    stage_one: Mapping[str, str] | None = None,
    ceilings: Mapping[str, str | Fraction] | None = None,
    circumstances: Mapping[str, Any] | None = None,
    titles: Mapping[str, str] | None = None,
    control: str | None = None,
) -> dict[str, Any]:
    """A checked record. If `config` still holds `run`, it is moved into the circumstances."""
    around = dict(circumstances or {})
    if RUN in config:
        around[RUN] = config[RUN]
    record = {
        "schema": SCHEMA,
        "name": name,
        "kind": kind,
        "status": status,
        "reason": reason,
        "log": log,
        "axes": dict(axes),
        **({"titles": dict(titles)} if titles else {}),
        "signature": signature,
        "control": control,
        "config": {leaf: value for leaf, value in config.items() if leaf != RUN},
        "stage_one": dict(stage_one or {}),
        "result": dict(result or {}),
        "ceilings": {which: str(most) for which, most in (ceilings or {}).items()},
        "circumstances": around,
    }
    finite: dict[str, Any] = _finite(record)
    check(finite)
    return finite


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity: such a number (the loss of a diverged arm) becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value


def check(record: Mapping[str, Any], source: object = None, *, parsed: bool = False) -> None:
    """Raise a `UserError` that names the first error in a record of the current schema.

    `parsed`: it was read from JSON, which has plain values only, so that this is not asked of each value again.
    """
    wrong = misfit(record, _PARSED if parsed else _RECORD)
    if wrong is None and (record["status"] == "failed") != bool(record["reason"]):
        wrong = "a failed arm has a reason, a done arm has none", record["reason"]
    if wrong is None and RUN in record["config"]:
        wrong = f"`{RUN}` belongs into the circumstances, not into config", record["config"][RUN]
    result = {} if wrong else record["result"]
    for which, counts in [
        (which, counts)
        for name, own in {"result": result, **result.get("towers", {})}.items()
        for which, counts in [(name, own), *own.get("kinds", {}).items()]
    ]:
        right, total = counts.get("correct"), counts.get("total")
        if wrong is None and (right is None) != (total is None):
            wrong = f"correct and total are given together ({which})", f"{right} of {total}"
        elif wrong is None and right is not None and right > total:
            wrong = f"correct ≤ total, also for each kind ({which})", f"{right} of {total}"
    if wrong:
        what, value = wrong
        got = (value if isinstance(value, str) else repr(value))[:100]
        raise UserError(f"not a valid record: {what}", got=got if source is None else f"{got} in {source}")


def write_record(
    folder: str | os.PathLike[str],
    record: Mapping[str, Any],
    predictions: Predictions | None = None,
    *,
    towers: Mapping[str, Predictions] | None = None,
    sync: bool = True,
) -> dict[str, Any]:
    """Write predictions.csv, then run.json with its hash; returns the record as written.

    `towers`: the predictions of each tower by itself, as `tower_file` names their files. `sync`: see `write_bytes`.
    """
    written = dict(record)

    def write(name: str, own: Predictions) -> str:
        return write_predictions(Path(folder) / name, own, sync=sync)

    if predictions is not None:
        written["result"] = {**record["result"], "predictions": write(PREDICTIONS, predictions)}
    for tower, own in (towers or {}).items():
        known = written["result"]["towers"]
        hashed = {**known[tower], "predictions": write(tower_file(tower), own)}
        written["result"] = {**written["result"], "towers": {**known, tower: hashed}}
    check(written)
    write_json(Path(folder) / FILE, written, sync=sync)
    return written


def upgrade(record: dict[str, Any], source: object = None) -> dict[str, Any]:
    """The record in the current schema, from this one or an older one."""
    schema = record.get("schema")
    while isinstance(schema, int) and schema < SCHEMA and schema in UPGRADES:
        record = UPGRADES[schema](record)
        schema = record["schema"]
    if isinstance(schema, int) and schema > SCHEMA:
        raise UserError(
            "the record was written by a newer fusionlab",
            got=f"schema {schema}" + (f" in {source}" if source else ""),
            allowed=[f"schema 1 to {SCHEMA}"],
            hint="install the newer fusionlab",
        )
    return {"control": None, **record}


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record in a run.json, or in its folder; upgraded and checked."""
    place = Path(path)
    if place.name != FILE and place.is_dir():
        place = place / FILE
    content = read_json(place, LARGEST)
    if not isinstance(content, dict):
        raise UserError("not a record", got=place)
    record = upgrade(content, place)
    check(record, place, parsed=True)
    return record


def without_curves(*results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Results for a comparison, without curves and heads if one of them is older than these in records."""
    older = {name for name in ("curves", "heads", "head_names") if not all(name in result for result in results)}
    return [{name: one for name, one in result.items() if name not in older} for result in results]


def find_records(folder: str | os.PathLike[str]) -> list[Path]:
    """All published run.json below a folder, sorted; `attempts` and hidden folders are not searched."""
    if not Path(folder).is_dir():
        raise UserError("no such folder", got=folder)
    records: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "attempts" and not name.startswith(".")]
        if FILE in names:
            records.append(Path(place) / FILE)
    return sorted(records)


def read_records(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of all published arms below a folder."""
    return [read_record(path) for path in find_records(folder)]


def readable_records(folder: str | os.PathLike[str]) -> tuple[dict[Path, dict[str, Any]], dict[Path, str]]:
    """The records below a folder by their run.json; and the reason for each that cannot be read."""
    records, damaged = {}, {}
    for path in find_records(folder):
        try:
            records[path] = read_record(path)
        except UserError as error:
            damaged[path] = f"its record cannot be read: {error.brief}"
    return records, damaged
