"""The text of `summary`: towers, times, arms layer by layer, memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from fusionlab.planning.grid import plan_study
from fusionlab.sizes.costs import LayerCosts, shaped
from fusionlab.sizes.sizing import Sized, Sizes
from fusionlab.study.recipes import STREAMS
from fusionlab.summaries.drawing import draw
from fusionlab.summaries.paper_sizes import paper_sizes
from fusionlab.summaries.summary_json import distinct, summary_json, time_seen
from fusionlab.two_stream.describe import norm_scales
from fusionlab.two_stream.whole import own_part

NOTES = """\
MACs are the multiply-adds of convolutions, linear layers and matrix products, and of Fourier transforms
by formula (1.25 n log₂ n of n real numbers); pooling, norms, ReLU, sums and products are not counted.
Memory counts the tensors of the forward pass. kept is what autograd keeps of them for the backward pass:
inputs and outputs that a gradient needs, each once, and the place of every maximum. Not counted are
gradients of maps, the workspace of convolutions, and what an allocator rounds up.
trained includes the classifier on a descriptor; parameters, as in the papers, do not."""

LEGEND = "  thin frames: frozen towers; thick: the arm's own; windows: kernel / stride; maps: D×T×H×W of one clip"

# How a test looks at a video (data/views.py).
TESTED = {
    "middle": "snippets spread evenly over it, the middle square, mirrored too",
    "frame": "snippets spread evenly over it, the whole frame, mirrored too",
    "final": "10 clips at the largest τ, spread evenly over it, the whole frame, mirrored too",
    "video": "every frame at the smallest τ, the middle square",
    "simonyan": "25 clips at the smallest τ, spread evenly over it, four corners and the middle, mirrored too",
}
TESTED_IN_SEGMENTS = {
    "middle": "snippets in the middle of their segments, the middle square, mirrored too",
    "frame": "snippets in the middle of their segments, the whole frame, mirrored too",
    "final": "10 clips, evenly through their segments, the whole frame, mirrored too",
    "simonyan": "25 clips, evenly through their segments, four corners and the middle, mirrored too",
}

Lines = list[str]


def describe_arms(words: Sequence[str], *, layers: bool = False, as_json: bool = False) -> str:
    """The towers, and all arms in a table; all details of one arm, or with `layers` of every arm."""
    sizes = Sizes()
    study = plan_study(words, verb="summary")
    arms = [sizes.of(arm) for arm in study.plan.arms]
    if as_json:
        refused = [asdict(cell) for cell in study.plan.refused]
        return json.dumps({**summary_json(arms), "refused": refused}, indent=1, ensure_ascii=False)
    asked = arms if layers else [one for one in arms if one.arm in study.asked()]
    detailed = asked if len(asked) == 1 or layers else []
    blocks = [*_towers(arms), *_times(arms), *(block for one in detailed for block in _arm(one)), _overview(arms)]
    return "\n\n".join("\n".join(block) for block in [*blocks, NOTES.splitlines(), study.plan.refusals] if block)


# -- what arms have in common


def _towers(arms: Sequence[Sized]) -> list[Lines]:
    """Each tower once: its layers for one frame, and the taps behind them."""
    alone = {id(tower): one for one in arms if one.arm.kind == "stream" for tower in one.towers.values()}
    return [_tower(stream, alone[id(tower)]) for stream, tower in distinct(arms)]


def _tower(stream: str, one: Sized) -> Lines:
    """Of a tower that sees every frame alone, the numbers of a frame; of another those of a clip, time first."""
    tower, costs = one.towers[stream], one.costs
    in_time = tower.in_time
    frames = 1 if in_time else costs.snippets
    taps: dict[str, Lines] = {}
    for name, tap in tower.taps.items():
        taps.setdefault(tap.after, []).append(name)
    rows = []
    for layers in _grouped(costs.of("tower")):
        place, first = tower.geometry[layers[0].name].tap, layers[0]
        names = [tap for layer in layers for tap in taps.get(layer.name, ())]
        pairs = ((place.time_stride, place.stride), (place.time_field, place.field))
        stride, field = ("×".join("?" if n is None else str(n) for n in pair[0 if in_time else 1 :]) for pair in pairs)
        rows.append(
            (_names(layers), first.kind, shaped(first.shape if in_time else (place.channels, place.side, place.side)),
             stride, field, f"{_parameters(layers):,}", f"{_macs(layers) // frames:,}", " ".join(names))
        )  # fmt: skip
    shape = shaped((tower.in_channels, *([costs.snippets] if in_time else []), tower.size, tower.size))
    what = "clip" if in_time else "frame"
    title = f"{stream}: {tower.title} for {what}s of {shape} and {tower.classes} classes: "
    scales = norm_scales(tower)
    without = f" ({one.size.parameters - scales:,} without batch norm's scales)" if scales else ""
    title += f"{one.size.parameters:,} parameters{without}, {costs.macs // frames:,} MACs a {what}"
    heads = ("layer", "", "D×T×H×W" if in_time else "D×H×W", "stride", "field", "parameters", "MACs", "taps")
    return [title, *_table(heads, rows, left=(0, 1, 7))]


def _times(arms: Sequence[Sized]) -> list[Lines]:
    """The ways to cut clips, each once."""
    lines: dict[str, Lines] = {}
    for one in arms:
        if one.arm.kind == "stream":
            continue
        seen = time_seen(one)
        t, length = seen["snippets"], seen["fields"]
        tau, reads = _between(seen["stride"]), _between(seen["read_fields"])
        spans = _between(seen["span_fields"] or ())
        window = f"L = {length} fields of flow for each: t − {length // 2} … t + {length - length // 2 - 1}"
        tested = f"  in testing {seen['views']} view{'s' * (seen['views'] > 1)} a video: "
        if seen["span_fields"] is None:
            lines[repr(one.sampling)] = [
                f"time: T = {t} snippets, one in each of T equal segments of the video, {window}",
                f"  in training a clip reads T · L = {reads} fields",
                tested + (TESTED | TESTED_IN_SEGMENTS)[seen["test"]],
            ]
            continue
        lines[repr(one.sampling)] = [
            f"time: T = {t} snippets, τ = {tau} frames apart, {window}",
            f"  in training a clip spans (T − 1) τ + L = {spans} fields and reads {reads}; T · L = {t * length}",
            tested + TESTED[seen["test"]],
            "  τ is smaller in a video that is too short",
        ]
    return list(lines.values())


def _overview(arms: Sequence[Sized]) -> Lines:
    rows = [
        (str(one.size.layers), f"{one.size.parameters:,}", f"{one.size.trained_parameters:,}", f"{one.costs.macs:,}",
         _mebi(one.memory.together), one.arm.name)
        for one in arms
    ]  # fmt: skip
    return _table(("layers", "parameters", "trained", "MACs a clip", "MiB", "arm"), rows, left=(5,))


# -- one arm


def _arm(one: Sized) -> list[Lines]:
    towers = {} if one.net.own_towers else one.towers
    drawing = draw(one.net, one.costs, **towers).splitlines()
    return [[one.arm.name, *_sizes(one), *_seen(one)], [*drawing, "", LEGEND], _layers(one), _memory(one)]


def _sizes(one: Sized) -> Iterator[str]:
    size = one.size
    apart = f" and {size.svm_parameters:,} of its classifier" if size.svm_parameters else ""
    yield f"  {size.layers} weighted layers, {one.costs.macs:,} MACs a clip"
    yield f"  {size.parameters:,} parameters{apart}, {size.trained_parameters:,} of them trained"
    for row in paper_sizes(one):
        yield f"  printed: {row.figure} in {' and '.join(row.places)}; ours is {row.deviation:+.2f} % off"
        yield from (f"    {remark}" for remark in row.remarks)


def _seen(one: Sized) -> Iterator[str]:
    """The snippets that a prediction of each head sees, and those that no prediction sees."""
    seen = time_seen(one)
    step = "L" if seen["span_fields"] is None else "τ"  # from one snippet to the next, in fields
    heads = zip(one.costs.predictions, one.reach, seen["reach_fields"], strict=True)
    for place, (steps, snippets, fields) in enumerate(heads):
        first = "appearance" if one.net.keeps_apart else "fused"
        whose = "" if len(one.reach) == 1 else (f"of the {first} tower ", f"of the {_other(one)} tower ")[place]
        many = (
            f"each of its {steps} predictions {whose}(their scores are averaged)"
            if steps > 1
            else f"its prediction {whose}"
        )
        far = f"{snippets} snippets: {snippets - 1} {step} + L =" if snippets > 1 else "1 snippet: L ="
        most = "at most " if steps > 1 and snippets > 1 else ""
        yield f"  {many.rstrip()} sees {most}{far} {_between(fields)} fields"
    if one.unseen:
        first = "appearance" if one.net.keeps_apart else "fused"
        yield f"  no prediction of the {first} tower sees snippet {', '.join(map(str, one.unseen))}, counted from 1"


def _layers(one: Sized) -> Lines:
    """The layers by parts, from below."""
    rows: list[Sequence[str]] = []
    for part in one.costs.parts:
        layers, kept = one.costs.of(part), {layer.name: layer.kept for layer in one.trained.of(part)}
        groups = _grouped(layers)
        shown = [
            (_title(one, part), "", "", layers),
            *((f"  {_names(g)}", g[0].kind, shaped(g[0].shape), g) for g in groups),
        ]
        for name, kind, shape, group in shown:
            size = sum(kept[layer.name] for layer in group)
            counts = (f"{_parameters(group):,}", f"{_macs(group):,}", "–" if part in STREAMS else _mebi(size))
            rows.append((name, kind, shape, *counts))
    total = (f"{one.costs.parameters:,}", f"{one.costs.macs:,}", _mebi(one.trained.kept))
    heads = ("layer", "", "D×T×H×W", "parameters", "MACs a clip", "kept MiB")
    return _table(heads, [*rows, ("total", "", "", *total)], left=(0, 1))


def _title(one: Sized, part: str) -> str:
    if part in STREAMS:
        return f"{part} tower, frozen"
    if part in (own := {own_part(stream): stream for stream in one.net.own_towers}):
        return f"{own[part]} tower, trained with what stands above it"
    if one.net.keeps_apart:
        apart = {"temporal": "temporal head of appearance"}
        return apart.get(part, f"{'motion' if part == 'beside' else 'appearance'} tower, trained on")
    if part == "beside":
        return f"{_other(one)} tower, " + ("kept" if one.net.two_losses else "up to the last fusion")
    titles = {
        "tower": f"{one.arm.config.get('stream')} tower",
        "above": "above the fusion",
        "temporal": "temporal head",
        "svm": "classifier of the descriptor",
    }
    return titles.get(part, part)


def _other(one: Sized) -> str:
    """The tower that ends at the fusion, or is kept beside it."""
    return "motion" if one.net.into == "appearance" else "appearance"


def _memory(one: Sized) -> Lines:
    """The memory of a training step."""
    memory, step = one.memory, "training" if one.size.trained_parameters else "validation"
    bf16 = one.precision == "bf16-mixed"
    rows = [
        ("weights of the frozen towers", memory.frozen),
        ("the net's own weights" + (", and copies in bfloat16" if bf16 else ""), memory.weights),
        ("its gradients", memory.gradients),
        (f"state of {one.recipe.name}", memory.states),
        ("pixels", memory.pixels),
        ("maps from the towers to the net", memory.maps),
        ("peak of the towers, with the maps", memory.towers),
        ("kept for the backward pass", memory.kept),
        ("peak of the net's forward pass, with the maps and what is kept", memory.net),
    ]
    rows_shown = [("  " + name, _mebi(size)) for name, size in rows if size]
    title = f"memory of a {step} step, in MiB: {one.batch} clips of T = {one.trained.snippets}, computed in "
    together = ("  total, with the larger of the two peaks", _mebi(memory.together))
    return [title + ("bfloat16" if bf16 else "float32"), *_table((), [*rows_shown, together], left=(0,))]


# -- rows and numbers


def _grouped(layers: Iterable[LayerCosts]) -> list[list[LayerCosts]]:
    """Each layer with the layers behind it that keep the shape."""
    groups: list[list[LayerCosts]] = []
    for layer in layers:
        if layer.elementwise and groups:
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


def _names(layers: Sequence[LayerCosts]) -> str:
    return " ".join(layer.name or layer.part for layer in layers)


def _parameters(layers: Iterable[LayerCosts]) -> int:
    return sum(layer.parameters for layer in layers)


def _macs(layers: Iterable[LayerCosts]) -> int:
    return sum(layer.macs for layer in layers)


def _between(numbers: Sequence[int]) -> str:
    """7, or 7 … 12."""
    return " … ".join(str(number) for number in dict.fromkeys(numbers))


def _mebi(size: int) -> str:
    return f"{size / 2**20:,.1f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> Lines:
    """Columns two spaces apart; those in `left` are aligned left, the others right."""
    lines = [heads, *rows] if heads else rows
    widths = [max(len(row[n]) for row in lines) for n in range(len(lines[0]))]
    return [
        "  ".join(
            f"{one:<{w}}" if n in left else f"{one:>{w}}" for n, (one, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in lines
    ]
