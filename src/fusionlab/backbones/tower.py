"""A tower: one stream's network as a chain of named layers, which can be entered and left at its taps."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.frames import folded, unfolded
from fusionlab.backbones.taps import Tap, walk


class Tower(nn.Module):
    """x (N, D, T, H, W) -> maps at the taps asked for, each (N, D', T, H', W').

    The layers are two-dimensional and see every frame alone. The last two are the classifier and its softmax;
    the fully connected layers are convolutions as large as the map that they expect, so that a larger frame
    gives a map of predictions instead of an error.
    """

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        taps: Mapping[str, str],
        in_channels: int,
        size: int,
        *,
        mean: float | Sequence[float],
        scale: float,
    ) -> None:
        """`taps`: tap -> the layer that it is read behind. `size`: the side of the frames that leave one
        prediction. `mean` and `scale`: pixels enter as (x - mean) / scale.
        """
        super().__init__()
        self.names = tuple(layers)
        for name, layer in layers.items():
            self.add_module(name, layer)
        geometry = walk(layers, in_channels, size)
        self.taps: dict[str, Tap] = {tap: geometry[layer] for tap, layer in taps.items()}
        self.in_channels = in_channels
        self.size = size
        self.scale = scale
        means = torch.tensor(mean, dtype=torch.float32).expand(in_channels).reshape(1, -1, 1, 1, 1).clone()
        self.register_buffer("mean", means, persistent=False)

    @property
    def classifier(self) -> str:
        """The last weighted layer, whose output are the logits."""
        return self.names[-2]

    @property
    def classes(self) -> int:
        return self.taps[self.names[-1]].channels

    def normalise(self, x: Tensor) -> Tensor:
        """Bytes become numbers around zero; what is floating point already passes. Clips or frames."""
        if x.is_floating_point():
            return x
        mean = self.get_buffer("mean").reshape(1, -1, *[1] * (x.ndim - 2))
        return (x.to(next(self.parameters()).dtype) - mean) / self.scale

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
        clips, found = x.shape[0], {}
        if "input" in wanted:
            found["input"] = self.normalise(x)
        behind: dict[str, list[str]] = {}
        for tap in wanted:
            if tap != "input":
                behind.setdefault(self.taps[tap].after, []).append(tap)
        x = self.normalise(folded(x))  # bytes are folded: a quarter to move
        for name in self.below(wanted):
            x = self.get_submodule(name)(x)
            for tap in behind.get(name, ()):
                found[tap] = unfolded(x, clips)
        return {tap: found[tap] for tap in wanted}

    def forward_from(self, x: Tensor, after: str) -> Tensor:
        """From the map at a tap up to the logits (N, C, T, H', W')."""
        clips, x = x.shape[0], folded(x)
        for name in self.above(after):
            x = self.get_submodule(name)(x)
        return unfolded(x, clips)

    def forward(self, x: Tensor) -> Tensor:
        """The logits (N, C, T, H', W')."""
        return self.collect(x, (self.classifier,))[self.classifier]
