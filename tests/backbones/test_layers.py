"""Windows against torch's own pooling and convolutions."""

from itertools import product

import pytest
import torch
from torch import nn

from fusionlab.backbones.folding import run_layer
from fusionlab.backbones.layers import Window, over_places, window_text


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


@pytest.mark.parametrize(
    "pooling, text, alone",
    [
        (nn.MaxPool3d(3, 2, 1), "3×3×3/2", "3×3/2"),
        (nn.MaxPool3d((2, 3, 5), (2, 2, 1), (0, 1, 2), ceil_mode=True), "2×3×5/2×2×1", "3×5/2×1"),
        (nn.AvgPool3d((2, 3, 3), stride=1), "2×3×3/1", "3×3/1"),
        (nn.MaxPool2d(3, 2, 1), "3×3/2", "3×3/2"),
        (nn.AdaptiveAvgPool3d((1, 2, 3)), None, None),
        (nn.AdaptiveAvgPool3d(1), None, None),
    ],
    ids=repr,
)
def test_a_pooling_over_places_is_that_of_each_step_alone(
    pooling: nn.Module, text: str | None, alone: str | None
) -> None:
    x, made = torch.randn(2, 3, 4, 7, 7, generator=torch.Generator().manual_seed(0)), over_places(pooling)
    each = torch.stack([run_layer(made, x[:, :, t : t + 1])[:, :, 0] for t in range(4)], dim=2)
    torch.testing.assert_close(run_layer(made, x), each)
    frame = torch.cat([x[:, :, :1]] * 4, dim=2)  # of a still clip the whole pooling is the same
    places = run_layer(pooling, frame)[:, :, -1]
    torch.testing.assert_close(run_layer(made, frame)[:, :, -1], places)
    if text is not None:
        assert (window_text(pooling), window_text(made, axes=2)) == (text, alone)
