"""What every tower must do: `check(factory)` raises an AssertionError that says what does not hold."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tower import Tower

TowerFactory = Callable[[int, int], Tower]  # (in_channels, classes) -> the tower
CHANNELS, CLASSES, FRAMES = 4, 7, 2


def check(factory: TowerFactory) -> None:
    """All of it."""
    for one in (
        taps_are_as_announced,
        cut_and_joined,
        frames_apart,
        goes_no_further,
        takes_bytes,
        larger_frames,
    ):
        one(factory)


def tower(factory: TowerFactory) -> Tower:
    made = factory(CHANNELS, CLASSES)
    initialise(made, seed=0)
    return made.eval()


def clips(made: Tower, clips: int = 2, larger: int = 0) -> Tensor:
    side = made.size + larger
    return torch.randn(clips, CHANNELS, FRAMES, side, side, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def taps_are_as_announced(factory: TowerFactory) -> None:
    """Channels, places, rank and rectification of every tap."""
    made = tower(factory)
    for name, x in made.collect(clips(made), made.taps).items():
        tap = made.taps[name]
        assert x.shape == (2, tap.channels, FRAMES, tap.side, tap.side), f"{name} gave {tuple(x.shape)}, not {tap}"
        assert not tap.rectified or x.min() >= 0, f"{name} is announced as rectified"
        assert tap.spatial or tap.side == 1, f"{name} has places"
    logits = made(clips(made))
    assert logits.shape == (2, CLASSES, FRAMES, 1, 1) and made.classes == CLASSES


@torch.no_grad()
def cut_and_joined(factory: TowerFactory) -> None:
    """Taken out at a tap and put in again, a map ends in the same logits."""
    made = tower(factory)
    x = clips(made)
    whole = made(x)
    for name, at in made.collect(x, made.taps).items():
        if name != made.names[-1]:  # behind the softmax there is nothing
            assert torch.allclose(made.forward_from(at, after=name), whole, atol=1e-5), f"cut at {name}"
    assert torch.allclose(made.forward_from(x, after="input"), whole, atol=1e-5)


@torch.no_grad()
def frames_apart(factory: TowerFactory) -> None:
    """A tower sees each frame alone: a clip of T is T clips of one."""
    made = tower(factory)
    x = clips(made)
    alone = torch.cat([made(x[:, :, t : t + 1]) for t in range(FRAMES)], dim=2)
    assert torch.allclose(made(x), alone, atol=1e-5)


@torch.no_grad()
def goes_no_further(factory: TowerFactory) -> None:
    """Nothing behind the last tap asked for is run."""
    made = tower(factory)
    ran: list[nn.Module] = []
    for layer in made.children():
        layer.register_forward_hook(lambda layer, *_: ran.append(layer))
    first = next(iter(made.taps))
    made.collect(clips(made), (first,))
    assert ran == [made.get_submodule(name) for name in made.below((first,))], f"for {first} ran {ran}"


@torch.no_grad()
def takes_bytes(factory: TowerFactory) -> None:
    """Bytes are normalised by the tower itself, and floating point numbers pass."""
    made = tower(factory)
    x = torch.randint(0, 256, clips(made).shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    assert made.normalise(x).is_floating_point()
    assert torch.allclose(made(x), made(made.normalise(x)))


@torch.no_grad()
def larger_frames(factory: TowerFactory) -> None:
    """A larger frame gives a map of predictions."""
    made = tower(factory)
    y = made(clips(made, clips=1, larger=2 * max(tap.stride for tap in made.taps.values())))
    assert y.shape[1:3] == (CLASSES, FRAMES) and y.shape[3] > 1 and y.shape[4] > 1
