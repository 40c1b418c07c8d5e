"""The trunk: two frozen towers, run once for all nets above them."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from fusionlab.backbones.tower import Tower
from fusionlab.two_stream.net import STREAMS, Needs, Stream


class Trunk(nn.Module):
    """Always frozen and in evaluation mode, so its maps do not depend on what is trained above.

    Without a tower a stream's input is passed on, for nets that train a whole tower.
    """

    def __init__(self, appearance: Tower | None = None, motion: Tower | None = None) -> None:
        super().__init__()
        self.appearance = appearance
        self.motion = motion
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: no dropout and no batch statistics below the fusion."""
        return super().train(False)

    def tower(self, stream: Stream) -> Tower | None:
        return self.appearance if stream == "appearance" else self.motion

    @torch.no_grad()
    def features(self, batch: Mapping[str, Tensor], needs: Needs) -> dict[Stream, dict[str, Tensor]]:
        """The needed maps: stream -> layer -> (N, D, T, H, W). A stream that is not needed is not run."""
        maps: dict[Stream, dict[str, Tensor]] = {}
        for stream in STREAMS:
            if layers := needs.get(stream):
                maps[stream] = self._collect(stream, batch[stream], layers)
        return maps

    def _collect(self, stream: Stream, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        tower = self.tower(stream)
        if tower is not None:
            return tower.collect(x, layers)
        assert layers == ("input",), f"no {stream} tower here to give {layers}"
        return {"input": x}
