"""A net as a small drawing in text: a column of layers for each tower, from the pixels up, and the fusions.

Thin frames are frozen, thick ones the arm's own. A row is a layer with the shape of its output for one clip, D×T×H×W.
Equal layers that follow one another share a row; layers that keep the shape (ReLU, dropout, norms) have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from fusionlab.backbones.tower import Tower
from fusionlab.sizes.costs import Costs, LayerCosts, shaped
from fusionlab.two_stream.net import STREAMS, Net, Stream
from fusionlab.two_stream.outline import Shown, Storey
from fusionlab.two_stream.whole import own_part

WIDTH = 43  # of a column
GAP = 12  # between the two
MIDDLE = WIDTH // 2  # of a column, where its line goes up
LINE, NOTHING = " " * MIDDLE + "│", ""
THIN, THICK = "┌─┐│└┘┴┬", "┏━┓┃┗┛┷┯"

Side = TypeVar("Side")
Lines = list[str]  # of a column, from the top
Row = tuple[str, str, str]  # name, window, what it leaves


def draw(net: Net, costs: Costs, appearance: Tower | None = None, motion: Tower | None = None) -> str:
    """`costs`: as `measure` returns them, for the same net and towers."""
    below = {stream: tower for stream, tower in zip(STREAMS, (appearance, motion), strict=True) if tower is not None}
    towers = below | dict(net.own_towers)
    streams = [stream for stream in STREAMS if stream in towers]
    storeys = net.storeys()
    joined = net.two_losses or (len(streams) == 2 and (not storeys or net.keeps_apart))
    lines = _top(net, costs, towers[streams[0]].classes, joined)
    for storey in reversed(storeys):
        lines += _storey(net, costs, storey)
    boxes, pixels = [], []
    for stream in streams:
        own = own_part(stream) if storeys else "tower"
        part, frame = (stream, THIN) if stream in below else (own, THICK)
        boxes.append(_box(_rows(costs, [Shown(part, layer.name) for layer in costs.of(part)]), frame))
        pixels.append(_pixels(towers[stream], stream, costs))
    lines += _abreast(*boxes, fill=(LINE, LINE if len(boxes) == 2 else NOTHING)) + _abreast(*pixels)
    return "\n".join(line.rstrip() for line in lines)


# -- what stands above the towers


def _top(net: Net, costs: Costs, classes: int, joined: bool) -> Lines:
    """The scores at the top of one column, or of both."""
    if not joined:
        return _abreast(*_sides(net, _scores(classes, costs, net.scores_text), []))
    line = f"{LINE} loss" if net.two_losses else LINE
    return [*_joined(classes, net.scores_text), *_abreast([line], [line])]


def _storey(net: Net, costs: Costs, storey: Storey) -> Lines:
    """A fusion under the layers above it, and an arrow from the other column, which ends here or goes on."""
    on = storey.beside is not None
    column, other = _box(_rows(costs, storey.above), THICK), _box(_rows(costs, storey.beside or ()), THICK)
    lines = _abreast(*_sides(net, column, other), fill=_sides(net, LINE, LINE if on else NOTHING))
    taps = [f"{LINE} {tap}" for tap in storey.taps]
    own, others = taps if net.into == "appearance" else taps[::-1]
    if storey.fusion is None:
        return lines + _abreast([own], [others])
    column = [*_box([_fusion_row(costs, storey.fusion, storey.title)], THICK), own]
    corner = {("appearance", True): "┤", ("appearance", False): "┐", ("motion", True): "├", ("motion", False): "┌"}
    sign = corner[net.into, on]
    rightwards = net.into == "motion"
    arrow = " " * MIDDLE + sign + "─" * (WIDTH - MIDDLE - 1) if rightwards else "─" * MIDDLE + sign
    gap = [NOTHING, "─" * (GAP - 1) + "▶" if rightwards else "◀" + "─" * (GAP - 1)]
    other = [LINE if on else NOTHING, arrow, LINE, others]
    return lines + _abreast(*_sides(net, column, other), gap=gap)


# -- lines


def _rows(costs: Costs, shown: Iterable[Shown]) -> list[Row]:
    """The rows of a column from below; equal layers that follow each other share a row."""
    rows: list[Row] = []
    layers = [(one, layer) for one in shown if (layer := costs.layer(one.part, one.name)) and not layer.elementwise]
    named = [(*_name_and_window(one, layer), layer.shape) for one, layer in layers]
    for (window, shape), group in groupby(named, key=lambda row: row[1:]):
        names = [name for name, *_ in group]
        name = names[0] if len(names) == 1 else (", " if len(names) == 2 else " … ").join((names[0], names[-1]))
        rows.append((name, window, shaped(shape)))
    return rows


def _name_and_window(one: Shown, layer: LayerCosts) -> tuple[str, str]:
    """A name with kernel / stride; a layer without a window has its type instead."""
    word, _, window = layer.kind.rpartition(" ")
    name = (f"{word} for {one.name}" if one.replaces_pooling else one.name or one.part) + one.note
    return name, window if "/" in window else layer.kind


def _fusion_row(costs: Costs, fusion: Shown, title: str) -> Row:
    layer = costs.layer(fusion.part, fusion.name)
    assert layer is not None
    window = "" if layer.kind == title.split()[0] else _name_and_window(fusion, layer)[1]
    return title, window, shaped(layer.shape)


def _box(rows: Sequence[Row], frame: str) -> Lines:
    """Rows in a frame, the first one lowest; nothing if there are no rows."""
    if not rows:
        return []
    corner, flat, corner2, side, corner3, corner4, up, down = tuple(frame)
    names = max(len(name) for name, _, _ in rows)
    if any(names + len(window) + len(shape) > WIDTH - 7 for _, window, shape in rows):
        names = 0  # windows stand behind their names then, and not below each other
    lines = []
    for name, window, shape in reversed(rows):
        text, width = f"{name:<{names}}  {window}".rstrip(), WIDTH - 5 - len(shape)
        text = text if len(text) <= width else text[: width - 1] + "…"
        lines.append(f"{side} {text:<{width}} {shape} {side}")
    top = corner + flat * (MIDDLE - 1) + up + flat * (WIDTH - MIDDLE - 2) + corner2
    bottom = corner3 + flat * (MIDDLE - 1) + down + flat * (WIDTH - MIDDLE - 2) + corner4
    return [top, *lines, bottom]


def _pixels(tower: Tower, stream: Stream, costs: Costs) -> Lines:
    """The input of a column, and its stream."""
    shape = shaped((tower.in_channels, costs.snippets, tower.size, tower.size))
    texts = (f"{'frames' if stream == 'appearance' else 'flow'} {shape}", f"{stream}, {tower.title}")
    return [LINE, *map(_over, texts)]


def _scores(classes: int, costs: Costs, what: str = "softmax") -> Lines:
    """The output at the top of a column."""
    steps = costs.predictions[0]
    mean = f", mean over {steps} predictions" if steps > 1 else ""
    return [_over(f"scores of {classes} classes"), _over(what + mean), LINE]


def _over(text: str) -> str:
    """A text in the middle of a column."""
    return " " * max(0, MIDDLE - len(text) // 2) + text


def _joined(classes: int, how: str) -> Lines:
    """The output above both columns."""
    texts = [text.center(2 * WIDTH + GAP) for text in (f"scores of {classes} classes", how)]
    return [*texts, " " * MIDDLE + "┌" + "┴".center(WIDTH + GAP - 1, "─") + "┐"]


def _sides(net: Net, own: Side, other: Side) -> tuple[Side, Side]:
    """The two columns; appearance is on the left."""
    return (own, other) if net.into == "appearance" else (other, own)


def _abreast(
    left: Sequence[str],
    right: Sequence[str] = (),
    *,
    gap: Sequence[str] = (),
    fill: tuple[str, str] = (NOTHING, NOTHING),
) -> Lines:
    """Two columns of equal height: the shorter one is filled at its top."""
    height = max(len(left), len(right), len(gap))
    left, right = ([above] * (height - len(own)) + list(own) for own, above in ((left, fill[0]), (right, fill[1])))
    between = [*gap, *[NOTHING] * (height - len(gap))]
    # A text that is too long for its column runs on into the gap.
    return [f"{f'{a:<{WIDTH}}{g}':<{WIDTH + GAP}}{b}" for a, g, b in zip(left, between, right, strict=True)]
