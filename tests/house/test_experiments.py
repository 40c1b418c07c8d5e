"""Each experiment's table is what its records give, or the files that its script wrote."""

import re
from pathlib import Path

import pytest
import yaml
from simulations import simulation
from tree import ROOT

from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table
from fusionlab.results.text_tables import markdown

FOLDERS = sorted(place.parent for place in (ROOT / "experiments").glob("*/records"))


def test_there_are_experiments() -> None:
    assert FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_table_is_what_its_records_give(folder: Path) -> None:
    reported = re.search(r"fusionlab\.report records table=(\w+)", (folder / "README.md").read_text(encoding="utf-8"))
    assert reported, "the README names the table that is made of the records"
    spec = yaml.safe_load((ROOT / "conf/table" / f"{reported[1]}.yaml").read_text(encoding="utf-8"))
    table = make_table(load(folder / "records"), Spec.of(spec))
    assert markdown(table) == (folder / "table.md").read_text(encoding="utf-8")


def test_the_table_of_the_simulation_is_what_its_files_give() -> None:
    assert simulation().table() == (simulation().HERE / "table.md").read_text(encoding="utf-8")
