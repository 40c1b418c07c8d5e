"""What the tables of `make demo` must show; the check itself is tried on altered records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tree import ROOT

import fusionlab
from fusionlab.results.load import Entry, load
from fusionlab.results.rows import Row, make_rows
from fusionlab.results.spec import Spec

# experiment -> the kind of question, the rows of which the best leads, those which it leads, and by how many points
LEADS: dict[str, tuple[str, Callable[[Row], bool], Callable[[Row], bool], float]] = {
    "demo": ("binding", lambda row: row.kind == "fused", lambda row: row.kind in ("late", "control"), 25),
    "demo_order": (
        "order",
        lambda row: row.kind in ("fused", "control") and row.axes["temporal"] == "conv3d",
        lambda row: row.axes.get("temporal") == "pool2d",
        20,
    ),
}


def errors(experiment: str, entries: Sequence[Entry]) -> list[str]:
    """What is wrong with a demo's records: nothing, if its table shows what it must."""
    found = [f"{entry.name}: {entry.reason}" for entry in entries if entry.status != "done"]
    rows = make_rows(entries, Spec(""))
    for row in rows:
        for kind, share in row.shares.items():
            if share.ceiling is not None and share.low > share.ceiling:
                found.append(f"{row.method} {dict(row.axes)}: {share.mean:.1%} of {kind} is above {share.ceiling}")
    missing = {"stream", "late", "control", "fused"} - {row.kind for row in rows if row.done}
    found += [f"no {kind} is there" for kind in sorted(missing)]
    kind, better, worse, points = LEADS[experiment]
    high, low = ([row.shares[kind].mean for row in rows if of(row) and kind in row.shares] for of in (better, worse))
    if not high or not low:
        return [*found, f"a row of {kind} is not there"]
    if not 100 * (max(high) - max(low)) >= points:
        found.append(f"{kind}: {max(high):.1%} is not {points} points over {max(low):.1%}")
    return found


@pytest.mark.notebook
@pytest.mark.parametrize("experiment", LEADS)
def test_the_demo_shows_what_it_must(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert not errors(experiment, fusionlab.Study.plan(experiment=experiment).entries)


# The records in experiments/ that answer the same questions.
RECORDS = {"demo": "demo", "demo_order": "order"}


def altered(entries: list[Entry], name: str, kind: str, share: float) -> list[Entry]:
    """The records with this share of right answers to one kind of question in the arms of this name."""
    new = []
    for entry in entries:
        result = dict(entry.result)
        if name in entry.name:
            total = result["kinds"][kind]["total"]
            right = {"correct": round(share * total), "total": total}
            result["kinds"] = {**result["kinds"], kind: right}
        new.append(replace(entry, record={**entry.record, "result": result}))
    assert new != entries
    return new


def recorded(experiment: str) -> list[Entry]:
    return load(Path(ROOT, "experiments", RECORDS[experiment], "records"))


@pytest.mark.parametrize("experiment", LEADS)
def test_the_records_of_the_experiments_pass(experiment: str) -> None:
    assert not errors(experiment, recorded(experiment))


@pytest.mark.parametrize(
    ("experiment", "name", "kind", "share", "error"),
    [
        ("demo", "fusion=late", "binding", 0.6, "Late fusion"),
        ("demo", "streams=motion", "what", 0.5, "Motion alone"),
        ("demo", "streams=appearance", "binding", 0.35, "Appearance alone"),
        ("demo", "layer=relu5", "binding", 0.64, "binding: 64"),
        ("demo_order", "temporal=pool2d", "order", 0.6, "Sum"),
        ("demo_order", "temporal=conv3d", "order", 0.65, "order: 6"),
    ],
)
def test_a_wrong_number_is_found(experiment: str, name: str, kind: str, share: float, error: str) -> None:
    found = errors(experiment, altered(recorded(experiment), name, kind, share))
    assert any(one.startswith(error) for one in found), found


@pytest.mark.parametrize(("experiment", "name"), [("demo", "fusion=late"), ("demo_order", "temporal=conv3d")])
def test_an_arm_that_failed_or_is_not_there_is_found(experiment: str, name: str) -> None:
    entries = recorded(experiment)
    failed = [replace(one, status="failed", reason="killed") if name in one.name else one for one in entries]
    assert any("killed" in one for one in errors(experiment, failed))
    assert errors(experiment, [one for one in entries if name not in one.name])
