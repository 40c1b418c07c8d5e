"""Two towers fused at one layer or at several: the fusions, a temporal head, and the layers above."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Literal, get_args

from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.folding import run_layer
from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.norm import trainable
from fusionlab.backbones.tower import Tower
from fusionlab.fusion.fusion import Fusion, FusionFactory
from fusionlab.temporal.temporal import NeedsMap, Spatial, Temporal, TemporalFactory
from fusionlab.two_stream.copied_layers import CopiedLayers
from fusionlab.two_stream.fusion_point import Cut, FusionPoint, pad_to_match, pool_time, read
from fusionlab.two_stream.net import STREAMS, Features, Net, Stream, frames_seen
from fusionlab.two_stream.outline import NetLayer, Storey, fused_layers, fused_storeys
from fusionlab.two_stream.refuse import (
    no_map,
    no_wider_layer,
    refuse_keeping,
    refuse_layer,
    refuse_scores,
    refuse_several,
    refuse_unlike_maps,
    refuse_unlike_times,
    stack_of_stack,
    unlike_steps,
)
from fusionlab.two_stream.scores import (
    LEARNT_FLOOR,
    Consensus,
    Svm,
    apply_consensus,
    cross_entropy,
    hinge,
    logarithm,
    mean_of_logits,
    mean_of_scores,
    penalty,
)
from fusionlab.two_stream.widen import stack, widen

Above = Literal["appearance", "motion", "fresh"]
ALIGNMENTS = ("refuse", "pool")
FUSED = "fused"  # the head of the tower that goes on above the fusion


class FusedNet(Net):
    """x_a, x_b -> fusion (-> conv3d) -> the layers above, the temporal head for the next pooling -> logits

    The towers end at the lowest fusion point and are not part of this net: it takes their maps there, and copies their
    layers above. One tower goes on above the fusion (`into`), the other ends. `above` tells whose weights the copies
    start from; "fresh" draws them. If a fusion leaves another number of channels, the next weighted layer is widened;
    after a stack it starts from both towers' filters.

    Several points (`relu3+relu5+fc6`): the other tower's own layers run beside, up to the last point. The temporal head
    belongs to the last point that has a map; its box replaces the pooling of both towers.

    Two towers, two losses (`keep`): the other tower's layers run beside up to its own logits and have their own loss.
    A clip's scores are a mean of both:

        scores = tower_weight · the fused tower's + (1 − tower_weight) · the other's

    The same where the last of several points is at fc8 (`relu5+fc8`): no weights are added there, and the logits are
    averaged instead of the scores. In training there is no average: each tower has its loss.

    Maps with unlike time strides, as of a 3D and a 2D tower, or with unlike numbers of steps are refused; with
    `align="pool"` the map with more steps is averaged over time to the steps of the other.
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
        align: str = "refuse",
        consensus: Consensus = "scores",
        seed: int = 0,
    ) -> None:
        super().__init__(consensus)
        expect_towers(above, into, tower_weight, align)
        all_points = read(layer, appearance, motion)
        if keep:
            refuse_keeping(all_points)
        at_scores = len(all_points) > 1 and all_points[-1].prediction
        if at_scores:
            refuse_scores(all_points)
        self.averages_logits = at_scores
        self.two_losses = keep or at_scores
        self.into = into
        self.tower_weight = tower_weight
        self.align = align
        self.layer_a, self.layer_b = all_points[0].a.layer, all_points[0].b.layer
        self.needs = {"appearance": (self.layer_a,), "motion": (self.layer_b,)}
        self.points = points = all_points[:-1] if at_scores else all_points
        self.names = [one.name for one in points]
        self.taps = [one.taps for one in points]
        self.rectified = [one.tap.rectified for one in self._cuts(points)[0]]
        self.spatial = [one.spatial for one in points]
        self.probabilities = points[-1].a.probabilities
        # The temporal head's: the last one with a map.
        self.headed = max((k for k, one in enumerate(points) if one.spatial), default=len(points) - 1)
        self.headed_cuts = [cuts[self.headed] for cuts in self._cuts(points)]
        with next(appearance.parameters()).device:  # the net is made where the towers are
            self._set_columns(points)
            if above != "fresh" and above != into:
                self.above.start_from(motion if above == "motion" else appearance, above)
            drawn = self._set_fusions(points, fusion, temporal, above)
        for name, part in drawn:
            initialise(part, seed, prefix=f"{name}.")
        trainable(self)  # the towers may be frozen, their copies are not

    # -- how it is built

    def _cuts(self, points: Sequence[FusionPoint]) -> tuple[list[Cut], list[Cut]]:
        """The cuts of the tower that goes on, and of the other."""
        a, b = [one.a for one in points], [one.b for one in points]
        return (a, b) if self.into == "appearance" else (b, a)

    def _set_columns(self, points: Sequence[FusionPoint]) -> None:
        """The layers above the lowest point, of the tower that goes on and, where it is needed, of the other."""
        cuts, others = self._cuts(points)
        self.steps = [here.until(there) for here, there in zip(cuts, [*cuts[1:], None], strict=True)]
        self.above = CopiedLayers(cuts[0].tower, cuts[0].above, cuts[self.headed].pooling)
        ends = [*others[1:], None] if self.two_losses else others[1:]
        self.other_steps = [here.until(there) for here, there in zip(others, ends, strict=False)]
        names = [name for step in self.other_steps for name in step]
        self.beside = CopiedLayers(others[0].tower, names, others[self.headed].pooling) if names else None
        self.beside_head: Temporal | None = None

    def _set_fusions(
        self, points: Sequence[FusionPoint], fusion: FusionFactory, temporal: TemporalFactory, above: Above
    ) -> list[tuple[str, nn.Module]]:
        """From the lowest point up, the layers above each made to fit. Returns what is to be drawn, and as what."""
        cuts, others = self._cuts(points)
        made: list[Fusion] = []
        drawn: list[tuple[str, nn.Module]] = []
        widened: list[tuple[str, nn.Module]] = []
        channels = cuts[0].tap.channels  # of the map that comes up in the tower that goes on
        for k, (point, cut, other) in enumerate(zip(points, cuts, others, strict=True)):
            refuse_unlike_maps(point)
            refuse_unlike_times(point, self.align)
            pair = (channels, other.tap.channels)
            made.append(fusion(*(pair if self.into == "appearance" else pair[::-1])))
            made[k].leave(cut.tap.channels)
            refuse_layer(made[k], point)
            refuse_several(made[k], points)
            drawn.append(("fusion" if k == 0 else f"further.{point.name}", made[k]))
            channels = made[k].out_channels
            if k == self.headed:
                self._set_temporal(temporal, made[k], point)
                drawn.append(("temporal", self.temporal))
                channels = self.temporal.out_channels
            if not made[k].spatial:
                self.above, self.steps = CopiedLayers(cut.tower, (), None), [()]
                self.svm = Svm(channels, cut.tower.classes, 1)
                drawn.append(("svm", self.svm))
            elif channels == cut.tap.channels or cut.weighted in self.steps[k]:
                if channels != cut.tap.channels:
                    widened += self._widen(made[k], channels, point, above)
                    if widened and k > 0 and above != "fresh":
                        raise stack_of_stack(point, channels)
                channels = cuts[k + 1].tap.channels if k + 1 < len(cuts) else 0
            elif k + 1 == len(cuts):
                raise no_wider_layer(made[k], channels, cut)
        self.fusion = made[0]
        self.further = nn.ModuleDict(dict(zip(self.names[1:], made[1:], strict=True))) if made[1:] else None
        return drawn + widened + ([("above", self.above)] if above == "fresh" else [])

    def _set_temporal(self, temporal: TemporalFactory, fusion: Fusion, point: FusionPoint) -> None:
        (cut,), (other,) = self._cuts([point])
        try:
            pool = pooling_copy(cut) if fusion.spatial else None
            self.temporal = temporal(fusion.out_channels, cut.tap.channels, pool)
        except NeedsMap as need:
            raise no_map(need, fusion, point, cut) from None
        if fusion.spatial and cut.pooling is not None:
            zeros = max(cut.tap.side, other.tap.side) - cut.tap.side  # a row and a column more arrive there
            self.temporal.fits(cut.pooled + zeros, cut.pooled)
        if self.beside is not None and self.beside.replaced is not None:
            self.beside_head = self.temporal.beside(other.tap.channels, pooling_copy(other))
            self.beside_head.fits(other.pooled)

    def _widen(self, fusion: Fusion, channels: int, point: FusionPoint, above: Above) -> list[tuple[str, nn.Module]]:
        """Let the next weighted layer take all channels. Returns what could not start from a stack."""
        (cut,), _ = self._cuts([point])
        if not cut.widens:
            raise no_wider_layer(fusion, channels, cut)
        start = point.b if above == "motion" else point.a
        noise = point.name == self.names[self.headed] and not self.temporal.keeps_channels
        return [
            (f"above.{name}", conv)
            for name, conv in widen(self.above, cut, channels).items()
            if above == "fresh" or noise or not stack(conv, name.partition(".")[2], point, start)
        ]

    def no_effect(self, lengths: Sequence[int]) -> dict[str, tuple[str, str | None]]:
        options: dict[str, tuple[str, str | None]] = {}
        bare = (f"nothing stands above the fusion at {'+'.join(self.names)}", None)
        nothing_above = not any(True for _ in self.above.parameters())
        if nothing_above:
            options["above"] = bare
        options |= {f"temporal.{name}": reason for name, reason in self.temporal.no_effect().items()}
        if self.align == "pool" and not any(unlike_steps(self.points, frames) for frames in lengths):
            options["align"] = ("both maps have as many steps", None)
        if not self.two_losses:
            options["tower_weight"] = ("one tower's scores have nothing to be weighed against", "keep_motion=true")
            if nothing_above:
                options["into"] = bare
        return options

    # -- what it does

    def heads(self, features: Features) -> tuple[Tensor, ...]:
        x_a, x_b = features["appearance"][self.layer_a], features["motion"][self.layer_b]
        x, y = (x_a, x_b) if self.into == "appearance" else (x_b, x_a)
        for k in range(len(self.names)):
            x = self._fused(k, x, y)
            if k == self.headed:
                x = self._rectify(self.temporal.at_fusion(x), k, behind=self.temporal)
            x = self.above.run(x, self.steps[k], self.temporal)
            if self.beside is not None and k < len(self.other_steps):
                y = self.beside.run(y, self.other_steps[k], self.beside_head)
        if self.svm is not None:
            x = run_layer(self.svm, x)
        elif self.probabilities:
            x = logarithm(x, floor=LEARNT_FLOOR if any(True for _ in self.fusion.parameters()) else None)
        return tuple(apply_consensus(one.flatten(2), self.consensus) for one in ((x, y) if self.two_losses else (x,)))

    def forward(self, features: Features) -> Tensor:
        return self.combine(self.heads(features))

    def combine(self, heads: Sequence[Tensor]) -> Tensor:
        fused, *others = heads
        mean = mean_of_logits if self.averages_logits else mean_of_scores
        return mean(fused, others[0], self.tower_weight) if others else fused

    def heads_loss(self, heads: Sequence[Tensor], label: Tensor, weights: Tensor | None = None) -> Tensor:
        """The loss of every net; a descriptor's classifier may have a regulariser, and another loss."""
        loss, factor = self._errors(heads, label, weights), self.fusion.regulariser
        return loss if self.svm is None or factor is None else loss + penalty(self.svm, factor)

    def _errors(self, heads: Sequence[Tensor], label: Tensor, weights: Tensor | None = None) -> Tensor:
        first, *others = heads
        own = hinge if self.has_hinge else cross_entropy
        return sum((cross_entropy(logits, label, weights) for logits in others), start=own(first, label, weights))

    def scored_nll(self, heads: Sequence[Tensor], label: Tensor) -> Tensor:
        """Margins are no probabilities: a support vector machine keeps its own loss."""
        return self._errors(heads, label) if self.has_hinge else super().scored_nll(heads, label)

    @property
    def regularised(self) -> tuple[nn.Parameter, ...]:
        return () if self.svm is None or self.fusion.regulariser is None else tuple(self.svm.parameters())

    @property
    def has_hinge(self) -> bool:
        return self.svm is not None and self.fusion.classifier == "svm"

    @property
    def head_names(self) -> tuple[str, ...]:
        others = tuple(one for one in STREAMS if one != self.into) if self.two_losses else ()
        return (FUSED, *others)

    @property
    def margins(self) -> tuple[str, ...]:
        return (FUSED,) if self.has_hinge else ()

    def _fused(self, k: int, x: Tensor, y: Tensor) -> Tensor:
        """The fusion at point k, of the map from below and the other tower's."""
        fusion = self.get_submodule(self.path(k))
        x_a, x_b = (x, y) if self.into == "appearance" else (y, x)
        if self.align == "pool":
            steps = min(x_a.shape[2], x_b.shape[2])
            x_a, x_b = pool_time(x_a, steps), pool_time(x_b, steps)
        if self.spatial[k]:
            x_a, x_b = pad_to_match(x_a, x_b)
        return self._rectify(fusion(x_a, x_b), k, behind=fusion)

    def _rectify(self, x: Tensor, k: int, behind: nn.Module) -> Tensor:
        return x.relu() if self.has_relu(k, behind) else x

    # -- what it says of itself

    def path(self, k: int) -> str:
        """The path of the fusion at point k."""
        return f"further.{self.names[k]}" if k > 0 else "fusion"

    def has_relu(self, k: int, behind: nn.Module) -> bool:
        """A ReLU behind weights, as released, where the taps are rectified; without weights none is needed."""
        return self.rectified[k] and any(True for _ in behind.parameters())

    @property
    def scores_text(self) -> str:
        if not self.two_losses:
            return "normalised" if self.probabilities else self.softmax_text
        what, then = ("logits", ", then softmax") if self.averages_logits else (self.softmax_text, "")
        weights = {stream: self.tower_weight if stream == self.into else 1 - self.tower_weight for stream in STREAMS}
        terms = (f"{weights[one]:g} · {what}({'fused' if one == self.into else one})" for one in STREAMS)
        return " + ".join(terms) + then

    def reach(self, snippets: int) -> tuple[Sequence[range], ...]:
        heads = (self.temporal, *([self.beside_head] if self.two_losses else []))
        seen = (reach_of(head, cut, snippets) for head, cut in zip(heads, self.headed_cuts, strict=False))
        return self.merge_reach(*seen)

    def layers(self, snippets: int) -> Iterator[NetLayer]:
        return fused_layers(self, snippets)

    def storeys(self) -> Sequence[Storey]:
        return fused_storeys(self)


