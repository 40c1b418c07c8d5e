"""The control of a fusion: both towers' layers above the meeting are trained on, apart, and their scores are averaged.

    scores = ½ softmax(top_a(x_a)) + ½ softmax(top_b(x_b))        loss = CE(top_a(x_a), y) + CE(top_b(x_b), y)

Each top is a net of its own, and is what it would be if it were trained alone, bit for bit: its gradient is that of its
own loss, it is clipped by its own norm (`Net.apart`), and its dropout starts from the same state of the generators.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.norm import trainable
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError
from fusionlab.fusion.control import Control
from fusionlab.temporal.temporal import NeedsMap, TemporalFactory
from fusionlab.two_stream.copied_layers import CopiedLayers
from fusionlab.two_stream.fused import Above, pooling_copy, reach_of
from fusionlab.two_stream.fusion_point import Cut, FusionPoint, read
from fusionlab.two_stream.net import STREAMS, Features, Net, Stream, mean_of_streams
from fusionlab.two_stream.outline import NetLayer, Storey, top_layers, top_storey
from fusionlab.two_stream.refuse import no_map, no_wider_layer
from fusionlab.two_stream.scores import Consensus, apply_consensus, cross_entropy
from fusionlab.two_stream.widen import widen

OF_MEETING = ("into", "keep_motion", "tower_weight", "align")  # options that towers that stay apart do not have


class Top(Net):
    """One tower's layers above a cut, with a temporal head at the cut `headed`, which may lie above the first."""

    def __init__(
        self,
        stream: Stream,
        cut: Cut,
        headed: Cut,
        temporal: TemporalFactory,
        *,
        fresh: bool = False,
        consensus: Consensus = "scores",
        seed: int = 0,
    ) -> None:
        super().__init__(consensus)
        self.stream, self.cut, self.headed = stream, cut, headed
        self.needs = {stream: (cut.layer,)}
        channels = headed.tap.channels
        drawn: dict[str, nn.Module] = {}
        with next(cut.tower.parameters()).device:  # the net is made where the towers are
            self.above = CopiedLayers(cut.tower, cut.above, headed.pooling)
            self.temporal = temporal(channels, channels, pooling_copy(headed))
            if headed.pooling is not None:
                self.temporal.fits(headed.pooled)
            drawn["temporal"] = self.temporal
            if self.temporal.out_channels != channels:
                if not headed.widens:
                    raise no_wider_layer(self.temporal, self.temporal.out_channels, headed)
                widened = widen(self.above, headed, self.temporal.out_channels)
                drawn |= {f"above.{name}": layer for name, layer in widened.items()}
        for name, part in {**drawn, **({"above": self.above} if fresh else {})}.items():
            initialise(part, seed, prefix=f"{stream}.{name}.")
        trainable(self)  # the towers may be frozen, their copies are not

    @property
    def has_relu(self) -> bool:
        """A ReLU behind a temporal head with weights, as behind a fusion's."""
        return self.headed.tap.rectified and any(True for _ in self.temporal.parameters())

    def forward(self, features: Features) -> Tensor:
        x = self.above.run(features[self.stream][self.cut.layer], self.cut.until(self.headed), None)
        x = self.temporal.at_fusion(x)
        x = self.above.run(x.relu() if self.has_relu else x, self.headed.above, self.temporal)
        return apply_consensus(x.flatten(2), self.consensus)

    @property
    def head_names(self) -> tuple[str, ...]:
        return (self.stream,)

    def reach(self, snippets: int) -> tuple[Sequence[range], ...]:
        return self.merge_reach(reach_of(self.temporal, self.headed, snippets))

    def layers(self, snippets: int) -> Iterator[NetLayer]:
        return top_layers(self, "", "temporal", "above", snippets)


