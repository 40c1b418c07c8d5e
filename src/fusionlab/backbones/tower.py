"""A tower: one stream's network as a chain of named layers, which can be entered and left at its taps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.folding import Clips, takes_clips
from fusionlab.backbones.layers import keeps_shape
from fusionlab.backbones.taps import FRAMES, LayerGeometry, Tap, resolve, walk


class Tower(nn.Module):
    """x (N, D, T, H, W) -> maps at the asked taps, each (N, D', T, H', W').

    A layer takes and leaves maps (N, D, T, H, W); a two-dimensional one sees every frame alone (`folding.py`). The last
    two are the classifier and its softmax. The fully connected layers are convolutions as large as the map that they
    expect: a larger frame gives a map of predictions, and a longer clip several.

    The normalisation of pixels is part of the weights: the state dict has `mean` and `scale` of each channel.
    """

    published: str | None = None  # the published network that it is exactly, if any
    aliases: Mapping[str, str] = {}  # further names of taps
    no_map: Mapping[str, str] = {}  # names of places that are no tap, and why
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
        frames: int = FRAMES,
    ) -> None:
        """`taps`: tap -> the layer that it is read behind. `size`: the side of frames that leave one prediction.

        `frames`: of the clips with which taps are measured; it matters to layers that take no other clips.
        `mean` and `scale`: see `set_pixels`. The defaults are 128, flow's zero, and 58, the contrast of photographs
        (0.226 of 255 over ImageNet): colour then enters with variance one, which fresh weights keep; flow with less.
        """
        super().__init__()
        self.names = tuple(layers)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._in_clips = any(map(takes_clips, layers.values()))
        for layer in layers.values():  # kept by the layer, so that a copy has it too
            layer.takes_clips = takes_clips(layer) or (self._in_clips and keeps_shape(layer))  # type: ignore[assignment]
        self.geometry: dict[str, LayerGeometry] = walk(layers, in_channels, size, frames)
        self.taps: dict[str, Tap] = {tap: self.geometry[layer].tap for tap, layer in taps.items()}
        self._steps: dict[int, dict[str, LayerGeometry]] = {frames: self.geometry}
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

    @property
    def title(self) -> str:
        """The network in a word or two."""
        return type(self).__name__

    @property
    def in_time(self) -> bool:
        """Whether it sees several frames together, before a mean over all, which hides their order."""
        return any(tap.time_field != 1 for tap in self.taps.values() if tap.spatial)

    @property
    def time_stride(self) -> int:
        """The largest of its taps: the frames that a clip has at least."""
        return max(tap.time_stride for tap in self.taps.values())

    def steps(self, tap: str, frames: int) -> int:
        """The time steps at a tap, of clips of so many frames."""
        if tap == "input" or not self._in_clips:
            return frames
        if frames not in self._steps:
            layers = {name: self.get_submodule(name) for name in self.names}
            self._steps[frames] = walk(layers, self.in_channels, self.size, frames)
        return self._steps[frames][self.taps[tap].after].steps

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
        """Bytes, of clips or frames, become numbers around zero; floating point numbers stay as they are.

        Where channels are innermost, all of a row have their own mean and scale, side by side: torch is slow at
        broadcasts along the innermost axis, and this took as long as a convolution.
        """
        if x.is_floating_point():
            return x
        dtype, pixels = next(self.parameters()).dtype, x.movedim(1, -1)
        if not pixels.is_contiguous():
            mean, scale = (numbers.reshape(1, -1, *[1] * (x.ndim - 2)) for numbers in (self.mean, self.scale))
            return (x.to(dtype) - mean) / scale
        mean, scale = (numbers.flatten().repeat(pixels.shape[-2]) for numbers in (self.mean, self.scale))
        rows = pixels.flatten(-2).to(dtype).sub_(mean).div_(scale)
        return rows.reshape(pixels.shape).movedim(-1, 1)

    def tap_name(self, layer: str) -> str:
        """The tap that a layer's name means, in any spelling."""
        name = layer.strip().replace(".", "_")
        if name in self.no_map:
            near = errors.nearest(name, self.taps)
            raise errors.UserError(
                f"nothing can be fused at {layer}: {self.no_map[name]}",
                got=f"layer={layer}",
                allowed=list(self.taps),
                hint=f"layer={near}" if near else None,
            )
        return self.aliases.get(name) or resolve(layer, self.taps)

    def above(self, tap: str) -> tuple[str, ...]:
        """The layers behind a tap, up to the logits, in order."""
        first = 0 if tap == "input" else self.names.index(self.taps[tap].after) + 1
        return self.names[first:-1]

    def below(self, taps: Iterable[str]) -> tuple[str, ...]:
        """The layers that must run to reach all of these taps."""
        ends = [0 if tap == "input" else self.names.index(self.taps[tap].after) + 1 for tap in taps]
        return self.names[: max(ends, default=0)]

    def collect(
        self, x: Tensor, taps: Iterable[str], instead: Mapping[str, nn.Module] | None = None
    ) -> dict[str, Tensor]:
        """The maps at `taps`, in one pass that goes no further than the last of them.

        `instead`: other layers in the place of some of its own.
        """
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
        maps: dict[str, Tensor] = {}
        if "input" in wanted:
            maps["input"] = self.normalise(x)
        behind: dict[str, list[str]] = {}
        for tap in wanted:
            if tap != "input":
                behind.setdefault(self.taps[tap].after, []).append(tap)
        moving = Clips(x)
        if not takes_clips(self.get_submodule(self.names[0])):
            moving.fold()  # as bytes: a quarter of the memory to move
        moving.change(self.normalise)
        others = instead or {}
        for name in self.below(wanted):
            moving.through(others[name] if name in others else self.get_submodule(name))
            for tap in behind.get(name, ()):
                maps[tap] = moving.map
        return {tap: maps[tap] for tap in wanted}

    def forward_from(self, x: Tensor, after: str) -> Tensor:
        """The logits (N, C, T', H', W') from the map at a tap."""
        moving = Clips(x)
        for name in self.above(after):
            moving.through(self.get_submodule(name))
        return moving.map

    def forward(self, x: Tensor) -> Tensor:
        """The logits (N, C, T', H', W')."""
        return self.collect(x, (self.classifier,))[self.classifier]
