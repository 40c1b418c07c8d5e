"""From words to a study's plan: axes → points → arms, with the baselines that every study has, → jobs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.config import catalogue
from fusionlab.config.build import LAYER_OF_LATE, Blueprint
from fusionlab.config.compose import tree
from fusionlab.config.mask_secrets import masked_word
from fusionlab.config.overrides import Words, check_choice, parse_exclude, parse_overrides
from fusionlab.config.shorthand import is_determined
from fusionlab.errors import UserError
from fusionlab.planning.check_config import examine
from fusionlab.planning.divide_jobs import jobs_of
from fusionlab.planning.layer_spelling import expanded, left_out
from fusionlab.planning.naming import arm_name, quoted, study_folder
from fusionlab.planning.no_effect import refuse_idle
from fusionlab.planning.point import Point
from fusionlab.records.signature import NEUTRAL, signature
from fusionlab.study.plan import Arm, Plan
from fusionlab.study.recipes import ARM, STREAMS, arm_recipe, stream_recipe

LATE = {"fusion": "late", "temporal": "pool2d", "layer": LAYER_OF_LATE}


@dataclass(frozen=True)
class Study:
    """A planned study and where it goes."""

    plan: Plan
    folder: Path
    run: Mapping[str, Any]
    threads: int  # of each job's process
    streams: frozenset[str]  # of the points that were typed: both, or one alone
    config: Mapping[str, Any]  # of the first point, with `run`
    axes: Mapping[str, Sequence[Any]]

    def asked(self) -> list[Arm]:
        """The arms that were typed, without the baselines that come along: late fusion is one beside a fusion."""
        typed = [arm for arm in self.plan.arms if arm.axes["streams"] in self.streams]
        fused = any(arm.kind == "fused" for arm in typed)
        return [arm for arm in typed if not (fused and arm.kind == "late")]


def plan_study(typed: Sequence[str], verb: str = "sweep") -> Study:
    """Parse, compose, check and plan; nothing is written."""
    blueprint = Blueprint()
    words = parse_overrides(typed)
    axes, exclude = _axes(words)
    points = [_point(words, point, blueprint) for point in expanded(words, axes, exclude, blueprint)]
    arms = _arms(points, list(axes), words, blueprint)
    run = points[0].config["run"]
    command = " ".join(["python -m fusionlab." + verb, *(quoted(masked_word(word)) for word in typed)])
    folder = study_folder(run, words, points, Plan.of(command, *jobs_of(arms, "../streams")))
    # Relative, so that runs/ can be moved as a whole; a plan's signature does not know its folders.
    streams = os.path.relpath(Path(run["root"]) / "streams", folder)
    threads, typed_streams = points[0].config["trainer"]["threads"], frozenset(p.config["streams"] for p in points)
    plan = Plan.of(command, *jobs_of(arms, streams))
    return Study(plan, folder, run, threads, typed_streams, points[0].config, axes)


def _axes(words: Words) -> tuple[dict[str, list[Any]], Sequence[Mapping[str, Any]]]:
    """The experiment's axes and exclusions, and those that were typed, which win."""
    run = tree(words.groups).with_leaves({leaf: one for leaf, one in words.leaves.items() if _of_run(leaf)})["run"]
    known, axes = catalogue.groups(), {}
    for axis, values in (run["grid"] or {}).items():
        if axis in words.axes:
            axes[axis] = words.axes[axis]
        elif not is_determined(axis, words.typed):
            axes[axis] = [check_choice(axis, one, known) for one in (values if isinstance(values, list) else [values])]
    axes.update(words.axes)
    late = [one for one in axes.get("fusion", []) if one == "late"]
    if late and len(axes["fusion"]) > 1:  # late is in every study; as a fusion at a layer it is nothing
        axes["fusion"] = [one for one in axes["fusion"] if one != "late"]
    return axes, words.exclude or parse_exclude(run["exclude"] or [], known)


def _of_run(leaf: str) -> bool:
    return leaf.split(".")[0] == "run"


def _point(words: Words, point: Mapping[str, Any], blueprint: Blueprint) -> Point:
    groups = catalogue.groups()
    made = tree({**words.groups, **{axis: str(one) for axis, one in point.items() if axis in groups}})
    config = made.with_leaves({**words.leaves, **{axis: one for axis, one in point.items() if axis not in groups}})
    examine(config)
    if made.choices["fusion"] == "late":
        config["layer"] = LAYER_OF_LATE
    elif config["streams"] == "both":  # one stream alone is fused nowhere
        try:
            config["layer"] = blueprint.layer(config)
        except UserError as error:
            raise left_out(error, point, list(point)) from None
    config["tower_weight"] = float(config["tower_weight"])  # 1 is 1.0: one net, one signature
    axes = {axis: config["layer"] if axis == "layer" else one for axis, one in point.items()}
    return Point(_placed(config), made.choices, axes)


def _placed(config: dict[str, Any]) -> dict[str, Any]:
    """Folders as seen from everywhere: a worker may be started in another one."""
    run = config["run"]
    return {**config, "run": {**run, **{name: os.path.abspath(run[name]) for name in ("data", "weights")}}}


def _arms(
    points: Sequence[Point], varying: Sequence[str], words: Words, blueprint: Blueprint
) -> list[tuple[str, Point]]:
    """(kind, point) of every arm, once: the baselines of each cohort's data and seed, then the fusions."""
    arms: dict[str, tuple[str, Point]] = {}
    for point in points:
        baseline = _late(point, words)
        for stream in STREAMS:
            arms.setdefault(signature(stream_recipe(point.config, stream)), (stream, baseline))
        if point.config["streams"] == "both":
            arms.setdefault(signature(arm_recipe(baseline.config)), ("late", baseline))
    for point in points:
        if point.config["streams"] not in ("both", *STREAMS):
            raise UserError("no such streams", got=f"streams={point.config['streams']}", allowed=["both", *STREAMS])
        if point.config["streams"] != "both":
            continue
        try:
            refuse_idle(point.config, blueprint.net(point.config))
        except UserError as error:
            raise left_out(error, point.axes, varying) from None
        if point.choices["fusion"] != "late":
            first = arms.setdefault(signature(arm_recipe(point.config)), ("fused", point))[1]
            if first is not point:
                got = " and ".join(arm_name(one.axes) for one in (first, point))
                raise UserError("two points of the grid are the same arm", got=got, hint="leave one of them out")
    return list(arms.values())


def _late(point: Point, words: Words) -> Point:
    """The late fusion of a point's streams: the same config but for what is an arm's own."""
    choices = {group: name for group, name in point.choices.items() if name is not None}
    made = tree({**choices, "fusion": LATE["fusion"], "temporal": LATE["temporal"]})
    leaves = {
        path: one
        for path, one in {**words.leaves, **point.axes}.items()
        if path.split(".")[0] not in ARM and path not in catalogue.groups()
    }
    own = {leaf: NEUTRAL[leaf] for leaf in ARM if leaf in NEUTRAL}  # an experiment may have turned them
    config = made.with_leaves({**leaves, **own, "layer": LAYER_OF_LATE})
    config["streams"] = "both"
    return Point(
        _placed(config),
        made.choices,
        {axis: one for axis, one in point.axes.items() if axis.split(".")[0] not in ARM},
    )
