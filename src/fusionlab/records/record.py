"""run.json: what an arm leaves behind, and the only thing that a table may be made from.

A record is a plain dict. Everything in it outside `circumstances` and `log` is bit for bit reproducible.
Nothing is ever instantiated from it: records are data. It has a schema version, and old records load:
`upgrade` brings them up to date.

    schema, name, kind, status, reason, log axes            the arm's place in the grid: plain scalars
    signature       of the resolved config without `run`, which is `config` stage_one       stream ->
    signature of the frozen stream under the arm; {} for a stream itself result          accuracy, kinds
    {kind: {correct, total}}, parameters, layers, hashes …; {} for a failed arm ceilings        kind -> what
    this system can reach at best, an exact fraction as text ("1/4"); {} where unknown circumstances
    machine, versions, commit, seconds, the `run` subtree: all that does not determine the result
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import read_json, write_json, write_text
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import Predictions
from fusionlab.records.signature import RUN

SCHEMA = 1
FILE = "run.json"
KINDS = ("fused", "stream", "late")
STATUSES = ("done", "failed")
UNREPRODUCED = ("circumstances", "log")  # the keys that two runs of one arm may differ in

# schema -> the function that makes a record of the next schema from one of this.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

_KEYS: dict[str, type | tuple[type, ...]] = {
    "schema": int,
    "name": str,
    "kind": str,
    "status": str,
    "reason": (str, type(None)),
    "log": (str, type(None)),
    "axes": dict,
    "signature": str,
    "config": dict,
    "stage_one": dict,
    "result": dict,
    "ceilings": dict,
    "circumstances": dict,
}


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
) -> dict[str, Any]:
    """A checked record. `config` may still hold `run`: it goes where it belongs, into the circumstances."""
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
        "signature": signature,
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
    """JSON knows no NaN or infinity; such a number (the loss of an arm that diverged) becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value


def check(record: Mapping[str, Any], source: object = None) -> None:
    """Raise a `UserError` that names the first thing that is wrong with a record of the present schema."""

    def wrong(what: str, got: object, allowed: tuple[str, ...] | None = None) -> UserError:
        return UserError(
            f"not a valid record: {what}",
            got=got if source is None else f"{got} in {source}",
            allowed=allowed,
        )

    for name, kind in _KEYS.items():
        if name not in record:
            raise wrong(f"it has no {name!r}", f"the keys {', '.join(record)}")
        if not isinstance(record[name], kind) or isinstance(record[name], bool):
            raise wrong(f"the type of {name!r}", repr(record[name]))
    surplus = set(record) - set(_KEYS)
    if surplus:
        raise wrong("an unknown key", ", ".join(sorted(surplus)), tuple(_KEYS))
    if record["schema"] != SCHEMA:
        raise wrong("its schema", record["schema"], (str(SCHEMA),))
    if record["kind"] not in KINDS:
        raise wrong("its kind", record["kind"], KINDS)
    if record["status"] not in STATUSES:
        raise wrong("its status", record["status"], STATUSES)
    if (record["status"] == "failed") != bool(record["reason"]):
        raise wrong("a failed arm, and only that, has a reason", repr(record["reason"]))
    if RUN in record["config"]:
        raise wrong(f"`{RUN}` belongs into the circumstances", "config")
    for axis, value in record["axes"].items():
        if not (value is None or isinstance(value, (str, int, float))):
            raise wrong("the axes are plain scalars", f"{axis}: {value!r}")
    for which, most in record["ceilings"].items():
        try:
            fits = 0 <= Fraction(most) <= 1
        except (ValueError, TypeError, ZeroDivisionError):
            fits = False
        if not fits:
            raise wrong("a ceiling is a fraction as text, such as 1/4", f"{which}: {most!r}")
    for which, counts in record["result"].get("kinds", {}).items():
        if not (isinstance(counts, dict) and 0 <= counts.get("correct", -1) <= counts.get("total", -1)):
            raise wrong("a kind has correct ≤ total", f"{which}: {counts!r}")


def write_record(
    folder: str | os.PathLike[str], record: Mapping[str, Any], predictions: Predictions | None = None
) -> dict[str, Any]:
    """Write predictions.csv and then run.json, which holds its hash; returns the record as written."""
    written = dict(record)
    if predictions is not None:
        text = predictions.to_csv()
        write_text(Path(folder) / PREDICTIONS, text)
        digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        written["result"] = {**record["result"], "predictions": digest}
    check(written)
    write_json(Path(folder) / FILE, written)
    return written


def upgrade(record: dict[str, Any], source: object = None) -> dict[str, Any]:
    """The record in the present schema, whatever older one it was written in."""
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
    return record


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record in a run.json, or in the folder that holds it; upgraded and checked."""
    place = Path(path)
    if place.is_dir():
        place = place / FILE
    content = read_json(place)
    if not isinstance(content, dict):
        raise UserError("not a record", got=place)
    record = upgrade(content, place)
    check(record, place)
    return record


def find_records(folder: str | os.PathLike[str]) -> list[Path]:
    """All run.json below a folder, sorted; what lies in `attempts` or a hidden folder was never published."""
    if not Path(folder).is_dir():
        raise UserError("no such folder", got=folder)
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "attempts" and not name.startswith(".")]
        if FILE in names:
            found.append(Path(place) / FILE)
    return sorted(found)


def read_records(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of all published arms below a folder."""
    return [read_record(path) for path in find_records(folder)]
