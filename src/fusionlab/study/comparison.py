"""The differences between two results of one job. There should be none, so each is reported."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.environment import changed_arithmetic
from fusionlab.records.files import read_json, read_whole
from fusionlab.records.record import UNREPRODUCED, without_curves
from fusionlab.records.signature import differing

LOGGED = ("metrics.csv", "hparams.yaml")  # of logger=csv, which repeats the record


def differences(first: Path, second: Path) -> list[str]:
    """One line per difference between two result folders: names of files, leaves of JSON, lines of CSV.

    Other files (weights, packed frames) are compared by name only: their hashes are in the records.
    """
    names_first, names_second = _files(first), _files(second)
    lines = [f"{name}: only in the published result" for name in sorted(names_first - names_second)]
    lines += [f"{name}: only in the later result" for name in sorted(names_second - names_first)]
    for name in sorted(names_first & names_second):
        if name.endswith(".json"):
            lines += [f"{name}: {line}" for line in _json(first / name, second / name)]
        elif name.endswith(".csv"):
            lines += [f"{name}: {line}" for line in _csv(first / name, second / name)]
    return lines


def _files(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name not in LOGGED)
    return {str(path.relative_to(folder)) for path in paths if not path.name.startswith(".")}


def _json(first: Path, second: Path) -> list[str]:
    sides: list[Mapping[str, Any]] = []
    environments: list[Mapping[str, Any]] = []
    for path in (first, second):
        try:
            content = read_json(path)
        except UserError as error:
            return [error.brief]
        whole = content if isinstance(content, dict) else {"": content}
        sides.append({key: value for key, value in whole.items() if key not in UNREPRODUCED})
        environments.append(whole.get("circumstances") or {})
    if all(isinstance(side.get("result"), Mapping) for side in sides):
        results = without_curves(*(side["result"] for side in sides))
        sides = [{**side, "result": result} for side, result in zip(sides, results, strict=True)]
    lines = [f"{leaf}: {one!r} published, {other!r} later" for leaf, one, other in differing(*sides)]
    if lines and (changed := changed_arithmetic(*environments)):
        lines.append(f"equality is not promised here: {changed}")
    return lines


def _csv(first: Path, second: Path) -> list[str]:
    both = (read_whole(path).splitlines() for path in (first, second))
    different = [number for number, (a, b) in enumerate(itertools.zip_longest(*both), start=1) if a != b]
    return [f"{len(different)} lines differ, the first is line {different[0]}"] if different else []
