"""Each experiment's table and figure are what its records give, or the files that its script wrote."""

import re
from html import unescape
from pathlib import Path

import pytest
import yaml
from simulations import simulation
from tree import ROOT

from fusionlab.results.figures import make_figures
from fusionlab.results.load import Entry, load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.text_tables import markdown

FOLDERS = sorted(place.parent for place in (ROOT / "experiments").glob("*/records"))


def test_there_are_experiments() -> None:
    assert FOLDERS


def reported(folder: Path) -> tuple[Table, list[Entry]]:
    """The table that the README names, and the records that it is made of."""
    named = re.search(r"fusionlab\.report records table=(\w+)", (folder / "README.md").read_text(encoding="utf-8"))
    assert named, "the README names the table that is made of the records"
    spec = yaml.safe_load((ROOT / "conf/table" / f"{named[1]}.yaml").read_text(encoding="utf-8"))
    entries = load(folder / "records")
    return make_table(entries, Spec.of(spec)), entries


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_table_is_what_its_records_give(folder: Path) -> None:
    assert markdown(reported(folder)[0]) == (folder / "table.md").read_text(encoding="utf-8")


def texts(svg: str) -> list[str]:
    """What a figure says: another version of its library draws the same with other bytes."""
    return [unescape(text) for text in re.findall(r"<text\b[^>]*>([^<]*)</text>", svg)]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_figure_is_what_its_records_give(folder: Path) -> None:
    place, new = folder / "figure.svg", make_figures(*reported(folder))[0].svg()
    assert len(texts(new)) > 10
    if not place.is_file() or texts(place.read_text(encoding="utf-8")) != texts(new):
        place.write_text(new, encoding="utf-8")
        pytest.fail(f"{place} was out of date and was drawn again: look at it and commit")


def test_the_index_has_each_experiment_with_its_figure() -> None:
    index = (ROOT / "experiments/README.md").read_text(encoding="utf-8")
    for folder in sorted(place.parent for place in (ROOT / "experiments").glob("*/README.md")):
        assert f"]({folder.name}/README.md)" in index
    for folder in FOLDERS:
        assert f"]({folder.name}/figure.svg)" in index, f"the figure of {folder.name} is not shown"


def test_the_table_of_the_simulation_is_what_its_files_give() -> None:
    assert simulation().table() == (simulation().HERE / "table.md").read_text(encoding="utf-8")
