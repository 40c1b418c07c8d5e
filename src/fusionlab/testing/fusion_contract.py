"""The contract of a fusion: `check(factory)` raises an AssertionError that names the broken rule."""

from typing import get_args

import torch
from torch import Tensor

from fusionlab.backbones.initialise import initialise
from fusionlab.errors import UserError
from fusionlab.fusion.fusion import Classifying, Fusion, FusionFactory

D, T, H, W = 4, 3, 5, 6


def check(factory: FusionFactory) -> None:
    """Run all checks of the contract."""
    for one in (shapes, descriptors, refuses_unlike_maps, swap, gradients, same_draws, weights_say_all):
        one(factory)


def maps(channels: int = D, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two different maps in float64, away from zero and from each other, as gradcheck needs them."""
    draw = torch.Generator().manual_seed(seed)
    x = 0.5 + torch.rand(2, 2, channels, T, H, W, generator=draw, dtype=torch.float64)
    return x[0], x[1]


def random(factory: FusionFactory, *, seed: int = 1) -> Fusion:
    """The fusion with random weights, in float64; other draws (hashes) follow from the seed."""
    fusion = factory(D, D).double().eval()
    initialise(fusion, seed)
    draw = torch.Generator().manual_seed(seed)
    for parameter in fusion.parameters():
        parameter.data.normal_(generator=draw)
    return fusion


def shapes(factory: FusionFactory) -> None:
    """One rank: (N, D, T, H, W) in and out, with as many channels as announced, and time as it was."""
    x_a, x_b = maps()
    fusion = random(factory)
    y = fusion(x_a, x_b)
    places = (H, W) if fusion.spatial else (1, 1)
    assert y.shape == (2, fusion.out_channels, T, *places), (
        f"the fused map is {tuple(y.shape)}, expected {(2, fusion.out_channels, T, *places)}"
    )


def descriptors(factory: FusionFactory) -> None:
    """A fusion that leaves no map leaves vectors of norm 1, and declares their classifier."""
    x_a, x_b = maps()
    fusion = random(factory)
    if not fusion.spatial:
        norm = fusion(x_a, x_b).norm(dim=1)
        assert torch.allclose(norm, torch.ones_like(norm)), "the descriptor's norm is not 1"
        assert fusion.classifier in get_args(Classifying), (
            f"`classifier` is {fusion.classifier}, not one of {get_args(Classifying)}"
        )


def refuses_unlike_maps(factory: FusionFactory) -> None:
    """Shapes that differ are a UserError that names both, and nothing broadcasts."""
    x_a, x_b = maps()
    fusion = random(factory)
    for other in (x_b[:1], x_b[:, :, :1], x_b[..., :1, :], x_b[..., :1], x_b[:, :, 0]):
        message = refusal(fusion, x_a, other)
        shapes = str(tuple(x_a.shape)), str(tuple(other.shape))
        assert message, f"{' and '.join(shapes)} were fused without an error: begin `forward` with self.alike(x_a, x_b)"
        assert all(shape in message for shape in shapes), f"the error does not name both shapes: {message}"


def refusal(fusion: Fusion, x_a: Tensor, x_b: Tensor) -> str:
    """The fusion's error message for these maps; empty if it takes them."""
    try:
        fusion(x_a, x_b)
    except UserError as error:
        return str(error)
    return ""


def swap(factory: FusionFactory) -> None:
    """Exchanging the streams changes the result if, and only if, `symmetric` is False."""
    x_a, x_b = maps()
    fusion = random(factory)
    same = torch.allclose(fusion(x_a, x_b), fusion(x_b, x_a))
    name, what = type(fusion).__name__, "the same map" if same else "another map"
    assert same == fusion.symmetric, (
        f"{name} with its two maps exchanged gives {what}, and `symmetric` is {fusion.symmetric}: "
        f"add `symmetric = {same}` to the class {name}"
    )


def gradients(factory: FusionFactory) -> None:
    """Gradients are right, in float64, and reach both streams."""
    x_a, x_b = (x[:1, :, :2, :2, :2].clone().requires_grad_() for x in maps())
    fusion = random(factory)
    # With thousands of numbers the two Jacobians are compared along random directions only.
    torch.autograd.gradcheck(fusion, (x_a, x_b), fast_mode=fusion.out_channels > 100)
    y = fusion(x_a, x_b)
    weights = torch.rand(y.shape, generator=torch.Generator().manual_seed(2), dtype=y.dtype)
    for x, stream in zip(torch.autograd.grad((y * weights).sum(), (x_a, x_b)), ("appearance", "motion"), strict=True):
        assert x.abs().max() > 0, f"no gradient reaches {stream}"


def same_draws(factory: FusionFactory) -> None:
    """Fresh weights depend on the seed alone."""
    first, second = factory(D, D), factory(D, D)
    initialise(first, seed=3, prefix="fusion.")
    torch.rand(1)
    initialise(second, seed=3, prefix="fusion.")
    drawn, again = first.state_dict(), second.state_dict()
    assert drawn.keys() == again.keys()
    for name in drawn:
        assert torch.equal(drawn[name], again[name]), f"two drawings of {name} with one seed differ"


def weights_say_all(factory: FusionFactory) -> None:
    """With the weights of another fusion it gives the same results: the weights have all that was drawn."""
    x_a, x_b = maps()
    fusion, other = random(factory, seed=1), random(factory, seed=2)
    fusion.load_state_dict(other.state_dict())
    assert torch.equal(fusion(x_a, x_b), other(x_a, x_b)), "something that was drawn is not in the state dict"
