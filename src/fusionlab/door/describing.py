"""An arm on paper: what `summary` prints."""

from __future__ import annotations

from fusionlab.door.build import Blueprint
from fusionlab.door.grid import plan_study


def describe_arms(words: list[str]) -> str:
    """The towers' taps, then each fused arm with its size."""
    plan = plan_study(words).plan
    blueprint = Blueprint()
    arms = [arm for arm in plan.arms if arm.kind != "stream"]
    config = arms[0].config
    lines = []
    for stream, tower in zip(("appearance", "motion"), blueprint.towers(config), strict=True):
        lines.append(f"{stream}: {type(tower).__name__}, {sum(p.numel() for p in tower.parameters()):,} parameters")
        lines.append(f"  {'tap':<8} {'channels':>8} {'side':>5} {'stride':>6} {'field':>6}")
        for name, tap in tower.taps.items():
            lines.append(f"  {name:<8} {tap.channels:>8} {tap.side:>5} {tap.stride:>6} {tap.field:>6}")
    sampling = config["data"]["sampling"]
    t, stride, length = sampling["snippets"], sampling["stride"], sampling["fields"]
    most = (t - 1) * (stride if isinstance(stride, int) else max(stride)) + length
    lines.append(f"time: T = {t} snippets, τ = {stride}, L = {length} fields: a clip sees {most} fields, (T − 1) τ + L")
    for arm in arms:
        size = blueprint.describe(arm.config)
        counts = f"{size.parameters:,} parameters, {size.trained_parameters:,} of them trained"
        lines.append(f"{arm.name}: {size.layers} weighted layers, {counts}")
    return "\n".join(lines)
