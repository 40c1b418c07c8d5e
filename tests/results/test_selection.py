"""Which learning rate a row has: that with the lowest validation loss, the mean over seeds; no test label is read."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from result_fakes import arm, fill

from fusionlab.results.csv_table import csv_text
from fusionlab.results.load import load
from fusionlab.results.report import report
from fusionlab.results.rows import make_rows
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table

RATE = "optim.fusion.lr"
SPEC = Spec.of({"caption": "c", "select": RATE})
PLACE = {"layer": "relu5", "temporal": "pool2d"}
Losses = dict[float, tuple[float | None, ...]]


def trials(folder: Path, fusion: str, losses: Losses, *, control: dict[int, str] | None = None) -> dict[int, str]:
    """Arms of a fusion, or a control, with these validation losses by rate and seed; None: it failed. A signature."""
    signatures = {}
    kind = "control" if fusion == "control" else "fused"
    for rate, own in losses.items():
        for seed, loss in enumerate(own):
            axes = {"streams": "both", "fusion": fusion, **PLACE, RATE: rate, "seed": seed}
            config = {"optim": {"fusion": {"lr": rate}}}
            share = {"what": 1.0, "binding": round(0.5 + rate, 2)}
            reason = "diverged" if loss is None else None
            named = (control or {}).get(seed)
            record = arm(
                folder, kind=kind, axes=axes, config=config, shares=share, reason=reason, control=named, val_loss=loss
            )
            signatures[seed] = record["signature"]
    return signatures


def chosen(folder: Path, fusion: str = "conv") -> float | None:
    (row,) = (row for row in make_rows(load(folder), SPEC) if row.axes.get("fusion") == fusion)
    return row.axes.get(RATE)


@pytest.mark.parametrize(
    ("losses", "rate"),
    [
        ({0.01: (0.5, 0.6), 0.1: (0.4, 0.5), 0.2: (0.9, 0.3)}, 0.1),  # 0.55, 0.45, 0.60: the mean, not the best seed
        ({0.01: (0.5, 0.5), 0.1: (0.5, 0.5), 0.2: (0.6, 0.5)}, 0.01),  # of equal ones the smaller
        ({0.01: (0.9, 0.9), 0.1: (0.1, None)}, 0.01),  # a failed one counts as infinite
        ({0.01: (None, None), 0.1: (None, 0.3)}, 0.01),
        ({0.01: (0.5, 0.5), 0.1: (0.1,)}, 0.01),  # one without all seeds is no trial
    ],
)
def test_the_lowest_mean_validation_loss_is_chosen(tmp_path: Path, losses: Losses, rate: float) -> None:
    trials(tmp_path, "conv", losses)
    assert chosen(tmp_path) == rate


def test_the_control_takes_part_and_pairs_are_by_seed_whatever_the_rates(tmp_path: Path) -> None:
    fill(tmp_path, fusions=())
    signatures = trials(tmp_path, "control", {0.01: (0.4, 0.4), 0.1: (0.6, 0.6)})
    trials(tmp_path, "conv", {0.01: (0.5, 0.5), 0.1: (0.4, 0.4), 0.2: (0.5, 0.5)}, control=signatures)
    table = make_table(load(tmp_path), SPEC)
    rows = {row.axes.get("fusion"): row for row in table.rows}
    assert rows["control"].axes[RATE] == 0.01 and rows["conv"].axes[RATE] == 0.1
    assert rows["conv"].control is rows["control"]
    assert rows["conv"].gains["binding"].per_seed == pytest.approx((0.6 - 0.51,) * 2)
    marks = {line.row.axes.get("fusion"): [table.marked[mark - 1] for mark in line.marks] for line in table.lines}
    assert [note for note in marks["control"] if note.startswith("its optim.fusion.lr=0.01 lies at the edge of")]
    assert not [note for note in marks["conv"] if "edge" in note]
    assert RATE in [column.head for column in table.columns], "a column shows the chosen rate"
    assert "Conv" in table.headline and "0.1" not in table.headline.split("(")[1]


def test_the_csv_has_all_trials(tmp_path: Path) -> None:
    trials(tmp_path, "conv", {0.01: (0.5, 0.7), 0.1: (0.4, 0.4), 0.2: (0.1, None)})
    lines = list(csv.DictReader(io.StringIO(csv_text(make_table(load(tmp_path), SPEC)))))
    assert [(line[RATE], line["val_loss"], line["chosen"], line["status"]) for line in lines] == [
        ("0.1", "0.4", "yes", "done"), ("0.01", "0.6", "no", "not chosen"), ("0.2", "inf", "no", "not chosen"),
    ]  # fmt: skip


def test_the_predictions_of_other_trials_are_not_opened(tmp_path: Path) -> None:
    trials(tmp_path, "conv", {0.01: (0.5, 0.7), 0.1: (0.4, 0.4)})
    for entry in load(tmp_path):
        if entry.axes[RATE] == 0.01:
            (entry.folder / "predictions.csv").write_bytes(b"\xff no predictions")
    table = make_table(load(tmp_path), SPEC)
    csv_text(table)
    assert not [note for note in (*table.marked, *table.notes) if "predictions do" in note or "damaged" in note]
    (row,) = table.rows
    assert row.accuracy.mean == pytest.approx((60 + 60) / 160)
    (entry, *_) = (entry for entry in load(tmp_path) if entry.axes[RATE] == 0.01)
    with pytest.raises(Exception, match="do not belong"):
        _ = entry.answers


def test_while_no_rate_has_all_seeds_nothing_is_chosen(tmp_path: Path) -> None:
    trials(tmp_path, "conv", {0.01: (0.5,), 0.1: (0.4, None)})
    for entry in load(tmp_path):
        if entry.axes == {"streams": "both", "fusion": "conv", **PLACE, RATE: 0.1, "seed": 0}:
            (entry.folder / "run.json").unlink()
    (row,) = make_rows(load(tmp_path), SPEC)
    assert row.done == () and RATE not in row.axes and len(row.trials) == 2


def test_without_the_option_each_rate_is_a_row(tmp_path: Path) -> None:
    trials(tmp_path, "conv", {0.01: (0.5, 0.7), 0.1: (0.4, 0.4)})
    assert len(make_rows(load(tmp_path), Spec.of({"caption": "c"}))) == 2


def test_streams_and_late_fusion_share_the_grid_of_rates_and_have_none(tmp_path: Path) -> None:
    """No option of the fusions' training has an effect on them: one row, no rate, no mark, no trials."""
    for rate in (0.01, 0.1):
        axes = {"streams": "both", "fusion": "late", RATE: rate, "seed": 0}
        arm(tmp_path, kind="late", axes=axes, shares={"what": 1.0, "binding": 0.5}, val_loss=0.5)
    late = {entry.axes[RATE]: entry.record["signature"] for entry in load(tmp_path)}
    deep = {"streams": "both", "fusion": "sum", "layer": "fc8", RATE: 0.1, "seed": 0}
    config = {"optim": {"fusion": {"lr": 0.1}}}
    arm(tmp_path, kind="fused", axes=deep, control=late[0.1], config=config, val_loss=0.3)
    table = make_table(load(tmp_path), SPEC)
    row, fused = table.rows
    assert RATE not in row.axes and row.tried == () and len(row.done) == 1
    assert not [note for note in table.marked if "edge" in note]
    assert fused.control is row, "whatever the rate of the late fusion that its record names"
    assert [line["status"] for line in csv.DictReader(io.StringIO(csv_text(table)))] == ["done", "done"]


def test_the_predictions_of_unchosen_trials_stay_closed(tmp_path: Path) -> None:
    """They are damaged, which nobody sees, and they have no column in answers.csv; nor have their towers."""
    study = tmp_path / "study"
    fill(study, seeds=(0, 1), fusions=())
    losses = {0.01: (0.5, 0.6), 0.1: (0.4, 0.5)}
    trials(study, "conv", losses, control=trials(study, "control", losses))
    open_names = set()
    for entry in load(study):
        if entry.axes.get(RATE) == 0.01:
            assert entry.folder is not None
            (entry.folder / "predictions.csv").write_text("damaged")
        else:
            open_names.add(entry.name)
    for spec in (SPEC, Spec.of({"caption": "c", "select": RATE, "control": "column"})):
        report(study, spec, tmp_path / "report", answers=True)
        text = (tmp_path / "report" / "answers.csv").read_text()
        assert set(next(csv.reader(io.StringIO(text)))[4:]) == open_names and len(open_names) == 2 * 5