class ControlNet(Net):
    """Two tops, each with its own loss; `joint`: one loss instead, that of the averaged scores.

    `layer`: where both towers are cut, as `control_layer` gives it. `above="fresh"` draws the layers above.
    """

    keeps_apart = True

    def __init__(
        self,
        appearance: Tower,
        motion: Tower,
        temporal: TemporalFactory,
        layer: str,
        *,
        above: Above = "appearance",
        joint: bool = False,
        consensus: Consensus = "scores",
        seed: int = 0,
    ) -> None:
        super().__init__(consensus)
        self.joint, self.two_losses, self.start = joint, not joint, above
        self.points = points = _points(layer, appearance, motion, temporal)
        self.name = "+".join(one.name for one in points)
        low, high = points[0], points[-1]
        tops = []
        streams: tuple[tuple[Stream, Cut, Cut], ...] = ("appearance", low.a, high.a), ("motion", low.b, high.b)
        for stream, cut, headed in streams:
            try:
                made = Top(stream, cut, headed, temporal, fresh=above == "fresh", consensus=consensus, seed=seed)
            except NeedsMap as need:
                raise no_map(need, Control(1, 1), high, headed) from None
            tops.append(made)
        self.appearance, self.motion = tops
        self.needs = {**self.appearance.needs, **self.motion.needs}

    @property
    def apart(self) -> Mapping[Stream, Net]:
        return {} if self.joint else {"appearance": self.appearance, "motion": self.motion}

    def heads(self, features: Features) -> tuple[Tensor, ...]:
        set_back = _present_draws(next(self.parameters()).device)
        x_a = self.appearance(features)
        set_back()  # each top has the draws of dropout that it has alone
        return x_a, self.motion(features)

    @property
    def head_names(self) -> tuple[str, ...]:
        return STREAMS

    def forward(self, features: Features) -> Tensor:
        return self.combine(self.heads(features))

    def combine(self, heads: Sequence[Tensor]) -> Tensor:
        x_a, x_b = heads
        return mean_of_streams(x_a, x_b)

    def heads_loss(self, heads: Sequence[Tensor], label: Tensor, weights: Tensor | None = None) -> Tensor:
        if self.joint:
            return cross_entropy(self.combine(heads), label, weights)
        return super().heads_loss(heads, label, weights)

    def no_effect(self, lengths: Sequence[int]) -> dict[str, tuple[str, str | None]]:
        apart = ("the towers stay apart, and the scores of both count alike", None)
        options: dict[str, tuple[str, str | None]] = dict.fromkeys(OF_MEETING, apart)
        if self.start != "fresh":
            options["above"] = ("each tower keeps its own layers", "above=fresh")
        return options | {f"temporal.{name}": why for name, why in self.appearance.temporal.no_effect().items()}

    # -- what it says of itself

    @property
    def scores_text(self) -> str:
        return f"½ {self.softmax_text}(appearance) + ½ {self.softmax_text}(motion)"

    def reach(self, snippets: int) -> tuple[Sequence[range], ...]:
        return tuple(head for top in (self.appearance, self.motion) for head in top.reach(snippets))

    def layers(self, snippets: int) -> Iterator[NetLayer]:
        yield from top_layers(self.appearance, "appearance.", "temporal", "above", snippets)
        yield from top_layers(self.motion, "motion.", "beside", "beside", snippets)

    def storeys(self) -> Sequence[Storey]:
        return (top_storey(self),)


def control_layer(
    layer: str, appearance: Tower, motion: Tower, temporal: TemporalFactory, whole: bool = False, fresh: bool = False
) -> str | None:
    """Where the towers of an arm's control are cut, for an arm that meets at `layer`; None at class scores.

    It is the lowest meeting. A temporal head that needs a map stands where it stands in the arm: if that is above the
    lowest meeting, this layer is named too.

    Where the towers are trained as a `whole`, the cut divides what is trained either way: one control, cut below the
    classifiers, serves all layers, also class scores. A layer stays where the head has its place, and where the layers
    above it are `fresh`.
    """
    points = [one for one in read(layer, appearance, motion) if not one.prediction]
    anywhere = getattr(getattr(temporal, "func", temporal), "anywhere", False)
    if whole and (not points or (anywhere and not fresh)):
        return FusionPoint(_last_map(appearance), _last_map(motion)).name
    boxed = getattr(getattr(temporal, "func", temporal), "needs_map", True)
    headed = [one for one in points if one.spatial][-1:] if boxed else []
    if whole and headed and not fresh:
        return headed[0].name
    return "+".join(dict.fromkeys(one.name for one in (*points[:1], *headed))) or None


def _last_map(tower: Tower) -> Cut:
    """The cut at the highest tap below the class scores."""
    return max((cut for tap in tower.taps if not (cut := Cut(tower, tap)).prediction), key=lambda cut: cut.depth)


def _points(layer: str, appearance: Tower, motion: Tower, temporal: TemporalFactory) -> tuple[FusionPoint, ...]:
    """The lowest point, and that of the temporal head."""
    points = read(layer, appearance, motion)
    fitting = control_layer(layer, appearance, motion, temporal)
    if fitting is None:
        raise UserError(
            "no layers that could be trained on stand above class scores", got=f"layer={layer}",
            hint="fusion=late, which is the control there; or a layer further down",
        )  # fmt: skip
    if fitting != "+".join(one.name for one in points):
        raise UserError(
            "towers that are not fused have one layer, above which they are trained on",
            got=f"layer={layer}", hint=f"layer={fitting}",
        )  # fmt: skip
    return points


def _present_draws(device: torch.device) -> Callable[[], None]:
    """A function that sets the generators back to their present state."""
    cuda = device.type == "cuda"
    state, of_cuda = torch.get_rng_state(), torch.cuda.get_rng_state(device) if cuda else None

    def set_back() -> None:
        torch.set_rng_state(state)
        if of_cuda is not None:
            torch.cuda.set_rng_state(of_cuda, device)

    return set_back
