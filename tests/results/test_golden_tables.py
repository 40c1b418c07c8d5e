"""Golden tables: what each sort of study looks like, in every format of text.

After a change that is meant: `FUSIONLAB_GOLDEN=write python -m pytest tests/results/test_golden_tables.py`, and read
the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fusionlab.results.csv_table import csv_text
from fusionlab.results.latex import latex, short_latex
from fusionlab.results.load import Entry, load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table
from fusionlab.results.text_tables import markdown, terminal

GOLDEN = Path(__file__).parent / "golden"
WRITERS = {"md": markdown, "csv": csv_text, "tex": latex, "short.tex": short_latex, "txt": terminal}
PLACE = {"streams": "both", "layer": "relu5", "temporal": "pool2d"}


def add(fakes, folder, fusion, seeds=(0, 1, 2), shares=None, **more):
    for seed in seeds:
        own = shares or {"what": 1.0, "binding": 0.9 - 0.02 * seed}
        axes = {**PLACE, "fusion": fusion, **more.pop("axes", {}), "seed": seed}
        fakes["arm"](folder, kind="fused", axes=axes, shares=own, **more)


def complete(folder, fakes):
    fakes["fill"](folder, seeds=(0, 1, 2), control=True)


def one_seed(folder, fakes):
    fakes["fill"](folder, seeds=(0,), fusions=("sum",), control=True)


def failed(folder, fakes):
    fakes["fill"](folder, fusions=("sum",))
    add(fakes, folder, "conv", seeds=(0,), reason="out of memory, with 1 arm in the job")


def ties(folder, fakes):
    fakes["fill"](folder, seeds=(0, 1, 2), fusions=(), control=True)
    for fusion in ("max", "sum"):
        add(fakes, folder, fusion, shares={"what": 1.0, "binding": 0.75})


def not_converged(folder, fakes):
    fakes["fill"](folder, fusions=("sum",))
    add(fakes, folder, "conv", seeds=(0, 1), converged=False)


def mixed_protocols(folder, fakes):
    fakes["fill"](folder, fusions=("max", "sum"), config={"optim": {"streams": {"epochs": 4}, "fusion": {"epochs": 4}}})
    add(fakes, folder, "conv", seeds=(0, 1), config={"optim": {"streams": {"epochs": 4}, "fusion": {"epochs": 9}}})


def chosen_by_validation(folder, fakes):
    fakes["fill"](folder, fusions=())
    for rate, loss in ((0.01, 0.9), (0.1, 0.4), (1.0, 0.7)):
        for seed in (0, 1):
            axes = {**PLACE, "fusion": "sum", "optim.fusion.lr": rate, "seed": seed}
            shares = {"what": 1.0, "binding": 0.8}
            fakes["arm"](folder, kind="fused", axes=axes, shares=shares, val_loss=loss)


def missing_and_refused(folder, fakes):
    fakes["fill"](folder, fusions=("sum",))


OTHERS = [
    Entry("a", "fused", "missing", "no record of it (yet)", None, {**PLACE, "fusion": "conv", "seed": 0}, {}),
    Entry("b", "fused", "refused", "sum needs equal channels", None, {**PLACE, "fusion": "max", "layer": "fc6"}, {}),
]
STUDIES = (
    complete, one_seed, failed, ties, not_converged, mixed_protocols, chosen_by_validation, missing_and_refused,
)  # fmt: skip


@pytest.mark.parametrize("make", STUDIES, ids=lambda make: make.__name__)
def test_golden_table(make, tmp_path, fakes):
    make(tmp_path / "study", fakes)
    entries = load(tmp_path / "study") + (OTHERS if make is missing_and_refused else [])
    entries = [entry if entry.log is None else Entry(**{**vars(entry), "log": "log.txt"}) for entry in entries]
    select = "optim.fusion.lr" if make is chosen_by_validation else None
    table = make_table(entries, Spec.of({"caption": make.__name__.replace("_", " "), "select": select}))
    for ending, write in WRITERS.items():
        file, text = GOLDEN / f"{make.__name__}.{ending}", write(table)
        if os.environ.get("FUSIONLAB_GOLDEN") == "write":
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8"), file.name
