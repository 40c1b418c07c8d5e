"""Cells of the CSV file."""

import pytest

from fusionlab.results.formatting import safe


@pytest.mark.parametrize("text", ["=1+1", "@a", "+a", "-", " =A1", "\t=A1", "＝1", "-1+cmd"])
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert safe(text)[0] == "'"


@pytest.mark.parametrize("value", [-0.5, "+1e3", 12, "relu5", ".5"])
def test_numbers_and_names_stay_as_they_are(value: object) -> None:
    assert safe(value) == str(value)
