"""From words to a study's plan: axes → points → arms, with the baselines that every study has, → jobs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fusionlab.door import conf
from fusionlab.door.build import LAYER_OF_LATE, Blueprint
from fusionlab.door.compose import Tree, tree
from fusionlab.door.division import jobs_of
from fusionlab.door.examine import examine
from fusionlab.door.naming import quoted, study_folder
from fusionlab.door.overrides import Words, excluded, parse, value
from fusionlab.door.point import Point
from fusionlab.errors import UserError
from fusionlab.records.signature import signature
from fusionlab.study.grid import expand
from fusionlab.study.plan import Plan
from fusionlab.study.recipes import ARM, STREAMS, arm_recipe, stream_recipe

LATE = {"fusion": "late", "temporal": "pool2d", "layer": LAYER_OF_LATE}


@dataclass(frozen=True)
class Study:
    """A planned study and where it goes."""

    plan: Plan
    folder: Path
    run: Mapping[str, Any]
    threads: int  # of each job's process


def plan_study(typed: Sequence[str], verb: str = "sweep") -> Study:
    """Parse, compose, check and plan; nothing is written."""
    blueprint = Blueprint()
    words, axes, exclude = _spelled(*_axes(parse(typed)), blueprint)
    points = [_point(words, point, blueprint) for point in expand(axes, exclude)]
    arms = _arms(points, list(axes), words, blueprint)
    run = points[0].config["run"]
    command = " ".join(["python -m fusionlab." + verb, *map(quoted, typed)])
    folder = study_folder(run, words, points, Plan.of(command, *jobs_of(arms, "../streams")))
    # Relative, so that runs/ can be moved as a whole; a plan's signature does not know its folders.
    streams = os.path.relpath(Path(run["root"]) / "streams", folder)
    return Study(Plan.of(command, *jobs_of(arms, streams)), folder, run, points[0].config["trainer"]["threads"])


def _axes(words: Words) -> tuple[Words, dict[str, list[Any]], Sequence[Mapping[str, Any]]]:
    """The experiment's axes and exclusions, and those that were typed, which win."""
    run = tree(words.groups).with_leaves(words.leaves)["run"]
    known, axes = conf.groups(), {}
    for axis, values in (run["grid"] or {}).items():
        if axis not in words.groups and axis not in words.leaves:
            axes[axis] = [value(axis, one, known) for one in (values if isinstance(values, list) else [values])]
    axes.update(words.axes)
    late = [one for one in axes.get("fusion", []) if one == "late"]
    if late and len(axes["fusion"]) > 1:  # late is in every study; as a fusion at a layer it is nothing
        axes["fusion"] = [one for one in axes["fusion"] if one != "late"]
    return words, axes, words.exclude or excluded(run["exclude"] or [], known)


def _spelled(
    words: Words, axes: Mapping[str, list[Any]], exclude: Sequence[Mapping[str, Any]], blueprint: Blueprint
) -> tuple[Words, Mapping[str, list[Any]], Sequence[Mapping[str, Any]]]:
    """Layers in the tower's own spelling wherever one is named, so that one study has one name."""
    first = {axis: values[0] for axis, values in axes.items() if values}
    config = _composed(words, {axis: one for axis, one in first.items() if axis != "layer"})

    def right(name: str, typed: Any) -> Any:
        return blueprint.layer({**config, "layer": typed}) if name == "layer" else typed

    leaves = {name: right(name, one) for name, one in words.leaves.items()}
    spelled = {axis: [right(axis, one) for one in values] for axis, values in axes.items()}
    return (
        replace(words, leaves=leaves),
        spelled,
        [{axis: right(axis, one) for axis, one in entry.items()} for entry in exclude],
    )


def _point(words: Words, point: Mapping[str, Any], blueprint: Blueprint) -> Point:
    made, config = _tree(words, point), _composed(words, point)
    examine(config)
    if made.choices["fusion"] == "late":
        config["layer"] = LAYER_OF_LATE
    config["layer"] = blueprint.layer(config)
    axes = {axis: config["layer"] if axis == "layer" else one for axis, one in point.items()}
    return Point(_placed(config), made.choices, axes)


def _tree(words: Words, point: Mapping[str, Any]) -> Tree:
    groups = conf.groups()
    return tree({**words.groups, **{axis: str(one) for axis, one in point.items() if axis in groups}})


def _composed(words: Words, point: Mapping[str, Any]) -> dict[str, Any]:
    groups = conf.groups()
    return _tree(words, point).with_leaves(
        {**words.leaves, **{axis: one for axis, one in point.items() if axis not in groups}}
    )


def _placed(config: dict[str, Any]) -> dict[str, Any]:
    """The data's folder as seen from everywhere: a worker may be started in another one."""
    return {**config, "run": {**config["run"], "data": os.path.abspath(config["run"]["data"])}}


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
        if point.config["streams"] == "both" and point.choices["fusion"] != "late":
            try:
                blueprint.describe(point.config)
            except UserError as error:
                raise _in_grid(error, point, varying) from None
            arms.setdefault(signature(arm_recipe(point.config)), ("fused", point))
    return list(arms.values())


def _in_grid(error: UserError, point: Point, varying: Sequence[str]) -> UserError:
    """The same message; in a grid of several axes with the exclusion that leaves this point out."""
    own = {axis: one for axis, one in point.axes.items() if axis in ARM}
    if len([axis for axis in varying if axis in ARM]) < 2:
        return error
    text = ",".join(f"{axis}:{one}" for axis, one in own.items())
    return UserError(error.what, got=error.got, allowed=error.allowed, hint=f"{error.hint}; or 'exclude=[{{{text}}}]'")


def _late(point: Point, words: Words) -> Point:
    """The late fusion of a point's streams: the same config but for what is an arm's own."""
    choices = {group: name for group, name in point.choices.items() if name is not None}
    made = tree({**choices, "fusion": LATE["fusion"], "temporal": LATE["temporal"]})
    leaves = {path: one for path, one in {**words.leaves, **point.axes}.items() if path.split(".")[0] not in ARM}
    config = made.with_leaves(
        {path: one for path, one in leaves.items() if path not in made.choices} | {"layer": LAYER_OF_LATE}
    )
    config["streams"] = "both"
    return Point(
        _placed(config),
        made.choices,
        {axis: one for axis, one in point.axes.items() if axis.split(".")[0] not in ARM},
    )