def reach_of(head: Temporal | None, cut: Cut, frames: int) -> Sequence[range]:
    """The frames that each prediction sees above a head at this cut.

    Boxes are widened by what the layers above see. Where these have strides in time, there are fewer predictions.
    """
    tower, tap = cut.tower, cut.tap
    at, top = frames_seen(tower, cut.layer, frames), tower.taps[tower.classifier]
    alone = [range(t, t + 1) for t in range(len(at))]
    boxes = alone if head is None else head.reach(len(at))
    if list(boxes) == alone:
        return frames_seen(tower, tower.classifier, frames)
    if top.time_field is None or tap.time_field is None:
        return [range(frames) for _ in boxes]
    more = (top.time_field - tap.time_field) // 2
    return [range(max(0, at[box[0]].start - more), min(frames, at[box[-1]].stop + more)) for box in boxes]


def expect_towers(above: str, into: str, tower_weight: float, align: str = "refuse") -> None:
    """Raise a `UserError` for options of the fused tower that have no such value."""
    if into not in STREAMS:
        raise errors.unknown("tower that goes on above the fusion", into, STREAMS, form="into={}")
    if above not in get_args(Above):
        raise errors.unknown("start of the layers above", above, get_args(Above), form="above={}")
    if align not in ALIGNMENTS:
        raise errors.unknown("way to align maps of unlike time strides", str(align), ALIGNMENTS, form="align={}")
    if not 0 <= tower_weight <= 1:
        raise errors.UserError(
            "tower_weight lies between 0 and 1", got=f"tower_weight={tower_weight}",
            allowed=["0 … 1"], hint="tower_weight=0.5",
        )  # fmt: skip


def pooling_copy(cut: Cut) -> Spatial | None:
    """The pooling layer that a temporal head replaces."""
    return None if cut.pooling is None else deepcopy(cut.tower.get_submodule(cut.pooling))
