"""What cannot be fused, said when a net is built: what, got, allowed, what to type."""

from collections.abc import Sequence

from fusionlab import errors
from fusionlab.fusion.fusion import Fusion
from fusionlab.temporal.temporal import NeedsMap
from fusionlab.two_stream.cut import Cut, name_of
from fusionlab.two_stream.fusion_point import Meeting, fits, highest, nearest


def refuse(fusion: Fusion, meeting: Meeting) -> None:
    """A fusion that cannot stand at these layers."""
    a = meeting.a
    at = "fc8" if a.prediction and not a.probabilities else a.layer  # the class scores, whatever a tower calls them
    if fusion.layers is not None and at not in fusion.layers:
        raise errors.UserError(
            f"{name_of(fusion)} fusion cannot stand at this layer",
            got=f"layer={meeting.name}",
            allowed=fusion.layers,
            hint=f"layer={fusion.layers[0]}",
        )


def refuse_apart(meeting: Meeting) -> None:
    """Maps that do not lie on each other."""
    a, b = meeting.a, meeting.b
    if a.prediction != b.prediction or a.probabilities != b.probabilities:
        scores = Meeting(Cut(a.tower, a.tower.classifier), Cut(b.tower, b.tower.classifier))
        raise errors.UserError(
            "class scores can be fused with class scores of the same kind only",
            got=f"layer={meeting.name}",
            hint=f"layer={scores.name}",
        )
    if not fits(a.tap, b.tap):
        pair = nearest(meeting)
        raise errors.UserError(
            f"the two maps at {meeting.name} do not lie on each other",
            got=f"{a.tap.side}×{a.tap.side} (stride {a.tap.stride}) of appearance, "
            f"{b.tap.side}×{b.tap.side} (stride {b.tap.stride}) of motion",
            hint="a layer of equal size in both towers" if pair is None else f"layer={pair}",
        )


def refuse_several(fusion: Fusion, meetings: Sequence[Meeting]) -> None:
    """A fusion that leaves no map, where another fusion stands above it."""
    if not fusion.spatial and len(meetings) > 1:
        raise errors.UserError(
            f"{name_of(fusion)} fusion leaves a descriptor, and nothing can be fused above it",
            got="layer=" + "+".join(meeting.name for meeting in meetings),
            hint=f"layer={meetings[0].name}, or another fusion",
        )


def refuse_scores(meetings: Sequence[Meeting]) -> None:
    """Above other meetings, class scores of unlike kinds, or an average that has another name already."""
    last, below = meetings[-1], "+".join(one.name for one in meetings[:-1])
    refuse_apart(last)
    if last.a.probabilities:
        raise errors.UserError(
            "the scores of a fused tower and of one that is kept are averaged behind the softmax in any case",
            got=f"layer={below}+{last.name}",
            hint=f"layer={below} keep_motion=true; or layer={below}+{last.a.tower.classifier} for the logits' average",
        )


def refuse_keeping(meetings: Sequence[Meeting]) -> None:
    """A tower to be kept, where nothing of it is left or where it is kept in any case."""
    last = meetings[-1]
    if not last.prediction:
        return
    typed = "layer=" + "+".join(meeting.name for meeting in meetings)
    if len(meetings) > 1:
        raise errors.UserError(
            "a tower that is fused at its class scores too is kept already", got=f"keep_motion=true {typed}",
            hint=f"{typed} keep_motion=false, or layer={'+'.join(one.name for one in meetings[:-1])}",
        )  # fmt: skip
    raise errors.UserError(
        "above the class scores nothing of a tower is left to keep", got=f"keep_motion=true {typed}",
        hint="keep_motion=false, or a layer further down",
    )  # fmt: skip


def no_map(need: NeedsMap, fusion: Fusion, meeting: Meeting, into: Cut) -> errors.UserError:
    """A temporal head that pools over places, where there are none."""
    if not fusion.spatial:
        return errors.UserError(
            f"{need.what}, and {name_of(fusion)} fusion leaves none",
            got=f"fusion={name_of(fusion)}",
            hint="temporal=pool2d",
        )
    taps = into.tower.taps
    mapped = [tap for tap in taps if Cut(into.tower, tap).pooling is not None]
    rectified = [tap for tap in mapped if taps[tap].rectified] or mapped
    return errors.UserError(
        f"{need.what}: {rectified[0]} … {rectified[-1]}",
        got=f"layer={meeting.name}",
        allowed=mapped,
        hint=f"layer={highest(meeting.a.tower, meeting.b.tower, into.tower) or rectified[-1]}, or temporal=pool2d",
    )


def no_room(fusion: Fusion, channels: int, cut: Cut) -> errors.UserError:
    """A fusion that leaves more channels, where no weighted layer is left that could take them."""
    return errors.UserError(
        f"{name_of(fusion)} fusion leaves {channels} channels, and no layer above takes them",
        got=f"layer={cut.layer}",
        allowed=[tap for tap in cut.tower.taps if Cut(cut.tower, tap).widens],
        hint=f"a layer further down, or fusion=conv instead of {name_of(fusion)}",
    )


def no_stack(meeting: Meeting, channels: int) -> errors.UserError:
    """A stack of a stack: the layer above would have to be drawn in silence."""
    return errors.UserError(
        f"{channels} channels come up at {meeting.name}, more than a stack of two maps; no tower has filters for them",
        got=f"layer=…+{meeting.name}",
        hint=f"layer={meeting.name}, or above=fresh",
    )


def no_start(stream: str, differing: Sequence[str]) -> errors.UserError:
    """Layers above the fusion that are to start from a tower whose layers are others."""
    return errors.UserError(
        f"the layers above the fusion cannot start from the {stream} tower's: they differ",
        got=", ".join(differing[:4]) + (f" and {len(differing) - 4} more" if len(differing) > 4 else ""),
        hint=f"above={'motion' if stream == 'appearance' else 'appearance'}, or above=fresh",
    )
