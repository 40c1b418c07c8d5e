"""From options to a study's plan: axes → points → arms, with the baselines of every study, → jobs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.config import catalogue
from fusionlab.config.build import LAYER_OF_LATE, Blueprint, fuses_scores
from fusionlab.config.compose import tree
from fusionlab.config.mask_secrets import masked_word
from fusionlab.config.overrides import Words, check_choice, parse_exclude, parse_overrides
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig, build_dataset
from fusionlab.config.shorthand import is_determined
from fusionlab.config.value_types import as_typed
from fusionlab.data.views import VIDEO
from fusionlab.errors import UserError
from fusionlab.jobs.loggers import expect_installed
from fusionlab.planning.axes import Cell, Point
from fusionlab.planning.divide_jobs import jobs_of
from fusionlab.planning.layer_spelling import spelled_cells, with_exclusion
from fusionlab.planning.naming import arm_name, quoted, study_folder
from fusionlab.records.signature import NEUTRAL, signature
from fusionlab.results.spec import Spec
from fusionlab.study.plan import Arm, Plan
from fusionlab.study.recipes import ARM, STREAMS, arm_recipe, stream_recipe
from fusionlab.two_stream.net import Net

STRIDE = "data.sampling.stride"
LATE = {"fusion": "late", "temporal": "pool2d", "layer": LAYER_OF_LATE}


@dataclass(frozen=True)
class PlannedStudy:
    """A planned study and its folder."""

    plan: Plan
    folder: Path
    run: RunConfig
    threads: int  # of each job's process
    streams: frozenset[str]  # of the points that were typed: both, or one alone
    config: Mapping[str, Any]  # of the first point, with `run`
    axes: Mapping[str, Sequence[Any]]

    def asked(self) -> list[Arm]:
        """The arms that were typed, without the baselines; late fusion is a baseline beside a fusion."""
        typed = [arm for arm in self.plan.arms if arm.axes["streams"] in self.streams]
        fused = any(arm.kind == "fused" for arm in typed)
        return [arm for arm in typed if not (fused and arm.kind == "late")]


def plan_study(typed: Sequence[str], verb: str = "sweep") -> PlannedStudy:
    """Parse, compose, check and plan a study; nothing is written."""
    blueprint = Blueprint()
    words = parse_overrides(typed)
    axes, exclude = _axes(words)
    points = [_point(words, cell, blueprint) for cell in spelled_cells(words, axes, exclude, blueprint)]
    arms = _arms(points, list(axes), words, blueprint)
    run = RunConfig.of(points[0].tree)
    expect_installed(run.logger.name)
    command = " ".join(["python -m fusionlab." + verb, *(quoted(masked_word(word)) for word in typed)])
    folder = study_folder(run, words, points, Plan.of(command, *jobs_of(arms, "../streams")))
    # Relative, so that runs/ can be moved as a whole; a plan's signature does not know its folders.
    streams = os.path.relpath(Path(run.root) / "streams", folder)
    threads, typed_streams = points[0].config.trainer.threads, frozenset(point.config.streams for point in points)
    plan = Plan.of(command, *jobs_of(arms, streams))
    return PlannedStudy(plan, folder, run, threads, typed_streams, points[0].tree, axes)


def _axes(words: Words) -> tuple[dict[str, list[Any]], Sequence[Mapping[str, Any]]]:
    """The axes and exclusions of the experiment, replaced by those that were typed."""
    leaves = {leaf: one for leaf, one in words.leaves.items() if leaf.split(".")[0] == "run"}
    run = RunConfig.of(tree(words.groups).with_leaves(leaves))
    known, axes = catalogue.groups(), {}
    for axis, values in (run.grid or {}).items():
        if axis in words.axes:
            axes[axis] = words.axes[axis]
        elif not is_determined(axis, words.typed):
            axes[axis] = [check_choice(axis, one, known) for one in (values if isinstance(values, list) else [values])]
    axes.update(words.axes)
    late = [one for one in axes.get("fusion", []) if one == "late"]
    if late and len(axes["fusion"]) > 1:  # late is in every study anyway, and has no layer
        axes["fusion"] = [one for one in axes["fusion"] if one != "late"]
    return axes, words.exclude or parse_exclude([*(run.exclude or ())], known)


def _point(words: Words, cell: Cell, blueprint: Blueprint) -> Point:
    """A cell of the grid as a config; a config with which no job could work is refused."""
    groups = catalogue.groups()
    made = tree({**words.groups, **{axis: str(one) for axis, one in cell.items() if axis in groups}})
    plain = made.with_leaves({**words.leaves, **{axis: one for axis, one in cell.items() if axis not in groups}})
    config = ArmConfig.of(plain)
    Spec.of(RunConfig.of(plain).table)
    build_dataset(config.data)
    if not config.data.sampling.strides_count and STRIDE in {*words.leaves, *cell}:
        raise UserError(
            f"{STRIDE} has no effect: each snippet lies in a segment of the video, not τ from the one before",
            got=f"data.sampling.times={config.data.sampling.times}",
            hint="data.sampling.times=clip with it, or data.sampling.test=video, which goes through a video by τ",
        )
    if config.callbacks:
        from fusionlab.jobs.callbacks import UserCallbacks  # imports Lightning, which planning does not need

        UserCallbacks(config.callbacks)
    if fuses_scores(config):
        plain["layer"] = LAYER_OF_LATE
    elif config.streams == "both":  # one stream alone has no fusion
        try:
            plain["layer"] = blueprint.layer(config.layer, config.backbone, config.data)
        except UserError as error:
            raise with_exclusion(error, cell, list(cell)) from None
    plain["tower_weight"] = float(config.tower_weight)  # 1 is 1.0: one net, one signature
    axes = {axis: plain["layer"] if axis == "layer" else one for axis, one in cell.items()}
    return Point.of(_placed(plain), made.choices, axes)


def _placed(plain: dict[str, Any]) -> dict[str, Any]:
    """The config with absolute folders, since a worker may be started in another folder."""
    run = plain["run"]
    return {**plain, "run": {**run, **{name: os.path.abspath(run[name]) for name in ("data", "weights")}}}


def _arms(
    points: Sequence[Point], varying: Sequence[str], words: Words, blueprint: Blueprint
) -> list[tuple[str, Point]]:
    """(kind, point) of every arm, once: the baselines of each cohort's data and seed, then the fusions."""
    arms: dict[str, tuple[str, Point]] = {}
    for point in points:
        baseline = _late(point, words)
        for stream in STREAMS:
            arms.setdefault(signature(stream_recipe(point.tree, stream)), (stream, baseline))
        if point.config.streams == "both":
            arms.setdefault(signature(arm_recipe(baseline.tree)), ("late", baseline))
    for point in points:
        try:
            blueprint.refuse_consensus(point.config)
            if point.config.streams != "both":
                continue
            _reject_no_effect(point.config, blueprint.net(point.config))
        except UserError as error:
            raise with_exclusion(error, point.axes, varying) from None
        if not fuses_scores(point.config):
            first = arms.setdefault(signature(arm_recipe(point.tree)), ("fused", point))[1]
            if first is not point:
                got = " and ".join(arm_name(one.axes) for one in (first, point))
                raise UserError("two points of the grid are the same arm", got=got, hint="leave one of them out")
    return list(arms.values())


