"""The numbers of `summary --json`. Bytes and counts are integers, shapes are [D, T, H, W] of one clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fusionlab.backbones.tower import Tower
from fusionlab.data.views import SEGMENTS
from fusionlab.sizes.sizing import Sized
from fusionlab.summaries.paper_sizes import paper_sizes

Numbers = dict[str, Any]


def summary_json(arms: Sequence[Sized]) -> Numbers:
    """Towers once, then each arm."""
    towers = distinct(arms)
    return {
        "towers": [_tower(stream, tower) for stream, tower in towers],
        "arms": [_arm(one, [tower for _, tower in towers]) for one in arms],
    }


def distinct(arms: Sequence[Sized]) -> list[tuple[str, Tower]]:
    """(stream, tower), each tower once."""
    return list({id(tower): (stream, tower) for one in arms for stream, tower in one.towers.items()}.values())


def _tower(stream: str, tower: Tower) -> Numbers:
    return {
        "stream": stream,
        "tower": tower.title,
        "channels": tower.in_channels,
        "size": tower.size,
        "classes": tower.classes,
        "parameters": sum(p.numel() for p in tower.parameters()),
        "taps": {name: asdict(tap) for name, tap in tower.taps.items()},
    }


def _arm(one: Sized, towers: Sequence[Tower]) -> Numbers:
    mine = {stream: next(n for n, tower in enumerate(towers) if tower is own) for stream, own in one.towers.items()}
    memory = one.memory
    return {
        "name": one.arm.name,
        "kind": one.arm.kind,
        "towers": mine,  # places in the list of towers
        "weighted_layers": one.size.layers,
        "parameters": one.size.parameters,
        "trained_parameters": one.size.trained_parameters,
        "svm_parameters": one.size.svm_parameters,
        "macs": one.costs.macs,
        "time": {**time_seen(one), "predictions": list(one.costs.predictions)},
        "parts": {part: _part(one, part) for part in one.costs.parts},
        "layers": [
            {**asdict(layer), "kept": trained.kept}
            for layer, trained in zip(one.costs.layers, one.trained.layers, strict=True)
        ],
        "training": {
            "batch": one.batch,
            "snippets": one.trained.snippets,
            "precision": one.precision,
            "optimiser": one.recipe.name,
            "bytes": {**asdict(memory), "together": memory.together},
        },
        "printed": [{**asdict(row), "deviation_percent": round(row.deviation, 4)} for row in paper_sizes(one)],
    }


def _part(one: Sized, part: str) -> Numbers:
    layers, trained = one.costs.of(part), one.trained.of(part)
    return {
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "kept": sum(layer.kept for layer in trained),
    }


def time_seen(one: Sized) -> Numbers:
    """Snippets T, stride τ and fields L; what a training clip spans, reads, and what one prediction sees, in fields.

    Snippets in segments of the video span a part of it (None), and read L fields each.
    """
    how = one.sampling
    t, (low, high), length = how.snippets, how.strides, how.fields
    spread = how.times == SEGMENTS
    return {
        "snippets": t,
        "stride": [low, high],
        "fields": length,
        "nominal_fields": t * length,
        "times": how.times,
        "span_fields": None if spread else [(t - 1) * tau + length for tau in (low, high)],
        "read_fields": [(t - 1) * (length if spread else min(tau, length)) + length for tau in (low, high)],
        "test": how.test,
        "views": how.views,
        "reach_snippets": list(one.reach),
        "reach_fields": [[(n - 1) * (length if spread else tau) + length for tau in (low, high)] for n in one.reach],
    }
