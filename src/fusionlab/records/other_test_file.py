"""test.json: another test of a trained arm, in a folder `tests/<name>/` beside its record, which does not change.

    schema         the version of this format
    test           views, ablate, combine, of: see `other_tests`
    signature      of the arm
    weights        the fingerprint of the weights that were tested, as in the arm's record
    result         accuracy, correct, total, kinds, towers as in a record, and the sha256 of predictions.csv and of
                   heads.npz; `chosen`: what a combination chose on another list
    circumstances  machine, versions, seconds
    digest         sha256 of all of this but the circumstances; a test that was edited is refused

Beside it lie predictions.csv; heads.npz, where a network computed the scores; and the csv of each tower of a control.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import read_json, read_whole, write_bytes, write_json
from fusionlab.records.other_tests import FILE, OtherTest
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import TOWERS, Predictions, tower_file, write_predictions
from fusionlab.records.record import LARGEST, TESTED, TEXT, TREE, Rule, misfit
from fusionlab.records.signature import canonical

SCHEMA = 1
HEADS = "heads.npz"
_LARGEST = 1 << 30  # bytes of a file beside it; two heads of 40,000 videos of 700 classes have 448 MB
_WORD = Rule("text, or null", lambda value: value is None or isinstance(value, str))
_TEST: dict[str, Any] = {
    "schema": Rule(f"schema {SCHEMA}", lambda value: type(value) is int and value == SCHEMA),
    "test": {"views": TEXT, "ablate": _WORD, "combine": TEXT, "of": TEXT},
    "signature": TEXT,
    "weights": _WORD,
    "result": {
        **TESTED,
        "heads?": TEXT,
        "head_names?": [TEXT],
        "chosen?": TREE,
        "towers?": {f"{tower}?": TESTED for tower in TOWERS},
    },
    "circumstances": {"*": TREE},
    "digest?": TEXT,
}


def write_other_test(
    folder: Path,
    test: OtherTest,
    arm: Mapping[str, Any],
    result: Mapping[str, Any],
    predictions: Predictions,
    *,
    towers: Mapping[str, Predictions] | None = None,
    heads: bytes | None = None,
    circumstances: Mapping[str, Any] | None = None,
) -> None:
    """Write the files of a test into a folder that is published later, so they are not synced one by one.

    `arm`: the signature and the weights of what was tested. `heads`: the content of heads.npz.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, own: Predictions) -> str:
        return write_predictions(folder / name, own, sync=False)

    written = {**result, "predictions": write(PREDICTIONS, predictions)}
    if towers:
        known = result["towers"]
        written["towers"] = {t: {**known[t], "predictions": write(tower_file(t), own)} for t, own in towers.items()}
    if heads is not None:
        write_bytes(folder / HEADS, heads, sync=False)
        written["heads"] = hashlib.sha256(heads).hexdigest()
    content = {
        "schema": SCHEMA,
        "test": test.to_dict(),
        "signature": arm["signature"],
        "weights": arm["weights"],
        "result": written,
        "circumstances": dict(circumstances or {}),
    }
    content["digest"] = _digest(content)
    _check(content, folder)
    write_json(folder / FILE, content, sync=False)


def read_other_test(folder: Path, test: OtherTest, arm: Mapping[str, Any]) -> dict[str, Any]:
    """The test in a folder; a `UserError` if it is damaged, or of another test, arm or weights."""
    content = read_json(folder / FILE, LARGEST)
    if not isinstance(content, dict):
        raise UserError("not a test of an arm", got=folder / FILE)
    _check(content, folder)
    for name, expected in (("test", test.to_dict()), ("signature", arm["signature"]), ("weights", arm["weights"])):
        if content[name] != expected:
            raise UserError(
                f"this test is not of this arm: another {name}", got=f"{content[name]} in {folder / FILE}",
                allowed=[str(expected)], hint=f"rm -r '{folder}', then the same command",
            )  # fmt: skip
    if content.get("digest") not in (None, _digest(content)):
        raise UserError("this test was edited", got=folder / FILE, hint=f"rm -r '{folder}', then the same command")
    return content


def expect_files(folder: Path, result: Mapping[str, Any]) -> None:
    """Raise a `UserError` unless all files beside a test.json with this result are as they were written."""
    towers = {tower_file(tower): own["predictions"] for tower, own in result.get("towers", {}).items()}
    heads = {HEADS: result["heads"]} if "heads" in result else {}
    for name, digest in {PREDICTIONS: result.get("predictions"), **towers, **heads}.items():
        if hashlib.sha256(read_whole(folder / name, _LARGEST)).hexdigest() != digest:
            raise UserError("a file is not that of its test", got=folder / name, hint=f"rm -r '{folder}'")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical({**content, "circumstances": None, "digest": None}).encode("utf-8")).hexdigest()


def _check(content: Mapping[str, Any], folder: Path) -> None:
    if wrong := misfit(content, _TEST):
        raise UserError(f"not a valid test: {wrong[0]}", got=f"{str(wrong[1])[:100]} in {folder / FILE}")


def arm_identity(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a test says of its arm: signature and weights."""
    return {"signature": record["signature"], "weights": record["result"].get("weights")}
