"""What cannot be fused, said when a net is built: what, got, allowed, what to type."""

from fusionlab import errors
from fusionlab.fusion.fusion import Fusion
from fusionlab.temporal.temporal import NeedsMap
from fusionlab.two_stream.cut import Cut, name_of


def refuse(fusion: Fusion, a: Cut, b: Cut) -> None:
    """A fusion that cannot stand at this layer, or maps that do not lie on each other."""
    if fusion.layers is not None and a.layer not in fusion.layers:
        raise errors.UserError(
            f"{name_of(fusion)} fusion cannot stand at this layer",
            got=f"layer={a.layer}",
            allowed=fusion.layers,
            hint=f"layer={fusion.layers[0]}",
        )
    if a.tap.side != b.tap.side:
        raise errors.UserError(
            f"the two maps at {a.layer} do not lie on each other",
            got=f"{a.tap.side}×{a.tap.side} (stride {a.tap.stride}) of appearance, "
            f"{b.tap.side}×{b.tap.side} (stride {b.tap.stride}) of motion",
            hint="a layer of equal size in both towers",
        )


def no_map(need: NeedsMap, fusion: Fusion, cut: Cut) -> errors.UserError:
    """A temporal head that pools over places, where there are none."""
    if not fusion.spatial:
        return errors.UserError(
            f"{need.what}, and {name_of(fusion)} fusion leaves none",
            got=f"fusion={name_of(fusion)}",
            hint="temporal=pool2d",
        )
    taps = cut.tower.taps
    mapped = [tap for tap in taps if Cut(cut.tower, tap).pooling is not None]
    rectified = [tap for tap in mapped if taps[tap].rectified] or mapped
    return errors.UserError(
        f"{need.what}: {rectified[0]} … {rectified[-1]}",
        got=f"layer={cut.layer}",
        allowed=mapped,
        hint=f"layer={rectified[-1]}, or temporal=pool2d",
    )


def no_room(fusion: Fusion, channels: int, cut: Cut) -> errors.UserError:
    """A fusion that leaves more channels, where no weighted layer is left to take them."""
    return errors.UserError(
        f"{name_of(fusion)} fusion leaves {channels} channels, and no layer above takes them",
        got=f"layer={cut.layer}",
        allowed=[tap for tap in cut.tower.taps if Cut(cut.tower, tap).weighted is not None],
        hint=f"a layer further down, or fusion=conv instead of {name_of(fusion)}",
    )
