"""The contract of a tower: `check(factory)` raises an AssertionError that names the broken rule."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fusionlab.backbones.folding import run_layer
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.layers import is_convolution
from fusionlab.backbones.tower import Tower

TowerFactory = Callable[[int, int], Tower]  # (in_channels, classes) -> the tower
CHANNELS, CLASSES = 4, 7


def check(factory: TowerFactory) -> None:
    """Run all checks of the contract."""
    made = tower(factory)
    for one in (
        taps_are_as_announced,
        cut_and_joined,
        time_is_as_announced,
        places_see_their_field,
        goes_no_further,
        takes_bytes,
        larger_frames,
        gradients,
        inlets_are_what_reads,
        pixels_are_part_of_the_weights,
        drawn_from_seed_alone,
    ):
        one(made)


def tower(factory: TowerFactory) -> Tower:
    """The tower in evaluation mode, since batch statistics and dropout depend on other frames."""
    made = factory(CHANNELS, CLASSES)
    initialise(made, seed=0)
    return made.eval()


def clips(made: Tower, clips: int = 2, larger: int = 0, frames: int | None = None) -> Tensor:
    """Noise; twice as many frames as the tower needs."""
    side, frames = made.size + larger, frames or 2 * made.time_stride
    return torch.randn(clips, CHANNELS, frames, side, side, generator=torch.Generator().manual_seed(0))


def steps(made: Tower, tap: str) -> int:
    """The time steps at a tap, of these clips."""
    return made.steps(tap, 2 * made.time_stride)


def close(one: Tensor, other: Tensor) -> bool:
    """Up to rounding, in proportion to the largest number: fresh weights may leave large ones."""
    return torch.allclose(one, other, rtol=0, atol=1e-5 * max(1.0, float(other.abs().max())))


@torch.no_grad()
def taps_are_as_announced(made: Tower) -> None:
    """Channels, steps, places, rank and rectification of every tap."""
    for name, x in made.collect(clips(made), made.taps).items():
        tap = made.taps[name]
        shape = (2, tap.channels, steps(made, name), tap.side, tap.side)
        assert x.shape == shape, f"{name} gave {tuple(x.shape)}, not {shape}: {tap}"
        assert not tap.rectified or x.min() >= 0, f"{name} has numbers below zero, and `rectified` is True"
        assert tap.spatial or tap.side == 1, f"{name} has places, and `spatial` is False"
    logits = made(clips(made))
    assert logits.shape == (2, CLASSES, steps(made, made.classifier), 1, 1) and made.classes == CLASSES


@torch.no_grad()
def cut_and_joined(made: Tower) -> None:
    """Taken out at a tap and put in again, a map ends in the same logits."""
    x = clips(made)
    whole = made(x)
    for name, at in made.collect(x, made.taps).items():
        if name != made.names[-1]:  # behind the softmax there is nothing
            assert close(made.forward_from(at, after=name), whole), f"cut at {name}"
    assert close(made.forward_from(x, after="input"), whole)


def time_is_as_announced(made: Tower) -> None:
    """A tower of frames sees each alone: a clip of T is T clips of one. In others, no step sees more than its field."""
    if all(tap.time_field == 1 for tap in made.taps.values()):
        x = clips(made)
        with torch.no_grad():
            assert close(made(x), torch.cat([made(x[:, :, t : t + 1]) for t in range(x.shape[2])], dim=2))
        return
    first, tap = next(iter(made.taps.items()))
    if tap.time_field is None:
        return
    x = clips(made, clips=1, frames=tap.time_field + 4 * tap.time_stride).requires_grad_()
    y = made.collect(x, (first,))[first]
    (gradient,) = torch.autograd.grad(y[:, :, y.shape[2] // 2].sum(), x)
    seen = gradient.abs().sum((0, 1, 3, 4)).nonzero().flatten()
    found = int(seen[-1] - seen[0]) + 1
    assert found <= tap.time_field, f"a step of {first} sees {found} frames, and `time_field` is {tap.time_field}"


def places_see_their_field(made: Tower) -> None:
    """No place sees more than its field; tried at the first, the middle and the last map."""
    maps = [name for name, tap in made.taps.items() if tap.spatial and tap.side > 1 and tap.field is not None]
    x = clips(made, clips=1).requires_grad_()
    asked = dict.fromkeys([*maps[:1], *maps[len(maps) // 2 :][:1], *maps[-1:]])
    for name, y in made.collect(x, asked).items():
        tap, place = made.taps[name], y.shape[-1] // 2
        (gradient,) = torch.autograd.grad(y[..., place, place].square().sum(), x, retain_graph=True)
        seen = gradient.abs().sum((0, 1, 2, 4)).nonzero().flatten()
        found = int(seen[-1] - seen[0]) + 1 if len(seen) else 0
        assert tap.field is not None and found <= tap.field, f"a place of {name} sees {found} pixels, not {tap.field}"


@torch.no_grad()
def goes_no_further(made: Tower) -> None:
    """No layer behind the last requested tap is run."""
    ran: list[nn.Module] = []
    hooks = [layer.register_forward_hook(lambda layer, *_: ran.append(layer)) for layer in made.children()]
    first = next(iter(made.taps))
    made.collect(clips(made), (first,))
    for hook in hooks:
        hook.remove()
    assert ran == [made.get_submodule(name) for name in made.below((first,))], f"for {first} ran {ran}"


@torch.no_grad()
def takes_bytes(made: Tower) -> None:
    """The tower normalises bytes, and passes floating point numbers."""
    x = torch.randint(0, 256, clips(made).shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    assert made.normalise(x).is_floating_point()
    assert close(made(x), made(made.normalise(x)))


@torch.no_grad()
def larger_frames(made: Tower) -> None:
    """A larger frame gives a map of predictions, one more for each stride of the last map.

    A tower whose last map is averaged says so, `one_prediction`; such a tower may also refuse other sizes.
    """
    stride = max(tap.stride for tap in made.taps.values())
    side, larger = 3, clips(made, clips=1, larger=2 * stride)
    if getattr(made, "one_prediction", False):
        side = 1
        try:
            made(larger)
        except (AssertionError, RuntimeError):
            return
    y = made(larger)
    shape = (1, CLASSES, steps(made, made.classifier), side, side)
    assert y.shape == shape, f"frames larger by 2 × {stride} gave {tuple(y.shape)}, not {shape}"


def gradients(made: Tower) -> None:
    """Gradients reach the clips, and every parameter that learns."""
    x = clips(made).requires_grad_()
    made(x).square().sum().backward()
    assert x.grad is not None and bool(x.grad.any()), "no gradient reaches the input"
    without = [name for name, own in made.named_parameters() if own.requires_grad and own.grad is None]
    assert not without, f"no gradient reaches {without}"
    made.zero_grad(set_to_none=True)


@torch.no_grad()
def inlets_are_what_reads(made: Tower) -> None:
    """The convolutions that `inlets` names read the whole input of their layer; with none, any number passes."""
    x = made.normalise(clips(made))
    for name in made.names:
        layer = made.get_submodule(name)
        own = made.geometry[name].inlets
        for inlet in own or ():
            conv = layer.get_submodule(inlet)
            assert is_convolution(conv) and conv.in_channels == x.shape[1], f"{name} does not read its input by {inlet}"
        if own == ():
            assert run_layer(layer, torch.cat([x, x], dim=1)).shape[1] == 2 * x.shape[1], (
                f"{name} does not pass any number of channels: add `any_channels = False` to {type(layer).__name__}"
            )
        x = run_layer(layer, x)


@torch.no_grad()
def pixels_are_part_of_the_weights(made: Tower) -> None:
    """`mean` and `scale` are saved and loaded; weights from before that are those of the tower's own pixels."""
    before = {name: value.clone() for name, value in made.state_dict().items()}
    x = torch.full(clips(made).shape, 140, dtype=torch.uint8)
    made.set_pixels([130.0 + channel for channel in range(CHANNELS)], 2.0)
    assert made.normalise(x)[0, :, 0, 0, 0].tolist() == [(10 - channel) / 2 for channel in range(CHANNELS)]
    made.load_state_dict({name: value for name, value in before.items() if name not in ("mean", "scale")})
    assert made.normalise(x)[0, 0, 0, 0, 0] == 5, "weights without pixels changed the tower's"
    made.load_state_dict(before)
    assert torch.equal(made.mean, before["mean"]) and torch.equal(made.scale, before["scale"])


@torch.no_grad()
def drawn_from_seed_alone(made: Tower) -> None:
    """Drawing gives the same parameters and statistics, whatever the previous values."""
    drawn = []
    for before in (3, 5):
        for name, value in made.state_dict().items():
            if name not in ("mean", "scale"):
                value.fill_(before)
        initialise(made, seed=0)
        drawn.append({name: value.clone() for name, value in made.state_dict().items()})
    for name, value in drawn[0].items():
        assert torch.equal(value, drawn[1][name]), f"{name} is not a function of the seed"
