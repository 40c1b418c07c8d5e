"""Batch normalisation that stands still, and everything else that learns."""

from copy import deepcopy

import torch
from torch import nn

from fusionlab.backbones.norm import StillNorm2d, trainable


def still() -> StillNorm2d:
    made = StillNorm2d(3)
    with torch.no_grad():
        for value in (made.weight, made.bias, made.running_mean, made.running_var):
            assert value is not None
            value.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(value.numel()))
    return made


def test_it_normalises_as_batch_normalisation_does_in_evaluation() -> None:
    x, usual = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)), nn.BatchNorm2d(3)
    usual.load_state_dict(still().state_dict())
    for mode in (True, False):
        assert not nn.Sequential(still()).train(mode)[0].training
        assert torch.equal(still().train(mode)(x), usual.eval()(x))
    assert not torch.allclose(usual.train()(x), still()(x))


def test_whatever_is_done_to_what_it_is_in_nothing_of_it_moves() -> None:
    net = deepcopy(nn.Sequential(nn.Conv2d(2, 3, 1), still(), nn.BatchNorm2d(3)))
    net.requires_grad_(True).train()  # past the part's own method
    before = deepcopy(net.state_dict())
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9)
    for _ in range(2):
        optimiser.zero_grad()
        net(torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))).square().sum().backward()
        optimiser.step()
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"0.weight", *(name for name in before if name.startswith("2."))} | (changed & {"0.bias"})


def test_trainable_is_everything_else() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 1), still(), nn.Sequential(nn.BatchNorm2d(3), still()))
    assert [name for name, own in net.named_parameters() if own.requires_grad] == [
        "0.weight", "0.bias", "2.0.weight", "2.0.bias",
    ]  # fmt: skip
    net.requires_grad_(False)
    trainable(net)
    assert [name for name, own in net.named_parameters() if own.requires_grad] == [
        "0.weight", "0.bias", "2.0.weight", "2.0.bias",
    ]  # fmt: skip
    assert not still().requires_grad_(True).weight.requires_grad
