"""Each table of 2014 and 2016 with debug=tiny: its experiment runs on brush from its data to its report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import Lab

from fusionlab.planning.report_study import table_spec
from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table

pytestmark = pytest.mark.slow
WAIT = 1800  # seconds; one takes two minutes, also on a machine that does other things half an hour is enough
KEEP = "val.then=keep"
RATES = "optim.fusion.lr=1e-3,3e-4"
FINAL = "data.sampling.test=final"
# experiment -> what makes it shorter: one chain, two rates, one split, 20 views instead of 250
EXPERIMENTS: dict[str, tuple[str, ...]] = {
    "feichtenhofer2016_table1": (RATES, "fusion=conv,bilinear"),  # both chains
    "feichtenhofer2016_table2": (RATES, KEEP),
    "feichtenhofer2016_table3": (),  # both chains, and a stream that starts from another data set
    "feichtenhofer2016_table4": (KEEP,),
    "feichtenhofer2016_table5": (KEEP, "split=1"),
    "feichtenhofer2016_table6": (KEEP, "split=1,2", "data=ucf101"),  # a mean over splits
    "feichtenhofer2016_text": (RATES, KEEP),
    "simonyan2014_table1a": (),
    "simonyan2014_table1b": (FINAL,),
    "simonyan2014_table2": (),
    "simonyan2014_table3": (FINAL,),
    "simonyan2014_table4": (FINAL, "split=1"),
}


@pytest.fixture
def lab(together: Path, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, together / "data")  # brush is drawn once for all of them
    yield made
    made.close()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_runs_on_brush(experiment: str, lab: Lab) -> None:
    words = (f"experiment={experiment}", "debug=tiny", "run.workers=1", *EXPERIMENTS[experiment])
    process = lab.start("sweep", *words)
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err
    entries = load(lab.study)
    assert {entry.status for entry in entries} == {"done"}
    made = make_table(entries, Spec.of(table_spec(lab.study)))
    assert made.caption in out and not any(row.paper for row in made.rows)
    assert any("no comparable row" in note for note in made.notes), "brush is not UCF101"
    for form in ("md", "csv", "tex"):
        assert (lab.study / "report" / f"table.{form}").stat().st_size > 100
