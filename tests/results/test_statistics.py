"""The mean and the spread against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from fusionlab.results.statistics import mean, sd


def test_mean_and_sd_are_numpys():
    values = [0.8596, 0.8520, 0.8353]
    assert mean(values) == pytest.approx(np.mean(values), abs=1e-15)
    assert sd(values) == pytest.approx(np.std(values, ddof=1), abs=1e-15)


def test_one_value_has_no_sd():
    assert sd([0.5]) is None
