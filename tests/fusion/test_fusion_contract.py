"""Each yaml in conf/fusion is a fusion, and does what every fusion must."""

from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.fusion.sum import Sum
from fusionlab.testing import fusion_contract as contract
from fusionlab.testing import load_parts

FUSIONS = load_parts(Path(__file__).parents[2] / "conf" / "fusion")


def test_the_papers_fusions_are_there() -> None:
    assert {"sum", "max", "cat", "conv", "bilinear", "product", "late"} <= set(FUSIONS)


@pytest.mark.parametrize("name", list(FUSIONS))
def test_contract(name: str) -> None:
    contract.check(FUSIONS[name])


def test_unequal_channels_are_refused_where_channels_correspond() -> None:
    with pytest.raises(UserError, match="3 channels of appearance, 4 of motion"):
        Sum(3, 4)
    assert FUSIONS["cat"](3, 4).out_channels == 7
    assert FUSIONS["bilinear"](3, 4).out_channels == 12


def test_the_contract_notices_a_wrong_fusion() -> None:
    class Wrong(Sum):
        def forward(self, x_a, x_b):  # type: ignore[no-untyped-def]
            return x_a - x_b

    with pytest.raises(AssertionError, match="symmetric"):
        contract.swap(Wrong)
    with pytest.raises(AssertionError, match="without an error"):
        contract.refuses_unlike_maps(Wrong)
