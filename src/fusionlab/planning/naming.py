"""Readable names: an arm is named by its axes, a study's folder by the typed options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionlab.config.build import LAYER_OF_LATE
from fusionlab.config.overrides import Words
from fusionlab.config.run_config import RunConfig
from fusionlab.config.shorthand import LISTS
from fusionlab.config.value_types import as_typed
from fusionlab.planning.axes import Point
from fusionlab.records.signature import NEUTRAL, value
from fusionlab.study.plan import FILE, Plan
from fusionlab.study.recipes import ARM, IGNORED

MEETING = ("fused", "control")  # kinds of arms that have a layer and a temporal head
# Options that are part of an arm's name where they are not at their usual value.
TURNED = ("into", "keep_motion", "tower_weight", "align", "backprop")
NUMBERS = {"late": "fusion", "control": "temporal"}  # kind of a baseline -> the part whose numbers it has
UNNAMED = ("logger", "launcher", "table")  # groups that change nothing in a study


def axes_of(point: Point, kind: str) -> dict[str, Any]:
    """The axes that name an arm: its parts, its seed, and every other option that varies."""
    config = point.tree
    what: dict[str, Any] = {}
    if kind == "late":
        what = {"fusion": "late", "layer": LAYER_OF_LATE}
    elif kind in MEETING:
        what = {
            "fusion": point.choices["fusion"],
            "layer": config["layer"],
            "temporal": point.choices["temporal"],
        }
    seeds = config["seed"]
    alike = len(set(seeds.values())) == 1
    seed = {"seed": seeds["init"]} if alike else {f"seed.{name}": one for name, one in seeds.items()}
    # named above, or not those of a baseline
    own = ("fusion", "temporal", "layer") if kind == "fused" else ARM
    own = (*own, *IGNORED.get(kind, ()))
    other = {
        axis: _scalar(one)
        for axis, one in point.axes.items()
        if axis not in ("streams", *own)
        and axis.split(".")[0] != "seed"
        and (kind == "fused" or axis.split(".")[0] not in ARM or axis.split(".")[0] == NUMBERS.get(kind))
    }
    turned = {leaf: value(config, leaf) for leaf in TURNED if kind == "fused" and value(config, leaf) != NEUTRAL[leaf]}
    if kind == "control" and (backprop := value(config, "backprop")) != NEUTRAL["backprop"]:
        turned["backprop"] = backprop
    if kind in MEETING and config["above"] != config["into"]:
        turned["above"] = config["above"]
    return {**what, **turned, **other, **seed}


def _scalar(value: Any) -> Any:
    return value if isinstance(value, str | int | float) or value is None else str(value).replace(" ", "")


def arm_name(axes: Mapping[str, Any]) -> str:
    """The arm's options as they would be typed, without characters that the name of a folder cannot have."""
    name = ",".join(f"{axis}={as_typed(value)}" for axis, value in axes.items())
    return name.replace("/", "|").replace(":", "-")


def study_folder(run: RunConfig, words: Words, points: Sequence[Point], plan: Plan) -> Path:
    """`run.folder`; by default a name made of the options and the plan's signature: same command, same folder.

    A study of an older version, whose plan has another signature, keeps its folder.
    """
    if run.folder:
        return Path(run.folder)
    typed = {*words.axes, *(axis for part in words.grids or () for axis in part)}
    options = [f"experiment={words.groups['experiment']}"] if "experiment" in words.groups else []
    for axis in points[0].axes:
        values = dict.fromkeys(as_typed(point.axes[axis]) for point in points if axis in point.axes)  # spelled right
        options += [f"{axis}={'+'.join(values)}"] if axis in typed or not options else []
    fixed = {
        **words.groups,
        **words.leaves,
        **({"layer": points[0].tree["layer"]} if "layer" in words.leaves else {}),
    }
    options += [
        f"{name}={as_typed(one)}"
        for name, one in fixed.items()
        if name not in ("experiment", *UNNAMED, *LISTS) and not name.startswith("run.")
    ]
    readable = "".join(c if c.isalnum() or c in "=+,.-" else "-" for c in ",".join(options) or "one-arm")[:80]
    names = (plan.signature, *plan.older_signatures)
    folder, *older = (Path(run.root) / f"{readable}-{name[:8]}" for name in names)
    of_old = next((one for one in older if (one / FILE).is_file()), folder)
    return folder if folder.exists() else of_old
