"""Each yaml in conf/temporal is a head; pooling and filters against index loops from their equations."""

from itertools import product as indices
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fusionlab.backbones.initialise import initialise
from fusionlab.errors import UserError
from fusionlab.fusion import cat
from fusionlab.temporal import conv3d, pool2d, pool3d
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool3d import Pool3d
from fusionlab.testing import temporal as contract
from fusionlab.testing.parts import catalogue

HEADS = catalogue(Path(__file__).parents[2] / "conf" / "temporal")
N, D, T, H, W = 1, 2, 5, 4, 5


def clip(channels: int = D) -> Tensor:
    return torch.randn(N, channels, T, H, W, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", list(HEADS))
def test_contract(name: str) -> None:
    contract.check(HEADS[name])


def test_the_papers_heads_are_there() -> None:
    assert {"pool2d", "pool3d", "conv3d"} <= set(HEADS)


@pytest.mark.parametrize("extent, stride, steps", [(1, 1, 5), (3, 2, 2), (5, 2, 1), (2, 1, 4)])
def test_pooling(extent: int, stride: int, steps: int) -> None:
    x, kernel, step = clip(), 2, 1
    y = pool3d.pool(x, nn.MaxPool2d(kernel, step), extent, stride)
    assert y.shape == (N, D, steps, H - 1, W - 1)
    for n, d, t, i, j in indices(*map(range, y.shape)):
        box = [
            x[n, d, stride * t + k, step * i + p, step * j + q].item()
            for k, p, q in indices(range(extent), range(kernel), range(kernel))
        ]
        assert y[n, d, t, i, j].item() == max(box)
    if extent == stride == 1:
        assert torch.equal(y, pool2d.pool(x, nn.MaxPool2d(kernel, step)))


def test_length_of_the_box() -> None:
    def steps(extent: int | str, frames: int) -> int:
        return Pool3d(D, D, nn.MaxPool2d(2), extent=extent).at_pool(clip()[:, :, :frames]).shape[2]

    assert [steps("all", frames) for frames in (1, 3, 5)] == [1, 1, 1]
    assert [steps(3, frames) for frames in (1, 2, 3, 5)] == [1, 1, 1, 2]
    for wrong in (0, "al", 2.5):
        with pytest.raises(UserError, match=r"temporal\.extent=all"):
            Pool3d(D, D, nn.MaxPool2d(2), extent=wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="move on"):
        Pool3d(D, D, nn.MaxPool2d(2), stride=0)


def test_filters_in_time_and_space() -> None:
    x = clip()
    draw = torch.Generator().manual_seed(1)
    f = torch.randn(3, D, 3, 3, 3, generator=draw, dtype=torch.float64)
    bias = torch.randn(3, generator=draw, dtype=torch.float64)
    y = conv3d.convolve(x, f, bias)
    assert y.shape == (N, 3, T, H, W)
    for n, d, t, i, j in indices(*map(range, y.shape)):
        expected = bias[d].item()
        for c, k, p, q in indices(range(D), (-1, 0, 1), (-1, 0, 1), (-1, 0, 1)):
            if 0 <= t + k < T and 0 <= i + p < H and 0 <= j + q < W:
                expected += (f[d, c, k + 1, p + 1, q + 1] * x[n, c, t + k, i + p, j + q]).item()
        assert y[n, d, t, i, j].item() == pytest.approx(expected, abs=1e-12)


def test_the_bell() -> None:
    g = conv3d.bell()
    assert g.sum().item() == pytest.approx(1)
    values = [g[1, 1, 1], g[0, 1, 1], g[0, 0, 1], g[0, 0, 0]]
    assert [round(v.item(), 7) for v in values] == [0.0922613, 0.0559593, 0.0339410, 0.0205863]


def test_start_on_constant_maps() -> None:
    a, b = 2.0, 5.0
    head = Conv3d(2 * D, D, nn.MaxPool2d(2))
    initialise(head, seed=0)
    stack = cat.fuse(torch.full((1, D, 5, 5, 5), a), torch.full((1, D, 5, 5, 5), b))
    y = head.at_fusion(stack)
    inside = 0.25 * a + 0.75 * b
    torch.testing.assert_close(y[:, :, 1:-1, 1:-1, 1:-1], torch.full((1, D, 3, 3, 3), inside))
    faces = (y[0, 0, 0, 2, 2], y[0, 0, 4, 2, 2], y[0, 0, 2, 0, 2], y[0, 0, 2, 2, 4])
    assert [round(v.item() / inside, 6) for v in faces] == [0.725931] * 4
    corners = (y[0, 1, 0, 0, 0], y[0, 1, 4, 4, 4], y[0, 1, 0, 4, 0])
    assert [round(v.item() / inside, 6) for v in corners] == [0.382549] * 3


def test_start_keeps_channels_apart_and_single_streams_whole() -> None:
    head = Conv3d(D, D, nn.MaxPool2d(2))
    initialise(head, seed=0)
    off_diagonal = head.filters.weight[0, 1]
    assert not off_diagonal.any()
    torch.testing.assert_close(head.filters.weight[0, 0], conv3d.bell())
    with pytest.raises(UserError, match="D or 2D"):
        Conv3d(3 * D, D, nn.MaxPool2d(2))


def test_filter_bank_of_the_papers_final_net() -> None:
    with torch.device("meta"):
        bank = Conv3d(1024, 512, nn.MaxPool2d(2)).filters
    assert bank.weight.shape == (512, 1024, 3, 3, 3)
    assert sum(p.numel() for p in bank.parameters()) == 14_156_288
