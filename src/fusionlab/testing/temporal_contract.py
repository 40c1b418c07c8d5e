"""The contract of a temporal head: `check(factory)` raises an AssertionError that names the broken rule."""

import torch
from torch import Tensor, nn

from fusionlab.backbones.initialise import initialise
from fusionlab.errors import UserError
from fusionlab.temporal.pool2d import pool
from fusionlab.temporal.temporal import NeedsMap, Temporal, TemporalFactory

D, T, H, W = 3, 4, 7, 8


def check(factory: TemporalFactory) -> None:
    """Run all checks of the contract."""
    for one in (shapes, one_frame, channels_apart, gradients, means, beside, without_pooling, anywhere, sees_its_reach):
        one(factory)


def clip(frames: int = T, channels: int = D) -> Tensor:
    draw = torch.Generator().manual_seed(frames)
    return torch.randn(2, channels, frames, H, W, generator=draw, dtype=torch.float64)


def spatial() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def head(factory: TemporalFactory) -> Temporal:
    made = factory(D, D, spatial())
    initialise(made, seed=0, prefix="temporal.")
    return made.double()


def moved(temporal: Temporal, x: Tensor) -> list[set[int]]:
    """For each prediction, the snippets that change it."""
    before = temporal(x)
    seen: list[set[int]] = [set() for _ in range(before.shape[2])]
    for t in range(x.shape[2]):
        for step in (-10, 10):
            changed = x.clone()
            changed[:, :, t] += step
            differs = (temporal(changed) != before).transpose(0, 2).flatten(1).any(dim=1)
            for prediction in differs.nonzero().flatten().tolist():
                seen[prediction].add(t)
    return seen


@torch.no_grad()
def sees_its_reach(factory: TemporalFactory) -> None:
    """`reach` gives, for each prediction, the snippets that change it."""
    temporal = head(factory)
    for parameter in temporal.parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(1))
    for frames in (1, T, T + 3):
        seen, reach = moved(temporal, clip(frames)), [set(one) for one in temporal.reach(frames)]
        assert seen == reach, f"of T = {frames} snippets predictions see {seen}, and reach({frames}) gives {reach}"


def shapes(factory: TemporalFactory) -> None:
    """At the fusion time and places stay; at the pool places become those of the pooling that it replaces."""
    temporal, x = head(factory), clip()
    y = temporal.at_fusion(x)
    assert y.shape == (2, temporal.out_channels, T, H, W), f"at_fusion left {tuple(y.shape)}"
    z = temporal.at_pool(y)
    side = spatial()(x[:, :, 0]).shape[2:]
    assert z.shape[3:] == side and 1 <= z.shape[2] <= T, f"at_pool left {tuple(z.shape)}"
    assert torch.equal(temporal(x), z), "forward is not at_pool behind at_fusion"


def one_frame(factory: TemporalFactory) -> None:
    """If T = 1 the pooling is that of pool2d."""
    x = clip(frames=1)
    assert torch.equal(head(factory).at_pool(x), pool(x, spatial())), "with one frame it is not the spatial pooling"


def channels_apart(factory: TemporalFactory) -> None:
    """The pooling never mixes channels."""
    temporal, x = head(factory), clip()
    changed = x.clone()
    changed[:, 0] += 10
    moved = (temporal.at_pool(changed) != temporal.at_pool(x)).flatten(2).any(dim=2).any(dim=0)
    assert moved.tolist() == [True, *[False] * (D - 1)], "a channel's pooling depends on another channel"


def gradients(factory: TemporalFactory) -> None:
    """Gradients are right, in float64."""
    x = clip()[:1, :, :2, :4, :4].clone().requires_grad_()
    torch.autograd.gradcheck(head(factory), (x,))


def means(factory: TemporalFactory) -> None:
    """Above a tower that takes means over places: as many places as the mean leaves, or a UserError.

    What it computes there is its own, but equal frames give equal predictions, and a map of one value this value.
    """
    x, mean = clip(), nn.AvgPool2d(3, 1)
    try:
        temporal = factory(D, D, mean)
    except UserError:
        return
    z = temporal.at_pool(x)
    assert z.shape[3:] == mean(x[:, :, 0]).shape[2:], f"at_pool left {tuple(z.shape)}"
    still = temporal.at_pool(clip(frames=1).expand(-1, -1, T, -1, -1))
    assert torch.allclose(still, still[:, :, :1].expand_as(still)), "of equal frames its predictions differ"
    even = temporal.at_pool(x[..., :1, :1].amax(dim=2, keepdim=True).expand_as(x))
    assert torch.allclose(even, x[..., :1, :1].amax(dim=2, keepdim=True).expand_as(even)), "of one value it is not it"


def beside(factory: TemporalFactory) -> None:
    """`beside` gives the same box for other channels and another pooling, without weights."""
    own = head(factory).beside(D, spatial())
    assert not any(True for _ in own.parameters()), "`beside` has weights"
    assert torch.equal(own.at_pool(clip()), head(factory).at_pool(clip())), "`beside` pools otherwise than the head"
    wider, other = clip(channels=D + 1), nn.MaxPool2d(2, 2)
    z = head(factory).beside(D + 1, other).at_pool(wider)
    expected = factory(D, D, other).at_pool(wider)
    assert torch.equal(z, expected), "`beside` does not use the pooling that it is given"


def anywhere(factory: TemporalFactory) -> None:
    """With `anywhere` it is the tower's own pooling, without weights."""
    temporal, x = head(factory), clip()
    if temporal.anywhere:
        assert not any(True for _ in temporal.parameters()), "`anywhere` is True, and it has weights"
        assert torch.equal(temporal(x), pool(x, spatial())), "`anywhere` is True, and it is not the tower's own pooling"


def without_pooling(factory: TemporalFactory) -> None:
    """Without a pooling layer to replace: either the frames pass, or NeedsMap."""
    try:
        temporal = factory(D, D, None)
    except NeedsMap:
        return
    assert not temporal.needs_map, "`needs_map` is True, and no NeedsMap was raised without a pooling"
    assert torch.equal(temporal(clip()), clip()), "nothing to pool, yet the map changed"
