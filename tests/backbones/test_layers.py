"""Windows against torch's own pooling and convolutions."""

from itertools import product

import pytest
import torch
from torch import nn

from fusionlab.backbones.layers import Window


@pytest.mark.parametrize("round_up", [False, True])
def test_the_number_of_windows_is_torchs(round_up: bool) -> None:
    for size, stride, padding, side in product((1, 2, 3, 5), (1, 2, 3, 4), (0, 1, 2), range(5, 12)):
        if 2 * padding > size:
            continue
        pool = nn.MaxPool2d(size, stride, padding, ceil_mode=round_up)
        window = Window.of(pool)
        assert window == Window(size, stride, padding, round_up)
        assert window.places(side) == pool(torch.zeros(1, 1, side, side)).shape[-1], (size, stride, padding, side)


def test_a_dilated_window_is_as_large_as_what_it_spans() -> None:
    for dilation, stride, side in product((1, 2, 3), (1, 2), range(9, 14)):
        conv = nn.Conv2d(1, 1, 3, stride, padding=1, dilation=dilation)
        window = Window.of(conv)
        assert window is not None and window.places(side) == conv(torch.zeros(1, 1, side, side)).shape[-1]
