"""What a prediction sees in time, against what moves it: one snippet is changed, and the logits are compared."""

import pytest
import torch
from two_stream_fakes import HEADS, TRUNK, A, B, C

from fusionlab.fusion.cat import Cat
from fusionlab.fusion.sum import Sum
from fusionlab.two_stream.fused import FusedNet


@pytest.mark.parametrize("snippets", range(1, 8))
@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_what_moves_a_prediction_is_what_it_sees(head: str, snippets: int) -> None:
    net = FusedNet(A, B, Cat if head.startswith("conv3d") else Sum, HEADS[head], "relu5").eval()
    draw = torch.Generator().manual_seed(0)
    maps = {s: {"relu5": torch.rand(1, 8, snippets, 8, 8, generator=draw)} for s in ("appearance", "motion")}
    before = net(maps)
    moved: list[set[int]] = [set() for _ in range(before.shape[2])]
    for t in range(snippets):
        changed = {s: {"relu5": one["relu5"].clone()} for s, one in maps.items()}
        changed["appearance"]["relu5"][:, :, t] += 5
        after = net(changed)
        for place in range(before.shape[2]):
            if not torch.equal(after[..., place], before[..., place]):
                moved[place].add(t)
    assert before.shape[1] == C and TRUNK.appearance is A
    (seen,) = net.reach(snippets)
    assert moved == [set(one) for one in seen]
    assert head != "pool2d" or moved == [{t} for t in range(snippets)]
