"""Two towers fused at a layer: one fusion, one temporal head, and one copy of what stands above."""

from copy import deepcopy
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.frames import folded, unfolded
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.tower import Tower
from fusionlab.fusion.fusion import FusionFactory
from fusionlab.temporal.temporal import NeedsMap, TemporalFactory
from fusionlab.two_stream.cut import Cut
from fusionlab.two_stream.net import Features, Net
from fusionlab.two_stream.refuse import no_map, no_room, refuse
from fusionlab.two_stream.svm import Svm
from fusionlab.two_stream.widen import stack, widened

Above = Literal["appearance", "motion", "fresh"]


class FusedNet(Net):
    """x_a, x_b -> fusion (-> conv3d) -> the layers above, the temporal head for the next pooling -> logits

    The towers end at `layer` and are not part of this net: it takes their maps, and looks at their layers
    once, to copy what stands above. `above` says from which tower; "fresh" draws it anew. Where the fusion
    leaves another number of channels, the next weighted layer is widened; after a stack it starts from both
    towers' filters.
    """

    def __init__(
        self,
        appearance: Tower,
        motion: Tower,
        fusion: FusionFactory,
        temporal: TemporalFactory,
        layer: str,
        *,
        above: Above = "appearance",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if above not in get_args(Above):
            raise errors.unknown("start of the layers above", above, get_args(Above), form="above={}")
        a, b = Cut.at(appearance, layer), Cut.at(motion, layer)
        start = b if above == "motion" else a
        self.layer_a, self.layer_b = a.layer, b.layer
        self.needs = {"appearance": (a.layer,), "motion": (b.layer,)}
        self.rectified = a.tap.rectified and b.tap.rectified
        with next(start.tower.parameters()).device:  # the net is made where the towers are
            self.fusion = fusion(a.tap.channels, b.tap.channels)
            refuse(self.fusion, a, b)
            spatial = self.fusion.spatial
            self.order = start.above if spatial else ()
            self.replaced = start.pooling if spatial else None
            self.probabilities = a.probabilities and spatial
            self._set_temporal(temporal, start)
            kept = (name for name in self.order if name != self.replaced)
            self.above = nn.ModuleDict({name: deepcopy(start.tower.get_submodule(name)) for name in kept})
            if not spatial:
                self.svm = Svm(self.temporal.out_channels, start.tower.classes, 1)
        self.requires_grad_(True)  # the towers may be frozen, their copies are not

        drawn: list[tuple[str, nn.Module | None]] = [("fusion", self.fusion), ("temporal", self.temporal)]
        if spatial and self.temporal.out_channels != start.tap.channels:
            name, wide = self._widen(start)
            if above == "fresh" or not stack(wide, a, b, start):
                drawn += [(f"above.{name}", wide)]
        drawn += [("above", self.above)] if above == "fresh" else []
        drawn += [("svm", self.svm)]
        for name, part in drawn:
            if part is not None:
                initialise(part, seed, prefix=f"{name}.")

    def forward(self, features: Features) -> Tensor:
        x = self.fusion(features["appearance"][self.layer_a], features["motion"][self.layer_b])
        x = self._rectify(x, behind=self.fusion)
        x = self._rectify(self.temporal.at_fusion(x), behind=self.temporal)
        clips, x = x.shape[0], folded(x)
        for name in self.order:
            if name == self.replaced:
                x = folded(self.temporal.at_pool(unfolded(x, clips)))
            else:
                x = self.above[name](x)
        if self.svm is not None:
            x = self.svm(x)
        if self.probabilities:  # fused class scores; a filter may push one below zero
            x = x.clamp_min(torch.finfo(x.dtype).tiny).log()
        return unfolded(x, clips).flatten(2)

    def _rectify(self, x: Tensor, behind: nn.Module) -> Tensor:
        """A ReLU behind weights, as released, where the tap is rectified; without weights none is needed."""
        return x.relu() if self.rectified and any(True for _ in behind.parameters()) else x

    def _set_temporal(self, temporal: TemporalFactory, start: Cut) -> None:
        pool = None if self.replaced is None else deepcopy(start.tower.get_submodule(self.replaced))
        assert pool is None or isinstance(pool, nn.MaxPool2d)
        try:
            self.temporal = temporal(self.fusion.out_channels, start.tap.channels, pool)
        except NeedsMap as need:
            raise no_map(need, self.fusion, start) from None

    def _widen(self, start: Cut) -> tuple[str, nn.Conv2d]:
        """Put a layer that takes all channels in the place of the next weighted one."""
        channels = self.temporal.out_channels
        if start.weighted is None:
            raise no_room(self.fusion, channels, start)
        wide = widened(start.weights, channels)
        self.above[start.weighted] = wide
        return start.weighted, wide
