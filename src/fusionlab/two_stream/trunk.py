"""The trunk: two frozen towers, run once for all the nets that stand on them."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from fusionlab.backbones.tower import Tower
from fusionlab.two_stream.net import STREAMS, Needs, Stream


class Trunk(nn.Module):
    """Frozen and in evaluation mode for good: its maps are the same whatever is trained on them.

    Without a tower a stream's input is handed on as it is, for nets that train a whole tower.
    """

    def __init__(self, appearance: Tower | None = None, motion: Tower | None = None) -> None:
        super().__init__()
        self.appearance = appearance
        self.motion = motion
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Never: dropout and batch statistics below the fusion stay off."""
        return super().train(False)

    def tower(self, stream: Stream) -> Tower | None:
        return self.appearance if stream == "appearance" else self.motion

    @torch.no_grad()
    def features(self, batch: Mapping[str, Tensor], needs: Needs) -> dict[Stream, dict[str, Tensor]]:
        """The maps that are needed: stream -> layer -> (N, D, T, H, W). A stream that nobody needs is not
        run.
        """
        found: dict[Stream, dict[str, Tensor]] = {}
        for stream in STREAMS:
            if layers := needs.get(stream):
                found[stream] = self._collect(stream, batch[stream], layers)
        return found

    def _collect(self, stream: Stream, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        tower = self.tower(stream)
        if tower is not None:
            return tower.collect(x, layers)
        assert layers == ("input",), f"no {stream} tower here to give {layers}"
        return {"input": x}
