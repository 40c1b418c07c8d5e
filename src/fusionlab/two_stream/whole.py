"""A net that trains both towers from the pixels up: `backprop=all`.

    frame ── own copy of appearance, up to the cut ─┐
                                                    ├── the net above ── loss
    flow ─── own copy of motion, up to the cut ─────┘

By default the gradient stops at the meeting, and all arms of a cohort read the maps of the same frozen towers. Here the
layers below the cut are an arm's own, start from the trained streams, and are in training mode, with their dropout and
the statistics of their batches. Nothing can be shared, so such an arm is a cohort of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy, deepcopy
from typing import Self

from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.norm import trainable
from fusionlab.backbones.tower import Tower
from fusionlab.two_stream.net import STREAMS, Features, Net, Stream
from fusionlab.two_stream.outline import NetLayer, Storey

BACKPROP = ("above", "all")  # down to the meeting, or to the pixels


class WholeNet(Net):
    """A net, and under it a tower of each stream that it reads; what a net says of itself, the inner one says.

    `towers` are trained with it. `copied` makes one from towers that stay as they are.
    """

    def __init__(self, top: Net, towers: Mapping[Stream, Tower]) -> None:
        super().__init__(top.consensus)
        self.top = top
        self.towers = nn.ModuleDict({stream: towers[stream] for stream in STREAMS if stream in top.needs})
        self.needs = dict.fromkeys(top.needs, ("input",))
        self.into, self.two_losses, self.keeps_apart = top.into, top.two_losses, top.keeps_apart
        vars(self)["svm"] = top.svm  # known here, and not registered a second time

    @classmethod
    def copied(cls, top: Net, towers: Mapping[Stream, Tower]) -> Self:
        """With copies of the layers that the net's maps come from."""
        made = cls(top, {stream: copy_below(towers[stream], taps) for stream, taps in top.needs.items()})
        trainable(made)  # the towers may be frozen, their copies are not
        return made

    # -- what it does

    def _maps(self, features: Features) -> Features:
        return MapsOnDemand(self.own_towers, self.top, features)

    def forward(self, features: Features) -> Tensor:
        return self.top(self._maps(features))

    def heads(self, features: Features) -> tuple[Tensor, ...]:
        return self.top.heads(self._maps(features))

    def combine(self, heads: Sequence[Tensor]) -> Tensor:
        return self.top.combine(heads)

    def heads_loss(self, heads: Sequence[Tensor], label: Tensor, weights: Tensor | None = None) -> Tensor:
        return self.top.heads_loss(heads, label, weights)

    def scored_nll(self, heads: Sequence[Tensor], label: Tensor) -> Tensor:
        return self.top.scored_nll(heads, label)

    # -- what it says of itself

    @property
    def head_names(self) -> tuple[str, ...]:
        return self.top.head_names

    @property
    def regularised(self) -> tuple[nn.Parameter, ...]:
        return self.top.regularised

    @property
    def margins(self) -> tuple[str, ...]:
        return self.top.margins

    @property
    def own_towers(self) -> Mapping[Stream, Tower]:
        return {stream: self.towers[stream] for stream in self.top.needs}  # type: ignore[misc]

    @property
    def apart(self) -> Mapping[Stream, Net]:
        """Each part with the tower below it."""
        return {stream: WholeNet(part, self.own_towers).train(self.training) for stream, part in self.top.apart.items()}

    def no_effect(self, lengths: Sequence[int]) -> dict[str, tuple[str, str | None]]:
        return self.top.no_effect(lengths)

    @property
    def scores_text(self) -> str:
        return self.top.scores_text

    def reach(self, snippets: int) -> tuple[Sequence[range], ...]:
        return self.top.reach(snippets)

    def layers(self, snippets: int) -> Iterator[NetLayer]:
        for stream, tower in self.own_towers.items():
            below = tower.below(self.top.needs[stream])
            yield from (NetLayer(f"towers.{stream}.{name}", own_part(stream), name) for name in below)
        yield from (one._replace(path=f"top.{one.path}") for one in self.top.layers(snippets))

    def storeys(self) -> Sequence[Storey]:
        return self.top.storeys()


class MapsOnDemand(Mapping[Stream, Mapping[str, Tensor]]):
    """The maps of each stream, made when they are asked for, once.

    So a net whose towers are trained apart runs each tower together with its own layers above it, and each has the
    draws of dropout that it has alone.
    """

    def __init__(self, towers: Mapping[Stream, Tower], net: Net, features: Features) -> None:
        self.towers, self.net, self.features = towers, net, features
        self.made: dict[Stream, Mapping[str, Tensor]] = {}

    def __getitem__(self, stream: Stream) -> Mapping[str, Tensor]:
        if stream not in self.made:
            self.made[stream] = self.towers[stream].collect(self.features[stream]["input"], self.net.needs[stream])
        return self.made[stream]

    def __iter__(self) -> Iterator[Stream]:
        return iter(self.net.needs)

    def __len__(self) -> int:
        return len(self.net.needs)


def own_part(stream: Stream) -> str:
    """The part in tables that an arm's own tower of a stream is, below the meeting."""
    return f"own_{stream}"


def copy_below(tower: Tower, taps: Sequence[str]) -> Tower:
    """A copy of a tower without the layers that these taps do not need."""
    unused = set(tower.names) - set(tower.below(taps))
    short = copy(tower)  # another object, with the same layers
    vars(short)["_modules"] = {name: one for name, one in tower._modules.items() if name not in unused}
    return deepcopy(short)


def expect_backprop(name: str) -> None:
    """Raise a `UserError` for a depth of back-propagation that does not exist."""
    if name not in BACKPROP:
        raise errors.unknown("end of back-propagation", str(name), BACKPROP, form="backprop={}")
