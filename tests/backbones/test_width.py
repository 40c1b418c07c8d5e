"""A factor for the channels."""

from typing import Any

import pytest

from fusionlab.backbones.width import expect_width, scale_channels
from fusionlab.errors import UserError


def test_channels_are_rounded_and_at_least_one() -> None:
    assert [scale_channels(64, width) for width in (1, 2.0, 0.25, 0.026, 0.001)] == [64, 128, 16, 2, 1]


@pytest.mark.parametrize("width", [0, -1.0, True, False, float("inf"), float("nan"), "1", None])
def test_what_is_no_width_is_refused(width: Any) -> None:
    with pytest.raises(UserError, match="width is a factor"):
        expect_width(width)


def test_a_width_is_any_number_above_zero() -> None:
    for width in (1, 0.25, 3.5):
        expect_width(width)
