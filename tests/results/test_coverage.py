"""A small run of experiments/statistics: the coverage and the sizes that the formulas must keep."""

from __future__ import annotations

import pytest
from simulations import simulation

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
def test_the_method_s_interval_covers_what_it_says(rho: float) -> None:
    rows = simulation().coverage(4_000, [(140, rho, True)])
    assert len(rows) == 9
    for row in rows:
        assert row["method"] >= 0.935, row
        assert row["k"] < 5 or row["method"] <= 0.985, row
        assert 0.935 <= row["networks"] <= 0.965, row
    if rho:
        assert max(row["videos_independent"] for row in rows) < 0.85, "groups matter, else the test shows nothing"


def test_the_sizes_of_the_tests_of_these_networks() -> None:
    for row in simulation().tests(2_000, [(140, 0.3)]):
        assert row["sign_flip"] <= 0.06 and row["accuracy"] >= 0.935, row
        assert row["k"] > 1 or (row["mcnemar"] > 0.1 and row["plain_wilson"] < 0.85), row


def test_the_family_wise_error_of_holm() -> None:
    for row in simulation().families(2_000, [(140, 0.3)]):
        assert row["control"] <= 0.055 and row["pairs"] <= 0.055, row
