"""A net as a small drawing in text: two columns of layers, from the pixels up, and where they meet.

Thin frames are frozen, thick ones the arm's own. A row is a layer with what it leaves of one clip, D×T×H×W. Like layers
that follow one another share a row; what changes numbers and no shape (ReLU, dropout, norms) has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from fusionlab.backbones.taps import resolve
from fusionlab.backbones.tower import Tower
from fusionlab.summaries.costs import Costs, Layer, shaped
from fusionlab.two_stream.cut import name_of
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import STREAMS, Net, Stream
from fusionlab.two_stream.stream import StreamNet

WIDTH = 43  # of a column
GAP = 12  # between the two
MIDDLE = WIDTH // 2  # of a column, where its line goes up
LINE, NOTHING = " " * MIDDLE + "│", ""
THIN, THICK = "┌─┐│└┘┴┬", "┏━┓┃┗┛┷┯"

Side = TypeVar("Side")
Lines = list[str]  # of a column, from the top
Row = tuple[str, str, str]  # name, window, what it leaves


def draw(net: Net, costs: Costs, appearance: Tower | None = None, motion: Tower | None = None) -> str:
    """`costs`: as `measure` found them, for the same net and towers."""
    if isinstance(net, StreamNet):
        lines = [*_scores(net.tower.classes, costs), *_box(_rows(costs.of("tower")), THICK)]
        lines += _pixels(net.tower, net.stream, costs)
        return "\n".join(line.rstrip() for line in lines)
    assert appearance is not None and motion is not None
    towers: dict[Stream, Tower] = {"appearance": appearance, "motion": motion}
    if isinstance(net, FusedNet):
        lines = _fused(net, costs, towers)
    else:
        lines = [*_joined(appearance.classes, "½ softmax(appearance) + ½ softmax(motion)"), *_abreast([LINE], [LINE])]
    lines += _abreast(*(_box(_rows(costs.of(stream)), THIN) for stream in STREAMS), fill=(LINE, LINE))
    lines += _abreast(*(_pixels(towers[stream], stream, costs) for stream in STREAMS))
    return "\n".join(line.rstrip() for line in lines)


# -- what stands above the frozen towers


def _fused(net: FusedNet, costs: Costs, towers: dict[Stream, Tower]) -> Lines:
    """From the top: the scores, then each meeting under what stands above it."""
    lines = _top(net, costs, towers["appearance"].classes)
    for k in reversed(range(len(net.names))):
        on = net.two_losses or k + 1 < len(net.names)  # whether the other tower goes on above this meeting
        column = _box(_rows(_stacked(net, costs, k)), THICK)
        other = _box(_rows(_named(costs.of("beside"), net.other_steps[k])), THICK) if on else []
        fill = (LINE, LINE if on else NOTHING)
        lines += _abreast(*_sides(net, column, other), fill=_sides(net, *fill))
        lines += _meeting(net, costs, towers, k, on)
    return lines


def _top(net: FusedNet, costs: Costs, classes: int) -> Lines:
    """How the scores come about."""
    if not net.two_losses:
        return _abreast(*_sides(net, _scores(classes, costs, "normalised" if net.probabilities else "softmax"), []))
    weights = _sides(net, net.tower_weight, 1 - net.tower_weight)
    terms = ["fused" if stream == net.into else stream for stream in STREAMS]
    what, then = ("logits", ", then softmax") if net.averages_logits else ("softmax", "")
    how = " + ".join(f"{weight:g} · {what}({term})" for weight, term in zip(weights, terms, strict=True))
    return [*_joined(classes, how + then), *_abreast([f"{LINE} loss"], [f"{LINE} loss"])]


def _meeting(net: FusedNet, costs: Costs, towers: dict[Stream, Tower], k: int, on: bool) -> Lines:
    """The fusion in the column that goes on, and an arrow from the other one."""
    (layer,) = _named(costs.of("fusion"), [net.names[k]])
    fusion = net.get_submodule("fusion" if k == 0 else f"further.{net.names[k]}")
    rectified = net.rectified[k] and any(True for _ in fusion.parameters())
    window = "" if layer.kind == name_of(fusion) else _named_row(layer)[1]
    row = (f"{name_of(fusion)} fusion" + (", relu" if rectified else ""), window, shaped(layer.shape))
    taps = [f"{LINE} {tap}" for tap in _taps(net, costs, towers, k)]
    own, others = taps if net.into == "appearance" else taps[::-1]
    column = [*_box([row], THICK), own]
    corner = {("appearance", True): "┤", ("appearance", False): "┐", ("motion", True): "├", ("motion", False): "┌"}
    sign = corner[net.into, on]
    rightwards = net.into == "motion"
    arrow = " " * MIDDLE + sign + "─" * (WIDTH - MIDDLE - 1) if rightwards else "─" * MIDDLE + sign
    gap = [NOTHING, "─" * (GAP - 1) + "▶" if rightwards else "◀" + "─" * (GAP - 1)]
    other = [LINE if on else NOTHING, arrow, LINE, others]
    return _abreast(*_sides(net, column, other), gap=gap)


def _taps(net: FusedNet, costs: Costs, towers: dict[Stream, Tower], k: int) -> list[str]:
    """Where the two maps are taken; of the smaller one, that it is filled up."""
    names = net.names[k].partition(":")
    typed = (names[0], names[2] or names[0])
    found = [resolve(name, towers[stream].taps) for name, stream in zip(typed, STREAMS, strict=True)]
    taps = [towers[stream].taps[name] for name, stream in zip(found, STREAMS, strict=True)]
    side = max(tap.side for tap in taps)
    notes = ["" if tap.side == side else f" + zeros: {side}×{side}" for tap in taps]
    return [name + note for name, note in zip(found, notes, strict=True)]


def _stacked(net: FusedNet, costs: Costs, k: int) -> list[Layer]:
    """The layers above meeting k: what the temporal head does at the fusion, then the tower's, then an SVM."""
    head = costs.of("temporal") if k == net.headed else ()
    rectified = ", relu" if net.rectified[k] and any(True for _ in net.temporal.parameters()) else ""
    own = [layer for layer in head if layer.name != net.above.replaced]
    at_fusion = [replace(layer, name=layer.name + rectified) for layer in own]
    return [*at_fusion, *_named([*head, *costs.of("above")], net.steps[k]), *costs.of("svm")]


