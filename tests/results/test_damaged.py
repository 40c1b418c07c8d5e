"""One damaged record costs its row, no more: every kind of damage in every place, through report, status and diff."""

from __future__ import annotations

import copy
import csv
import io
import itertools
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fusionlab import diff, status
from fusionlab.errors import UNSAFE, UserError
from fusionlab.records.record import find_records, read_record
from fusionlab.results.report import report
from fusionlab.study.plan import Arm, Job, Plan
from fusionlab.study.status import Status

STEER = "\x1b[2J\x9b\u202e\ud800\ufffe\u2028\x00]]>"
VALUES = [
    None, [], {}, "", "x", "²", "=1+1", STEER, -1, 0, 1.5, 1e308, True, 10**200, 10**299, [[1]], [None], {"a": {"b": []}},
    {"correct": 1, "total": "2"}, "1e-999999999", "1/0", "9" * 5000, "x\r\ny" * 1000,
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
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def look(study: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Report and status as a command gives them; each output is well-formed and safe to show."""
    rows = Status(study).summary().arms
    unfinished = {row.name: (row.reason, row.log) for row in rows if row.state == "failed" and row.reason}
    out = study.parent / "out"
    text = report(study, {"caption": "?"}, out, unfinished=unfinished)
    assert "Sum" in text and "Appearance alone" in text
    status.main([str(study)])
    told = capsys.readouterr().out
    for shown in (text, told, *(file.read_text(encoding="utf-8") for file in out.iterdir())):
        assert not UNSAFE.search(shown)
    ElementTree.fromstring((out / "plot.svg").read_text(encoding="utf-8"))
    reader = Reader()
    reader.feed((out / "index.html").read_text(encoding="utf-8"))
    assert reader.open == []
    for line in csv.reader(io.StringIO((out / "table.csv").read_text(encoding="utf-8"))):
        assert not [cell for cell in line if cell[:1] in tuple("=@+") and not cell[1:].replace(".", "").isdigit()]
    return text, told


def differ(one: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert diff.main([str(one), str(other)]) in (0, 1)
    except UserError as error:
        assert "run.json" in str(error)
        assert not UNSAFE.search(str(error))
    assert not UNSAFE.search(capsys.readouterr().out)


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


@pytest.mark.parametrize(("first", "which"), list(enumerate(["fusion=conv", "fusion=late", "streams=motion"])))
def test_any_damage_in_any_place_of_a_record(small, first, which, capsys):
    (place,) = [path for path in find_records(small) if which in path.parent.name]
    other = next(path for path in find_records(small) if path != place)
    good = place.read_text(encoding="utf-8")
    refused = set()
    for what, text in itertools.islice(all_damages(json.loads(good)), first, None, 3):  # each is tried on one of the three
        place.write_text(text, encoding="utf-8")
        try:
            text, told = look(small, capsys)
            differ(other, place, capsys)
        except Exception as error:
            raise AssertionError(f"{which}: {what}") from error
        refused.add("cannot be read" in told)
        assert ("cannot be read" in told) == ("cannot be read" in text), what
        assert "cannot be read" not in told or "run.json" in told, what
    place.write_text(good, encoding="utf-8")
    assert refused == {True, False}
