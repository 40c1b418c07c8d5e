"""The functions of `fusionlab.functional` are what the fusions compute."""

import pytest
import torch

import fusionlab
from fusionlab import functional as F
from fusionlab.backbones.initialise import initialise
from fusionlab.fusion.bilinear import Bilinear
from fusionlab.fusion.cat import Cat
from fusionlab.fusion.compact import Compact
from fusionlab.fusion.conv import Conv
from fusionlab.fusion.fusion import Fusion
from fusionlab.fusion.max import Max
from fusionlab.fusion.product import Product
from fusionlab.fusion.sum import Sum

X_A, X_B = torch.rand(2, 2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("part", [Sum, Max, Product, Cat, Bilinear])
def test_a_function_is_its_fusion(part: type[Fusion]) -> None:
    function = getattr(F, part.__name__.lower())
    assert torch.equal(function(X_A, X_B), part(4, 4)(X_A, X_B))


def test_conv_takes_filters() -> None:
    conv = Conv(4, 4)
    assert torch.equal(F.conv(X_A, X_B, conv.filters.weight, conv.filters.bias), conv(X_A, X_B))
    sums = torch.cat([torch.eye(4), torch.eye(4)], dim=1)[..., None, None]
    assert torch.allclose(F.conv(X_A, X_B, sums), X_A + X_B)


def test_compact_takes_hashes() -> None:
    compact = Compact(4, 4, dimension=32)
    initialise(compact, seed=0)
    assert torch.allclose(F.compact(X_A, X_B, *compact.hashes(), 32), compact(X_A, X_B), atol=2e-3)


def test_all_names_are_there() -> None:
    assert set(F.__all__) >= {"sum", "max", "cat", "conv", "bilinear", "compact", "product", "late"}
    assert fusionlab.functional is F