def _named(layers: Iterable[Layer], names: Sequence[str]) -> list[Layer]:
    """Those of these names, in this order."""
    by_name = {layer.name: layer for layer in layers}
    return [by_name[name] for name in names if name in by_name]


# -- lines


def _rows(layers: Iterable[Layer]) -> list[Row]:
    """From below; like layers that follow one another in one row."""
    rows: list[Row] = []
    seen = [(*_named_row(layer), layer.shape) for layer in layers if not layer.elementwise]
    for (window, shape), group in groupby(seen, key=lambda row: row[1:]):
        names = [name for name, *_ in group]
        name = names[0] if len(names) == 1 else (", " if len(names) == 2 else " … ").join((names[0], names[-1]))
        rows.append((name, window, shaped(shape)))
    return rows


def _named_row(layer: Layer) -> tuple[str, str]:
    """A name, and what it does not say: kernel / stride. A temporal head's box says what it takes the place of."""
    word, _, window = layer.kind.rpartition(" ")
    name = layer.name or layer.part
    if "/" not in window:
        return name, layer.kind
    return (name if word in ("conv", "max", "mean") else f"{word} for {name}"), window


def _box(rows: Sequence[Row], frame: str) -> Lines:
    """Framed, the first row lowest; nothing where there are none."""
    if not rows:
        return []
    corner, flat, corner2, side, corner3, corner4, up, down = tuple(frame)
    names = max(len(name) for name, _, _ in rows)
    if any(names + len(window) + len(shape) > WIDTH - 7 for _, window, shape in rows):
        names = 0  # windows stand behind their names then, and not below each other
    lines = []
    for name, window, shape in reversed(rows):
        text, room = f"{name:<{names}}  {window}".rstrip(), WIDTH - 5 - len(shape)
        text = text if len(text) <= room else text[: room - 1] + "…"
        lines.append(f"{side} {text:<{room}} {shape} {side}")
    top = corner + flat * (MIDDLE - 1) + up + flat * (WIDTH - MIDDLE - 2) + corner2
    bottom = corner3 + flat * (MIDDLE - 1) + down + flat * (WIDTH - MIDDLE - 2) + corner4
    return [top, *lines, bottom]


def _pixels(tower: Tower, stream: Stream, costs: Costs) -> Lines:
    """What goes in, and whose column it is."""
    shape = shaped((tower.in_channels, costs.snippets, tower.size, tower.size))
    texts = (f"{'frames' if stream == 'appearance' else 'flow'} {shape}", f"{stream}, {type(tower).__name__}")
    return [LINE, *map(_over, texts)]


def _scores(classes: int, costs: Costs, what: str = "softmax") -> Lines:
    """What comes out at the top of a column."""
    steps = costs.predictions[0]
    mean = f", mean over {steps} predictions" if steps > 1 else ""
    return [_over(f"scores of {classes} classes"), _over(what + mean), LINE]


def _over(text: str) -> str:
    """In the middle of a column."""
    return " " * max(0, MIDDLE - len(text) // 2) + text


def _joined(classes: int, how: str) -> Lines:
    """What comes out above both columns."""
    texts = [text.center(2 * WIDTH + GAP) for text in (f"scores of {classes} classes", how)]
    return [*texts, " " * MIDDLE + "┌" + "┴".center(WIDTH + GAP - 1, "─") + "┐"]


def _sides(net: FusedNet, own: Side, other: Side) -> tuple[Side, Side]:
    """Left is appearance."""
    return (own, other) if net.into == "appearance" else (other, own)


def _abreast(
    left: Lines, right: Lines, *, gap: Sequence[str] = (), fill: tuple[str, str] = (NOTHING, NOTHING)
) -> Lines:
    """Two columns of one height, the shorter filled up at its top."""
    height = max(len(left), len(right), len(gap))
    left, right = ([lines[1]] * (height - len(lines[0])) + lines[0] for lines in ((left, fill[0]), (right, fill[1])))
    between = [*gap, *[NOTHING] * (height - len(gap))]
    # A text that is too long for its column runs on into the gap.
    return [f"{f'{a:<{WIDTH}}{g}':<{WIDTH + GAP}}{b}" for a, g, b in zip(left, between, right, strict=True)]
