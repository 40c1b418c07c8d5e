"""Errors about nets that cannot be built."""

from collections.abc import Sequence

from torch import nn

from fusionlab import errors
from fusionlab.backbones.layers import class_word
from fusionlab.fusion.fusion import Fusion
from fusionlab.temporal.temporal import NeedsMap
from fusionlab.two_stream.fusion_point import Cut, FusionPoint, fits, highest, nearest


def refuse_layer(fusion: Fusion, point: FusionPoint) -> None:
    """A fusion that is not possible at these layers."""
    a = point.a
    at = "fc8" if a.prediction and not a.probabilities else a.layer  # the class scores, whatever a tower calls them
    if fusion.layers is not None and at not in fusion.layers:
        raise errors.UserError(
            f"{class_word(fusion)} fusion is not possible at this layer",
            got=f"layer={point.name}",
            allowed=fusion.layers,
            hint=f"layer={fusion.layers[0]}",
        )


def refuse_unlike_maps(point: FusionPoint) -> None:
    """Maps of different sizes or strides."""
    a, b = point.a, point.b
    if a.prediction != b.prediction or a.probabilities != b.probabilities:
        scores = FusionPoint(Cut(a.tower, a.tower.classifier), Cut(b.tower, b.tower.classifier))
        raise errors.UserError(
            "class scores can be fused with class scores of the same kind only",
            got=f"layer={point.name}",
            hint=f"layer={scores.name}",
        )
    if not fits(a.tap, b.tap):
        pair = nearest(point)
        raise errors.UserError(
            f"the two maps at {point.name} differ in size or stride",
            got=f"{a.tap.side}×{a.tap.side} (stride {a.tap.stride}) of appearance, "
            f"{b.tap.side}×{b.tap.side} (stride {b.tap.stride}) of motion",
            hint="a layer of equal size in both towers" if pair is None else f"layer={pair}",
        )


def refuse_unlike_times(point: FusionPoint, align: str) -> None:
    """Maps of unlike time strides, unless they are to be aligned."""
    a, b = point.a.tap.time_stride, point.b.tap.time_stride
    if a != b and align != "pool":
        same = nearest(point)
        raise errors.UserError(
            f"the two maps at {point.name} differ in time stride",
            got=f"a step every {a} frames of appearance, every {b} of motion",
            allowed=["align=pool: the map with more steps is averaged over time"],
            hint="align=pool" + ("" if same is None else f", or layer={same}"),
        )


def unlike_steps(points: Sequence[FusionPoint], frames: int) -> tuple[str, int, int] | None:
    """The first point whose maps have unlike numbers of time steps in clips of so many frames, and both numbers."""
    for point in points:
        a, b = (cut.tower.steps(cut.layer, frames) for cut in (point.a, point.b))
        if a != b:
            return point.name, a, b
    return None


def refuse_unlike_steps(points: Sequence[FusionPoint], frames: int, align: str) -> None:
    """Maps that have unlike numbers of time steps in clips of so many frames, unless they are to be aligned."""
    if align != "pool" and (unlike := unlike_steps(points, frames)):
        name, a, b = unlike
        raise errors.UserError(
            f"the two maps at {name} differ in time steps",
            got=f"{a} of appearance, {b} of motion, in clips of {frames} frames",
            hint="align=pool, or clips of another length: data.sampling.snippets=…",
        )


def refuse_several(fusion: Fusion, points: Sequence[FusionPoint]) -> None:
    """A fusion that leaves no map, with another fusion above it."""
    if not fusion.spatial and len(points) > 1:
        raise errors.UserError(
            f"{class_word(fusion)} fusion leaves a descriptor, and nothing can be fused above it",
            got="layer=" + "+".join(point.name for point in points),
            hint=f"layer={points[0].name}, or another fusion",
        )


def refuse_scores(points: Sequence[FusionPoint]) -> None:
    """Class scores of different kinds above other fusions, or an average that has another name already."""
    last, below = points[-1], "+".join(one.name for one in points[:-1])
    refuse_unlike_maps(last)
    if last.a.probabilities:
        raise errors.UserError(
            "the scores of a fused and of a kept tower are always averaged behind the softmax",
            got=f"layer={below}+{last.name}",
            hint=f"layer={below} keep_motion=true; or layer={below}+{last.a.tower.classifier} for the logits' average",
        )


def refuse_keeping(points: Sequence[FusionPoint]) -> None:
    """keep_motion=true where nothing of the tower is left, or where it is kept anyway."""
    last = points[-1]
    if not last.prediction:
        return
    typed = "layer=" + "+".join(point.name for point in points)
    if len(points) > 1:
        raise errors.UserError(
            "keep_motion=true has no effect: a tower that is also fused at its class scores is kept",
            got=f"keep_motion=true {typed}",
            hint=f"{typed} keep_motion=false, or layer={'+'.join(one.name for one in points[:-1])}",
        )  # fmt: skip
    raise errors.UserError(
        "keep_motion=true has no effect: no layers of a tower are above its class scores",
        got=f"keep_motion=true {typed}",
        hint="keep_motion=false, or a layer further down",
    )  # fmt: skip


def no_map(need: NeedsMap, fusion: Fusion, point: FusionPoint, into: Cut) -> errors.UserError:
    """A temporal head that needs a map, on a vector."""
    if not fusion.spatial:
        return errors.UserError(
            f"{need.what}, and {class_word(fusion)} fusion leaves none",
            got=f"fusion={class_word(fusion)}",
            hint="temporal=pool2d",
        )
    taps = into.tower.taps
    mapped = [tap for tap in taps if Cut(into.tower, tap).pooling is not None]
    rectified = [tap for tap in mapped if taps[tap].rectified] or mapped
    if not mapped:
        return errors.UserError(f"{need.what}: this tower has none", got=f"layer={point.name}", hint="temporal=pool2d")
    return errors.UserError(
        f"{need.what}: {rectified[0]} … {rectified[-1]}",
        got=f"layer={point.name}",
        allowed=mapped,
        hint=f"layer={highest(point.a.tower, point.b.tower, into.tower) or rectified[-1]}, or temporal=pool2d",
    )


def no_wider_layer(fusion: nn.Module, channels: int, cut: Cut) -> errors.UserError:
    """A fusion, or a temporal head, that leaves more channels than the layers above can take."""
    return errors.UserError(
        f"{class_word(fusion)} fusion leaves {channels} channels, and no layer above can take them",
        got=f"layer={cut.layer}",
        allowed=[tap for tap in cut.tower.taps if Cut(cut.tower, tap).widens],
        hint=f"a layer further down, or fusion=conv instead of {class_word(fusion)}",
    )


def stack_of_stack(point: FusionPoint, channels: int) -> errors.UserError:
    """A stack of a stack: no tower has filters to start the layer above from."""
    return errors.UserError(
        f"{channels} channels arrive at {point.name}, more than two maps have; no tower has filters for them",
        got=f"layer=…+{point.name}",
        hint=f"layer={point.name}, or above=fresh",
    )


def different_layers(stream: str, differing: Sequence[str]) -> errors.UserError:
    """Layers above the fusion that cannot start from a tower with different layers."""
    return errors.UserError(
        f"the layers above the fusion cannot start from the {stream} tower's: they differ",
        got=", ".join(differing[:4]) + (f" and {len(differing) - 4} more" if len(differing) > 4 else ""),
        hint=f"above={'motion' if stream == 'appearance' else 'appearance'}, or above=fresh",
    )