def _late(point: Point, words: Words) -> Point:
    """The late fusion of a point's streams: the same config except for the options of one arm.

    Where the point is a late fusion itself, it keeps the numbers of this fusion.
    """
    of_arm = [name for name in ARM if name != "fusion" or point.choices.get("fusion") != LATE["fusion"]]
    choices = {group: name for group, name in point.choices.items() if name is not None}
    made = tree({**choices, "fusion": LATE["fusion"], "temporal": LATE["temporal"]})
    leaves = {
        path: one
        for path, one in {**words.leaves, **point.axes}.items()
        if path.split(".")[0] not in of_arm and path not in catalogue.groups()
    }
    own = {leaf: NEUTRAL[leaf] for leaf in ARM if leaf in NEUTRAL}  # an experiment may have set them
    plain = {**made.with_leaves({**leaves, **own, "layer": LAYER_OF_LATE}), "streams": "both"}
    axes = {axis: one for axis, one in point.axes.items() if axis != "fusion" and axis.split(".")[0] not in of_arm}
    return Point.of(_placed(plain), made.choices, axes)


def _reject_no_effect(config: ArmConfig, net: Net) -> None:
    """Reject options without effect.

    Two arms would be one net with different draws, and this difference would look like an effect.
    """
    how = config.data.sampling
    # Whole videos have any length; from T to 2 T each difference between two towers' steps occurs.
    lengths = range(how.snippets, 2 * how.snippets) if how.test == VIDEO else [how.snippets]
    for option, (why, instead) in net.no_effect(lengths).items():
        name, _, number = option.partition(".")
        if number:  # a head names its own numbers only if they are set
            value, hint = getattr(config, name)[number], instead
        else:
            value, usual = getattr(config, name), config.into if option == "above" else NEUTRAL[option]
            if value == usual:
                continue
            hint = ", or ".join(filter(None, (instead, f"{option}={as_typed(usual)}")))
        raise UserError(f"{option} has no effect: {why}", got=f"{option}={as_typed(value)}", hint=hint)
