"""A tower: one stream's network as a chain of named layers, which can be entered and left at its taps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.taps import Tap, walk


def fold_time(x: Tensor) -> Tensor:
    """(N, D, T, H, W) -> (N·T, D, H, W), as two-dimensional layers take clips.

    In channels-last memory (D innermost): twice as fast as the default on a CPU, and both directions are then views.
    """
    return x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def unfold_time(x: Tensor, clips: int) -> Tensor:
    """(N·T, D, H, W) -> (N, D, T, H, W), N = clips."""
    return x.reshape(clips, -1, *x.shape[1:]).transpose(1, 2)


class Tower(nn.Module):
    """x (N, D, T, H, W) -> maps at the asked taps, each (N, D', T, H', W').

    The layers are two-dimensional and see every frame alone. The last two are the classifier and its softmax. The fully
    connected layers are convolutions as large as the map that they expect: a larger frame gives a map of predictions.

    The normalisation of pixels is part of the weights: the state dict has `mean` and `scale` of each channel.
    """

    published: str | None = None  # the published network that it is exactly, if any
    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        taps: Mapping[str, str],
        in_channels: int,
        size: int,
        *,
        mean: float | Sequence[float] = 128.0,
        scale: float | Sequence[float] = 58.0,
    ) -> None:
        """`taps`: tap -> the layer that it is read behind. `size`: the side of frames that leave one prediction.

        `mean` and `scale`: see `set_pixels`. The defaults are 128, flow's zero, and 58, the contrast of photographs
        (0.226 of 255 over ImageNet): colour then enters with variance one, which fresh weights keep; flow with less.
        """
        super().__init__()
        self.names = tuple(layers)
        for name, layer in layers.items():
            self.add_module(name, layer)
        geometry = walk(layers, in_channels, size)
        self.taps: dict[str, Tap] = {tap: geometry[layer] for tap, layer in taps.items()}
        self.in_channels = in_channels
        self.size = size
        self.register_buffer("mean", torch.zeros(1, in_channels, 1, 1, 1, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(1, in_channels, 1, 1, 1, dtype=torch.float32))
        self.set_pixels(mean, scale)

    @property
    def classifier(self) -> str:
        """The last weighted layer, whose output are the logits."""
        return self.names[-2]

    @property
    def classes(self) -> int:
        return self.taps[self.names[-1]].channels

    @torch.no_grad()
    def set_pixels(self, mean: float | Sequence[float], scale: float | Sequence[float]) -> None:
        """Bytes enter as (x - mean) / scale: one number for all channels, or one for each."""
        for name, numbers in (("mean", mean), ("scale", scale)):
            given = torch.as_tensor(numbers, dtype=torch.float32, device="cpu").flatten()
            if len(given) not in (1, self.in_channels):
                raise errors.UserError(
                    f"the pixels' {name} is one number, or one for each channel",
                    got=f"{len(given)} numbers",
                    allowed=["1", str(self.in_channels)],
                )
            if not given.isfinite().all() or (name == "scale" and not (given > 0).all()):
                needed = "finite" if name == "mean" else "finite and above zero"
                raise errors.UserError(f"the pixels' {name} has to be {needed}", got=numbers)
            self.get_buffer(name).copy_(given.reshape(1, -1, 1, 1, 1))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Load weights; older files without `mean` and `scale` take this tower's.

        They were trained with these. A file that has only one of the two is an error, like any missing entry.
        """
        pixels = {f"{prefix}mean": self.mean, f"{prefix}scale": self.scale}
        if not pixels.keys() & state_dict.keys():
            state_dict.update(pixels)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def normalise(self, x: Tensor) -> Tensor:
        """Bytes, of clips or frames, become numbers around zero; floating point numbers stay as they are."""
        if x.is_floating_point():
            return x
        mean, scale = (numbers.reshape(1, -1, *[1] * (x.ndim - 2)) for numbers in (self.mean, self.scale))
        return (x.to(next(self.parameters()).dtype) - mean) / scale

    def above(self, tap: str) -> tuple[str, ...]:
        """The layers behind a tap, up to the logits, in order."""
        first = 0 if tap == "input" else self.names.index(self.taps[tap].after) + 1
        return self.names[first:-1]

    def below(self, taps: Iterable[str]) -> tuple[str, ...]:
        """The layers that must run to reach all of these taps."""
        ends = [0 if tap == "input" else self.names.index(self.taps[tap].after) + 1 for tap in taps]
        return self.names[: max(ends, default=0)]

    def collect(self, x: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        """The maps at `taps`, in one pass that goes no further than the last of them."""
        wanted = tuple(taps)
        for tap in wanted:
            if tap != "input" and tap not in self.taps:
                raise errors.unknown("layer", tap, self.taps, form="layer={}")
        if x.ndim != 5 or x.shape[1] != self.in_channels:
            raise errors.UserError(
                "a tower takes clips (N, D, T, H, W)",
                got=tuple(x.shape),
                allowed=[f"D = {self.in_channels}"],
                hint="a single frame is a clip of T = 1",
            )
        clips, maps = x.shape[0], {}
        if "input" in wanted:
            maps["input"] = self.normalise(x)
        behind: dict[str, list[str]] = {}
        for tap in wanted:
            if tap != "input":
                behind.setdefault(self.taps[tap].after, []).append(tap)
        x = self.normalise(fold_time(x))  # folded as bytes: a quarter of the memory to move
        for name in self.below(wanted):
            x = self.get_submodule(name)(x)
            for tap in behind.get(name, ()):
                maps[tap] = unfold_time(x, clips)
        return {tap: maps[tap] for tap in wanted}

    def forward_from(self, x: Tensor, after: str) -> Tensor:
        """The logits (N, C, T, H', W') from the map at a tap."""
        clips, x = x.shape[0], fold_time(x)
        for name in self.above(after):
            x = self.get_submodule(name)(x)
        return unfold_time(x, clips)

    def forward(self, x: Tensor) -> Tensor:
        """The logits (N, C, T, H', W')."""
        return self.collect(x, (self.classifier,))[self.classifier]
