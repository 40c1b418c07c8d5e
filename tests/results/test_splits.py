"""Splits as strata: per seed the mean of splits, gains within each split, and no mean of fewer splits than known."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from result_fakes import arm, fill

from fusionlab.errors import UserError
from fusionlab.records.record import find_records, read_record
from fusionlab.results.crossed import compare
from fusionlab.results.csv_table import csv_text
from fusionlab.results.load import TOGETHER, Entry, load
from fusionlab.results.rows import Row, make_rows
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table
from fusionlab.results.text_tables import markdown

OVER = Spec.of({"caption": "c", "over": ["split"]})
SPLITS, SEEDS = (1, 2, 3), (0, 1, 2)
PLACE = {"layer": "relu5", "temporal": "pool2d"}
SHARES = {  # by split: what the control and conv answer rightly
    1: ({"what": 1.0, "binding": 0.5}, {"what": 1.0, "binding": 0.8}),
    2: ({"what": 0.9, "binding": 0.6}, {"what": 0.9, "binding": 0.7}),
    3: ({"what": 0.8, "binding": 0.4}, {"what": 0.7, "binding": 0.9}),
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits")
    for split in SPLITS:
        control, conv = SHARES[split]
        for seed in SEEDS:
            own = {"split": split, "seed": seed}
            config = {"split": split}
            late = {"what": 0.7, "binding": 0.3 + 0.1 * split}
            arm(folder, kind="late", axes={"streams": "both", "fusion": "late", **own}, shares=late, config=config)
            axes = {"streams": "both", "fusion": "control", **PLACE, **own}
            named = arm(folder, kind="control", axes=axes, shares=control, config=config, val_loss=0.1 * split)
            axes["fusion"] = "conv"
            more = {"config": config, "control": named["signature"], "val_loss": 0.2 * split}
            arm(folder, kind="fused", axes=axes, shares=conv, **more)
    return folder


def row_of(entries: list[Entry], kind: str, spec: Spec = OVER) -> Row:
    (row,) = [row for row in make_rows(entries, spec) if row.kind == kind]
    return row


def arms_of(entries: list[Entry], kind: str, split: int) -> list[Entry]:
    own = [entry for entry in entries if entry.kind == kind and entry.axes["split"] == split]
    return sorted(own, key=lambda entry: int(entry.axes["seed"]))


@pytest.mark.parametrize("kind", [TOGETHER, "binding"])
def test_a_gain_is_compared_within_each_split(filled: Path, kind: str) -> None:
    """Against `compare` of what is stacked by hand."""
    entries = load(filled)
    row = row_of(entries, "fused")
    columns, groups, strata = [], [], []
    for split in SPLITS:
        pairs = list(zip(arms_of(entries, "fused", split), arms_of(entries, "control", split), strict=True))
        tests = pairs[0][0].answers.of
        asked = np.array([kind in (TOGETHER, own) for own in tests.kinds])
        d = np.array([one.answers.right.astype(float) - other.answers.right for one, other in pairs])[:, asked]
        columns.append(d)
        names = {name: at for at, name in enumerate(dict.fromkeys(tests.groups or ()))}
        groups += [names[name] for name in np.array(tests.groups)[asked]]
        strata += [split] * d.shape[1]
    by_hand = compare(np.hstack(columns), np.array(groups), strata=np.array(strata))
    gain = row.gains[kind]
    assert gain.method is not None and by_hand.method is not None
    assert gain.mean == pytest.approx(by_hand.mean) and gain.per_seed == pytest.approx(by_hand.per_seed)
    assert gain.groups == by_hand.groups == 3 * len(set(groups))
    assert (gain.method.low, gain.method.high) == pytest.approx((by_hand.method.low, by_hand.method.high))
    assert gain.networks is not None and by_hand.networks is not None
    assert (gain.networks.low, gain.networks.p) == pytest.approx((by_hand.networks.low, by_hand.networks.p))
    assert gain.method != compare(np.hstack(columns), np.array(groups)).method


def test_means_are_over_splits(filled: Path) -> None:
    """Against an index loop over splits, on lists of unlike lengths too: the mean of shares, not the share of all."""
    entries = load(filled)
    for kind in ("late", "control", "fused"):
        share = row_of(entries, kind).shares["binding"]
        for at, seed in enumerate(SEEDS):
            total = 0.0
            for split in SPLITS:
                counts = arms_of(entries, kind, split)[at].result["kinds"]["binding"]
                total += counts["correct"] / counts["total"]
            assert share.per_seed[at] == pytest.approx(total / len(SPLITS)), (kind, seed)
        assert share.videos == 3 * 100


def test_splits_of_unlike_lengths(filled: Path) -> None:
    entries = load(filled)
    for entry in entries:
        if entry.axes["split"] == 2:  # as if its list had a tenth of the videos, all of them answered
            kinds = {"what": {"correct": 6, "total": 6}, "binding": {"correct": 10, "total": 10}}
            entry.record["result"].update(kinds=kinds, correct=16, total=16)
    share = row_of(entries, "late").shares["binding"]
    assert share.mean == pytest.approx((0.4 + 1.0 + 0.6) / 3)


def test_the_gain_of_counts_is_that_of_answers(filled: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(filled, tmp_path / "bare"))
    for path in bare.rglob("predictions.csv"):
        path.unlink()
    known, counted = row_of(load(filled), "fused"), row_of(load(bare), "fused")
    for gains, others in ((known.gains, counted.gains), (known.over_late, counted.over_late)):
        assert gains.keys() == others.keys() and gains
        for kind, gain in gains.items():
            assert others[kind].per_seed == pytest.approx(gain.per_seed) and others[kind].method is None


def test_one_rate_is_selected_for_all_splits(filled: Path) -> None:
    (entry,) = row_of(load(filled), "fused").done[:1]
    assert entry.result["val_loss"] == pytest.approx(0.4) and entry.value("split") is None


@pytest.mark.parametrize("damage", ["absent", "failed", "twice"])
def test_an_arm_that_lacks_a_split_is_in_no_mean(filled: Path, tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(filled, tmp_path / "study"))
    records = {path: read_record(path) for path in find_records(folder)}
    wanted = {"fusion": "conv", "split": 3, "seed": 1}
    (path,) = [path for path, one in records.items() if wanted.items() <= one["axes"].items()]
    axes = records[path]["axes"]
    if damage == "twice":
        config = {"split": 3, "optim": {"lr": 5}}
        arm(folder, kind="fused", axes=axes, config=config, shares=SHARES[3][1])
    else:
        shutil.rmtree(path.parent)
    if damage == "failed":
        arm(folder, kind="fused", axes=axes, reason="out of memory")
    why = {"absent": "no arm of these records", "failed": "out of memory", "twice": "2 arms with equal axes"}[damage]
    row = row_of(load(folder), "fused")
    assert [entry.seed for entry in row.done] == [(0,), (2,)]
    (lacking,) = row.undone
    assert lacking.reason == f"split 3: {why}" and lacking.status == ("missing" if damage == "absent" else "failed")
    table = make_table(load(folder), OVER)
    assert f"split 3: {why}" in markdown(table) and f"split 3: {why}" in csv_text(table)
    assert len(row.gains[TOGETHER].per_seed) == 2


def test_no_breach_of_protocol_between_splits(filled: Path) -> None:
    entries = load(filled)
    for entry in entries:  # other videos, so other bytes and another quarantine
        split = entry.axes["split"]
        entry.record["result"]["data"] = f"{split}" * 64
        entry.record["config"]["data"]["quarantine"] = [f"v{split}"]
    table = make_table(entries, OVER)
    assert not table.apart and not [
        text for text in (*table.marked, *table.notes) if "differs between" in text or "differ in" in text
    ]
    assert any("its accuracies on the splits 1, 2, 3" in note for note in table.notes)
    for entry in entries:
        if entry.axes["split"] == 2 and entry.kind == "fused":
            entry.record["config"]["optim"] = {"lr": 5}
    again = make_table([replace(entry) for entry in entries], OVER)
    assert any("its arms differ in more than the seed: optim.lr" in text for text in again.marked)


def test_one_split_changes_nothing(tmp_path: Path) -> None:
    entries = load(fill(tmp_path, seeds=(0, 1, 2), control=True, config={"split": 1}))
    for spec in ({}, {"rows": ["split"]}):
        one, other = (
            make_table(entries, Spec.of({"caption": "c", **spec, **more})) for more in ({}, {"over": ["split"]})
        )
        assert markdown(one) == markdown(other) and csv_text(one) == csv_text(other)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"over": ["layer"]}, "a row is a mean over seeds, and over splits"),
        ({"over": "split"}, "a row is a mean over seeds, and over splits"),
        ({"over": ["split"], "where": {"split": 1}}, "a mean over an axis has all its values"),
    ],
)
def test_what_no_mean_can_be_over(content: dict[str, object], what: str) -> None:
    with pytest.raises(UserError) as caught:
        Spec.of({"caption": "c", **content})
    assert caught.value.what == what
