"""One damaged record costs its row, no more: every kind of damage in every place, through report, status and diff."""

from __future__ import annotations

import contextlib
import copy
import csv
import hashlib
import io
import itertools
import json
import os
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from fusionlab import diff, status
from fusionlab.errors import UNSAFE, UserError
from fusionlab.monitor.status import Status
from fusionlab.records.record import find_records, read_record
from fusionlab.results import load
from fusionlab.results.report import report
from fusionlab.study.plan import Arm, Job, Plan

STEER = "\x1b[2J\x9b\u202e\ud800\ufffe\u2028\x00]]>"
VALUES = [
    None, [], {}, "", "x", "²", "=1+1", STEER, -1, 0, 1.5, 1e308, True, 10**200, 10**299, [[1]], [None],
    {"a": {"b": []}}, {"correct": 1, "total": "2"}, "1e-999999999", "1/0", "9" * 5000, "x\r\ny" * 1000,
]  # fmt: skip
RAW = ["[" * 10**6, "[" * 70 + "]" * 70, "1e309", "-1e309", "NaN", "Infinity", "1" * 10**5, "", '"\\ud800"', '"']
MARK = "@@mark@@"


def leaves(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of everything in a tree, its inner nodes too."""
    if at:
        yield at
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in inner:
        yield from leaves(child, (*at, name))


def changed(record: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    other = copy.deepcopy(record)
    node: Any = other
    for name in at[:-1]:
        node = node[name]
    node[at[-1]] = value
    return other


def renamed(record: dict[str, Any], at: tuple[Any, ...], name: str) -> dict[str, Any]:
    other = copy.deepcopy(record)
    node: Any = other
    for word in at[:-1]:
        node = node[word]
    node[name] = node.pop(at[-1])
    return other


@pytest.fixture(scope="module")
def small(tmp_path_factory, fakes) -> Path:
    """A planned study of five arms, a job each."""
    study = tmp_path_factory.mktemp("damaged") / "study"
    loose = tmp_path_factory.mktemp("loose")
    fakes["fill"](loose, seeds=(0,), fusions=("sum", "conv"))
    jobs, arms = [], []
    for number, place in enumerate(find_records(loose)):
        record = read_record(place)
        job = f"job-{number}"
        final = study / "jobs" / job / "published" / record["name"]
        final.parent.mkdir(parents=True)
        place.parent.rename(final)
        kind = "stream" if record["kind"] == "stream" else "cohort"
        jobs.append(Job(job, kind, f"jobs/{job}", (), {"seed": number}, (record["name"],)))
        parts = (record["name"], record["kind"], record["axes"], record["signature"], record["config"], job)
        arms.append(Arm(*parts))
    Plan.of("sweep", jobs, arms).write(study)
    return study


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "input", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def look(study: Path, capsys: pytest.CaptureFixture[str], *, drawn: bool = True) -> tuple[str, str]:
    """Report and status as a command gives them; each output is well-formed and safe to show.

    Figures take most of a report's time; without `drawn` there are none.
    """
    rows = Status(study).summary().arms
    unfinished = {row.name: (row.reason, row.log) for row in rows if row.state == "failed" and row.reason}
    out = study.parent / "out"
    with contextlib.nullcontext() if drawn else patch("fusionlab.results.figures.make_figures", return_value=[]):
        text = report(study, {"caption": "?"}, out, unfinished=unfinished)
    assert "Sum" in text and "Appearance alone" in text
    status.main([str(study)])
    shown_status = capsys.readouterr().out
    for shown in (text, shown_status, *(file.read_text(encoding="utf-8") for file in out.iterdir() if file.is_file())):
        assert not UNSAFE.search(shown)
    for figure in (out / "figures").glob("*.svg"):
        ElementTree.fromstring(figure.read_text(encoding="utf-8"))
    assert (out / "figures/accuracy.svg").is_file() == drawn
    reader = Reader()
    reader.feed((out / "index.html").read_text(encoding="utf-8"))
    assert reader.open == []
    for line in csv.reader(io.StringIO((out / "table.csv").read_text(encoding="utf-8"))):
        assert not [cell for cell in line if cell[:1] in tuple("=@+") and not cell[1:].replace(".", "").isdigit()]
    return text, shown_status


def differ(one: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert diff.main([str(one), str(other)]) in (0, 1)
        message = "run.json"
    except UserError as error:
        message = str(error)
    assert "run.json" in message
    assert not UNSAFE.search(message + capsys.readouterr().out)


def all_damages(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for at in leaves(record):
        for value in VALUES:
            yield f"{at} {ascii(value)[:30]}", json.dumps(changed(record, at, value))
        for name in ("", "x", "all", STEER):
            if isinstance(at[-1], str):
                yield f"{at} renamed", json.dumps(renamed(record, at, name))
        shorter = copy.deepcopy(record)
        node: Any = shorter
        for word in at[:-1]:
            node = node[word]
        del node[at[-1]]
        yield f"{at} gone", json.dumps(shorter)
    for at in [("name",), ("result", "accuracy"), ("config", "seed", "init"), ("axes", "seed"), ("circumstances", "x")]:
        for raw in RAW:
            yield f"{at} {raw[:10]}", json.dumps(changed(record, at, MARK)).replace(f'"{MARK}"', raw)


@pytest.mark.parametrize("step", [60, pytest.param(3, marks=pytest.mark.slow)])  # the slow test tries each damage
@pytest.mark.parametrize(("first", "which"), list(enumerate(["fusion=conv", "fusion=late", "streams=motion"])))
def test_any_damage_in_any_place_of_a_record(small, first, which, step, capsys):
    (place,) = [path for path in find_records(small) if which in path.parent.name]
    other = next(path for path in find_records(small) if path != place)
    good = place.read_text(encoding="utf-8")
    refused = set()
    damages = itertools.islice(all_damages(json.loads(good)), first, None, step)  # each on one of the three
    for number, (what, text) in enumerate(damages):
        place.write_text(text, encoding="utf-8")
        try:
            text, shown_status = look(small, capsys, drawn=number % 20 == 0)
            differ(other, place, capsys)
        except Exception as error:
            raise AssertionError(f"{which}: {what}") from error
        refused.add("cannot be read" in shown_status)
        assert ("cannot be read" in shown_status) == ("cannot be read" in text), what
        assert "cannot be read" not in shown_status or "run.json" in shown_status, what
    place.write_text(good, encoding="utf-8")
    assert refused == {True, False}


PREDICTIONS = {
    "not UTF-8": b"video,label,predicted,score_Hand\nv,Hand,Hand,\xff\n",
    "a sign of 0 bytes": b"video,label,predicted,score_Hand\nv\0,Hand\0,Hand,1\n",
    "other columns": b"a,b\n1,2\n",
    "no score": b"video,label,predicted\nv,Hand,Hand\n",
    "no video": b"video,label,predicted,score_Hand\n",
    "infinite": b"video,label,predicted,score_Hand\nv,Hand,Hand,inf\n",
    "no number": b"video,label,predicted,score_Hand\nv,Hand,Hand,nan\n",
    "no float32": b"video,label,predicted,score_Hand\nv,Hand,Hand,1e308\n",
    "a cell of 10^7 signs": b"video,label,predicted,score_Hand\n" + b"v" * 10**7 + b",Hand,Hand,1\n",
    "an open quote": b'video,label,predicted,score_Hand\n"v,Hand,Hand,1\n',
    "nothing": b"",
    "other videos": b"video,label,predicted,score_Hand\n" + STEER.encode("utf-8", "ignore") + b",Hand,Hand,1\n",
}


def conv_of_seed_0(study: Path) -> Path:
    records = {path: read_record(path) for path in find_records(study)}
    return next(
        path for path, one in records.items() if one["axes"].get("fusion") == "conv" and not one["axes"]["seed"]
    )


def put(place: Path, what: object) -> None:
    place.unlink(missing_ok=True)
    if isinstance(what, bytes):
        place.write_bytes(what)
    elif what == "a pipe":
        os.mkfifo(place)
    elif what == "a device":
        place.symlink_to("/dev/zero")
    elif what == "a folder":
        place.mkdir()
    elif what == "too large":
        with place.open("wb") as file:
            file.truncate(1 << 40)
    else:
        assert what == "missing"


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("what", [*PREDICTIONS, "missing", "a pipe", "a device", "a folder", "too large"])
def test_damaged_predictions_cost_the_gain_of_their_row(study, spec, what, hashed, monkeypatch):
    monkeypatch.setattr(load, "LARGEST", 1 << 20)  # else half a gigabyte is read of what is too large

    def rows() -> list[str]:
        text = report(study, spec, study / "report")
        return [line for line in text.splitlines() if line.startswith(("Sum", "Max", "Late", "Appearance", "Motion"))]

    before, place = rows(), conv_of_seed_0(study)
    content = PREDICTIONS.get(what, what)
    put(place.with_name("predictions.csv"), content)
    if hashed and isinstance(content, bytes):  # the record was made from them, it says
        record = json.loads(place.read_text(encoding="utf-8"))
        record["result"]["predictions"] = hashlib.sha256(content).hexdigest()
        place.write_text(json.dumps(record), encoding="utf-8")
    assert rows() == before
    text = (study / "report" / "table.md").read_text(encoding="utf-8")
    assert "(seed 0)" in text
    assert not UNSAFE.search(text)


@pytest.mark.parametrize("what", [b"{", b"[1]", b"\xff", b"[" * 10**6, b"", "a pipe", "a device", "too large"])
def test_a_damaged_record_in_a_folder_without_a_plan_is_a_row_with_its_reason(study, spec, what, capsys):
    place = conv_of_seed_0(study)
    put(place, what)
    text = report(study, spec, study / "report")
    (row,) = [line for line in text.splitlines() if line.startswith(place.parent.name)]
    assert "failed: its record cannot be read: " in row
    assert str(place) in row
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("Conv", "Sum", "Late", "Motion"))]
    lines = list(csv.DictReader(io.StringIO((study / "report" / "table.csv").read_text(encoding="utf-8"))))
    assert [line["reason"][:25] for line in lines if line["kind"] == "damaged"] == ["its record cannot be read"]
    with pytest.raises(UserError, match=r"run\.json"):
        diff.main([str(place), str(next(path for path in find_records(study) if path != place))])


def test_of_a_job_of_several_arms_each_row_says_its_own_reason(small, tmp_path):
    study = tmp_path / "together"
    arms, names = [], []
    for place in find_records(small):
        record = read_record(place)
        shutil.copytree(place.parent, study / "job" / "published" / record["name"])
        names.append(record["name"])
        parts = (record["name"], record["kind"], record["axes"], record["signature"], record["config"], "all")
        arms.append(Arm(*parts))
    Plan.of("sweep", [Job("all", "cohort", "job", (), {}, tuple(names))], arms).write(study)
    (study / "job" / "published" / names[0] / "run.json").write_text("{", encoding="utf-8")
    (study / "job" / "published" / names[1] / "run.json").write_text("[]", encoding="utf-8")
    (study / "job" / "published" / names[2] / "run.json").unlink()
    rows = Status(study).summary().arms
    assert [row.state for row in rows] == ["failed"] * 3 + ["done"] * (len(rows) - 3)
    assert rows[0].reason and "not a readable JSON" in rows[0].reason and names[0] in rows[0].reason
    assert rows[1].reason and "not a record" in rows[1].reason and names[1] in rows[1].reason
    assert rows[2].reason == "its job was published without a record of it"


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", " =1", "＝1", "-inf", "-1_0", "-"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_of_the_csv_is_no_formula(tmp_path, fakes, text):
    axes = {"streams": "both", "fusion": text, text: text, "seed": 0}
    fakes["arm"](tmp_path, kind="fused", axes=axes, shares={"what": 0.5, "binding": 0.5})
    fakes["arm"](tmp_path, kind="fused", axes={**axes, "seed": 1}, reason=text)
    report(tmp_path, {"caption": "?"}, tmp_path / "report")
    head, *lines = csv.reader(io.StringIO((tmp_path / "report" / "table.csv").read_text(encoding="utf-8")))
    assert text not in [cell for line in (head, *lines) for cell in line]
    assert f"'{text}" in head
    assert all(line[head.index("fusion")] == f"'{text}" for line in lines)
    assert f"'{text}" in [line[head.index("reason")] for line in lines]


def test_numbers_and_names_of_the_csv_stay(tmp_path, fakes):
    for number, value in enumerate([-0.5, "-1e-3", "+5", "卷积", "naïve", "👩\u200d🔬", "a=b"]):
        axes = {"streams": "both", "fusion": "sum", "dose": value, "seed": number}
        fakes["arm"](tmp_path, kind="fused", axes=axes, shares={"what": 0.5, "binding": 0.5})
    report(tmp_path, {"caption": "?"}, tmp_path / "report")
    lines = csv.DictReader(io.StringIO((tmp_path / "report" / "table.csv").read_text(encoding="utf-8")))
    assert {line["dose"] for line in lines} == {"-0.5", "-1e-3", "+5", "卷积", "naïve", "👩\u200d🔬", "a=b"}


def test_counts_that_know_other_kinds_than_the_predictions(study, fakes):
    """The gain is asked for on a kind that the predictions have and the counts have not."""
    for path in find_records(study):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["axes"].get("fusion") == "conv":
            del record["result"]["kinds"]["binding"]
            path.write_text(json.dumps(record), encoding="utf-8")
    text = report(study, {**fakes["table_spec"]("how"), "gain": "binding"}, study / "report")
    assert "Gains over late fusion on binding: from +24.0 (Max) to +40.0 (Sum) points" in text
    assert [line for line in text.splitlines() if line.startswith("Conv")]


def test_a_table_over_two_splits_whose_best_and_worst_cannot_be_paired(tmp_path, fakes):
    for split, fusion in ((1, "sum"), (2, "conv")):
        for seed in (0, 1):
            shares = {"what": 1.0, "binding": 0.5}
            axes = {"streams": "both", "data.split": split, "seed": seed}
            fakes["arm"](tmp_path, kind="late", axes={**axes, "fusion": "late"}, shares=shares)
            fakes["arm"](tmp_path, kind="fused", axes={**axes, "fusion": fusion}, shares={**shares, "binding": 0.9})
    for path in find_records(tmp_path):
        record = read_record(path)
        if record["axes"]["data.split"] == 2:
            place = path.with_name("predictions.csv")
            content = place.read_text(encoding="utf-8").replace("\nv_", "\nother_")
            place.write_text(content, encoding="utf-8")
            record["result"]["predictions"] = hashlib.sha256(content.encode()).hexdigest()
            path.write_text(json.dumps(record), encoding="utf-8")
    text = report(tmp_path, {"caption": "?"}, tmp_path / "report")
    assert "from +40.0 (Sum split=1) to +40.0 (Conv split=2) points" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("Sum", "Conv"))] == ["Sum", "Conv"]
