"""Two towers fused at one layer or at several: the fusions, a temporal head, and what stands above."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Literal, get_args

from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.norm import trainable
from fusionlab.backbones.time_folding import folded, unfolded
from fusionlab.backbones.tower import Tower
from fusionlab.fusion.fusion import Fusion, FusionFactory
from fusionlab.temporal.temporal import NeedsMap, Temporal, TemporalFactory
from fusionlab.two_stream import average
from fusionlab.two_stream.column import Column
from fusionlab.two_stream.cut import Cut
from fusionlab.two_stream.fusion_point import Meeting, read
from fusionlab.two_stream.hinge import hinge
from fusionlab.two_stream.logarithm import LEARNT_FLOOR, logarithm
from fusionlab.two_stream.net import STREAMS, Features, Net, Stream, cross_entropy
from fusionlab.two_stream.pad_to_match import levelled
from fusionlab.two_stream.refuse import (
    no_map,
    no_room,
    no_stack,
    refuse,
    refuse_apart,
    refuse_keeping,
    refuse_scores,
    refuse_several,
)
from fusionlab.two_stream.svm import Svm
from fusionlab.two_stream.widen import stack, widen

Above = Literal["appearance", "motion", "fresh"]


class FusedNet(Net):
    """x_a, x_b -> fusion (-> conv3d) -> the layers above, the temporal head for the next pooling -> logits

    The towers end at the lowest meeting and are not part of this net: it takes their maps there, and looks at
    their layers once, to copy what stands above. One tower goes on above the fusion (`into`), the other is cut.
    `above` says from whose weights the copies start; "fresh" draws them anew. Where a fusion leaves another
    number of channels, the next weighted layer is widened; after a stack it starts from both towers' filters.

    Several meetings (`relu3+relu5+fc6`): the other tower's own layers run beside, up to the last of them. The
    temporal head belongs to the last meeting that has a map; its box stands in both columns.

    Two towers, two losses (`keep`): the other tower's layers run beside up to its own logits, are trained by a
    loss of their own, and a clip is scored by both:

        scores = tower_weight · the fused tower's + (1 − tower_weight) · the other's

    So it is, too, where the last of several meetings is at fc8 (`relu5+fc8`): nothing weighted is added there, and
    the logits are averaged instead of the scores. In training there is no such average: each tower has its loss.
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
        into: Stream = "appearance",
        keep: bool = False,
        tower_weight: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check(above, into, tower_weight)
        met = read(layer, appearance, motion)
        if keep:
            refuse_keeping(met)
        at_scores = len(met) > 1 and met[-1].prediction
        if at_scores:
            refuse_scores(met)
        self.averages_logits = at_scores
        self.two_losses = keep or at_scores
        self.into = into
        self.tower_weight = tower_weight
        self.layer_a, self.layer_b = met[0].a.layer, met[0].b.layer
        self.needs = {"appearance": (self.layer_a,), "motion": (self.layer_b,)}
        meetings = met[:-1] if at_scores else met
        self.names = [one.name for one in meetings]
        self.rectified = [one.tap.rectified for one in self._cuts(meetings)[0]]  # what the layers above expect
        self.spatial = [one.spatial for one in meetings]
        self.probabilities = meetings[-1].a.probabilities
        # The temporal head's meeting: the last one with a map.
        self.headed = max((k for k, one in enumerate(meetings) if one.spatial), default=len(meetings) - 1)
        with next(appearance.parameters()).device:  # the net is made where the towers are
            self._set_columns(meetings)
            if above != "fresh" and above != into:
                self.above.start_from(motion if above == "motion" else appearance, above)
            drawn = self._set_fusions(meetings, fusion, temporal, above)
        for name, part in drawn:
            initialise(part, seed, prefix=f"{name}.")
        trainable(self)  # the towers may be frozen, their copies are not

    # -- how it is built

    def _cuts(self, meetings: Sequence[Meeting]) -> tuple[list[Cut], list[Cut]]:
        """Of the tower that goes on, and of the other."""
        a, b = [one.a for one in meetings], [one.b for one in meetings]
        return (a, b) if self.into == "appearance" else (b, a)

    def _set_columns(self, meetings: Sequence[Meeting]) -> None:
        """The layers above the lowest meeting, of the tower that goes on and, where it is needed, of the other."""
        cuts, others = self._cuts(meetings)
        self.steps = [here.until(there) for here, there in zip(cuts, [*cuts[1:], None], strict=True)]
        self.above = Column(cuts[0].tower, cuts[0].above, cuts[self.headed].pooling)
        ends = [*others[1:], None] if self.two_losses else others[1:]
        self.other_steps = [here.until(there) for here, there in zip(others, ends, strict=False)]
        names = [name for step in self.other_steps for name in step]
        self.beside = Column(others[0].tower, names, others[self.headed].pooling) if names else None
        self.beside_head: Temporal | None = None

    def _set_fusions(
        self, meetings: Sequence[Meeting], fusion: FusionFactory, temporal: TemporalFactory, above: Above
    ) -> list[tuple[str, nn.Module]]:
        """From the lowest meeting up, the layers above each made to fit. Returns what is to be drawn, and as what."""
        cuts, others = self._cuts(meetings)
        made: list[Fusion] = []
        drawn: list[tuple[str, nn.Module]] = []
        wide: list[tuple[str, nn.Module]] = []
        channels = cuts[0].tap.channels  # of the map that comes up in the tower that goes on
        for k, (meeting, cut, other) in enumerate(zip(meetings, cuts, others, strict=True)):
            refuse_apart(meeting)
            pair = (channels, other.tap.channels)
            made.append(fusion(*(pair if self.into == "appearance" else pair[::-1])))
            made[k].leave(cut.tap.channels)
            refuse(made[k], meeting)
            refuse_several(made[k], meetings)
            drawn.append(("fusion" if k == 0 else f"further.{meeting.name}", made[k]))
            channels = made[k].out_channels
            if k == self.headed:
                self._set_temporal(temporal, made[k], meeting)
                drawn.append(("temporal", self.temporal))
                channels = self.temporal.out_channels
            if not made[k].spatial:
                self.above, self.steps = Column(cut.tower, (), None), [()]
                self.svm = Svm(channels, cut.tower.classes, 1)
                drawn.append(("svm", self.svm))
            elif channels == cut.tap.channels or cut.weighted in self.steps[k]:
                if channels != cut.tap.channels:
                    wide += self._widen(made[k], channels, meeting, above)
                    if wide and k > 0 and above != "fresh":
                        raise no_stack(meeting, channels)
                channels = cuts[k + 1].tap.channels if k + 1 < len(cuts) else 0
            elif k + 1 == len(cuts):
                raise no_room(made[k], channels, cut)
        self.fusion = made[0]
        self.further = nn.ModuleDict(dict(zip(self.names[1:], made[1:], strict=True))) if made[1:] else None
        return drawn + wide + ([("above", self.above)] if above == "fresh" else [])

    def _set_temporal(self, temporal: TemporalFactory, fusion: Fusion, meeting: Meeting) -> None:
        (cut,), (other,) = self._cuts([meeting])
        try:
            self.temporal = temporal(fusion.out_channels, cut.tap.channels, _pool(cut) if fusion.spatial else None)
        except NeedsMap as need:
            raise no_map(need, fusion, meeting, cut) from None
        if fusion.spatial and cut.pooling is not None:
            zeros = max(cut.tap.side, other.tap.side) - cut.tap.side  # a row and a column more arrive there
            self.temporal.fits(cut.pooled + zeros, cut.pooled)
        if self.beside is not None and self.beside.replaced is not None:
            self.beside_head = self.temporal.beside(other.tap.channels, _pool(other))
            self.beside_head.fits(other.pooled)

    def _widen(self, fusion: Fusion, channels: int, meeting: Meeting, above: Above) -> list[tuple[str, nn.Module]]:
        """Let the next weighted layer take all channels. Returns what could not start from a stack."""
        (cut,), _ = self._cuts([meeting])
        if not cut.widens:
            raise no_room(fusion, channels, cut)
        assert cut.weighted is not None
        start = meeting.b if above == "motion" else meeting.a
        wide = widen(self.above, cut.weighted, channels)
        return [
            (f"above.{name}", conv)
            for name, conv in wide.items()
            if above == "fresh" or not stack(conv, name.partition(".")[2], meeting, start)
        ]

    # -- what it does

    def heads(self, features: Features) -> tuple[Tensor, ...]:
        x_a, x_b = features["appearance"][self.layer_a], features["motion"][self.layer_b]
        x, y = (x_a, x_b) if self.into == "appearance" else (x_b, x_a)
        clips = x.shape[0]
        for k in range(len(self.names)):
            x = self._fused(k, x, y)
            if k == self.headed:
                x = self._rectify(self.temporal.at_fusion(x), k, behind=self.temporal)
            x = self.above.run(x, self.steps[k], self.temporal)
            if self.beside is not None and k < len(self.other_steps):
                y = self.beside.run(y, self.other_steps[k], self.beside_head)
        if self.svm is not None:
            x = unfolded(self.svm(folded(x)), clips)
        elif self.probabilities:
            x = logarithm(x, floor=LEARNT_FLOOR if any(True for _ in self.fusion.parameters()) else None)
        return (x.flatten(2), y.flatten(2)) if self.two_losses else (x.flatten(2),)

    def forward(self, features: Features) -> Tensor:
        return self.combine(self.heads(features))

    def combine(self, heads: Sequence[Tensor]) -> Tensor:
        fused, *others = heads
        mean = average.of_logits if self.averages_logits else average.of_scores
        return mean(fused, others[0], self.tower_weight) if others else fused

    def heads_loss(self, heads: Sequence[Tensor], label: Tensor) -> Tensor:
        """As every net's; a descriptor under a support vector machine has that machine's loss."""
        first, *others = heads
        own = hinge if self.svm is not None and self.fusion.classifier == "svm" else cross_entropy
        return sum((cross_entropy(logits, label) for logits in others), start=own(first, label))

    def _fused(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """The fusion at meeting k of the map that comes up, and the other tower's."""
        fusion: nn.Module = self.fusion
        if k > 0:
            assert self.further is not None
            fusion = self.further[self.names[k]]
        x_a, x_b = (x, y) if self.into == "appearance" else (y, x)
        if self.spatial[k]:
            x_a, x_b = levelled(x_a, x_b)
        return self._rectify(fusion(x_a, x_b), k, behind=fusion)

    def _rectify(self, x: Tensor, k: int, behind: nn.Module) -> Tensor:
        """A ReLU behind weights, as released, where the taps are rectified; without weights none is needed."""
        return x.relu() if self.rectified[k] and any(True for _ in behind.parameters()) else x


def _check(above: str, into: str, tower_weight: float) -> None:
    if above not in get_args(Above):
        raise errors.unknown("start of the layers above", above, get_args(Above), form="above={}")
    if into not in STREAMS:
        raise errors.unknown("tower that goes on above the fusion", into, STREAMS, form="into={}")
    if not 0 <= tower_weight <= 1:
        raise errors.UserError(
            "tower_weight lies between 0 and 1", got=f"tower_weight={tower_weight}", hint="tower_weight=0.5"
        )


def _pool(cut: Cut) -> nn.MaxPool2d | nn.AvgPool2d | None:
    """The pooling layer that a temporal head stands for."""
    if cut.pooling is None:
        return None
    pool = deepcopy(cut.tower.get_submodule(cut.pooling))
    assert isinstance(pool, nn.MaxPool2d | nn.AvgPool2d)
    return pool
