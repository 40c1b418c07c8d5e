"""From options to a study's plan: axes → cells → arms, with the baselines of every study, → jobs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.config import catalogue
from fusionlab.config.build import Blueprint
from fusionlab.config.compose import has_grid, tree
from fusionlab.config.mask_secrets import masked_word
from fusionlab.config.options import place_of
from fusionlab.config.overrides import (
    EXAMPLES,
    Words,
    check_choice,
    parse_exclude,
    parse_grids,
    parse_overrides,
    parse_zip,
)
from fusionlab.config.run_config import RunConfig
from fusionlab.config.shorthand import is_determined, reject_useless_shorthand
from fusionlab.config.value_types import as_typed
from fusionlab.errors import UserError, one_line
from fusionlab.jobs.loggers import expect_installed
from fusionlab.planning.axes import Axes, Cell, Grid, Point, beside
from fusionlab.planning.chains import RATE, shared_by_cohort, two_chains
from fusionlab.planning.contents import BUDGET, CONTROL, Content, Contents, is_seed
from fusionlab.planning.divide_jobs import PlannedArm, jobs_of
from fusionlab.planning.layer_spelling import Spelling
from fusionlab.planning.naming import arm_name, axes_of, study_folder
from fusionlab.planning.other_data import axes_of_source
from fusionlab.records.plan_file import RETRAIN, THEN
from fusionlab.records.signature import RUN, Signer, canonical
from fusionlab.study.plan import Arm, Plan, Refused
from fusionlab.study.recipes import STREAMS, source_of


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
    equal: int = 0  # cells that are the same arm as another one

    def asked(self) -> list[Arm]:
        """The arms that were typed, of the last chain, without baselines: beside a fusion, late fusion and controls."""
        arms = [arm for arm in self.plan.arms if arm.has_row]
        typed = [arm for arm in arms if arm.axes["streams"] in self.streams]
        kinds = {arm.kind for arm in typed}
        baselines = ("late", CONTROL) if "fused" in kinds else ("late",) if CONTROL in kinds else ()
        return [arm for arm in typed if arm.kind not in baselines]


def plan_study(typed: Sequence[str], verb: str = "sweep") -> PlannedStudy:
    """Parse, compose, check and plan a study; nothing is written."""
    blueprint = Blueprint()
    words = parse_overrides(typed)
    grid = _grid(words, blueprint)
    contents = Contents(words, grid.axes, blueprint)
    cells = [(cell, contents.of(cell)) for cell in grid.cells()]
    refused = _refused(cells, contents)
    possible = [(cell, content) for cell, content in cells if content.error is None]
    refused += _refused_controls(possible, contents)
    arms, equal = _arms(possible, contents)
    cell, content = possible[0]
    first = contents.point(content, cell)
    run = RunConfig.of(first.tree)
    select = run.table.get("select")
    expect_selection(select, grid.axes)
    expect_chains(grid.axes)
    for config in {id(one.config): one.config for _, one in possible if one.config is not None}.values():
        config.val.expect_choice(config.recipes, select, run.asked.combine)
    arms = two_chains(arms, selects=select == RATE)
    expect_installed(run.logger.name)
    command = shlex.join(["python", "-m", f"fusionlab.{verb}", *map(masked_word, typed)])
    plan = Plan.of(command, *jobs_of(arms, "../streams"), refused)
    if run.claim is not None:
        from fusionlab.results.claim import Claim  # imports numpy, which no other plan needs

        Claim.of(run.claim).expect_rows(
            (
                (arm.kind, {axis: one for axis, one in {**arm.axes, **axes}.items() if axis != THEN})
                for arm in plan.arms
                if arm.has_row
                for axes in run.asked.shown_axes
            ),
            kinds=_kinds(possible, contents),
            within=[*filter(None, [select]), BUDGET, *(run.table.get("over") or ())],
        )
    points = [contents.point(content, cell) for cell, content in possible]
    folder = study_folder(run, words, points, plan)
    # Relative, so that runs/ can be moved as a whole; a plan's signature does not know its folders.
    streams = os.path.relpath(Path(run.root) / "streams", folder)
    if streams != "../streams":
        plan = Plan.of(command, *jobs_of(arms, streams), refused)
    assert content.config is not None
    typed_streams = frozenset(content.tree["streams"] for _, content in possible)
    return PlannedStudy(plan, folder, run, content.config.trainer.threads, typed_streams, first.tree, grid.axes, equal)


def _grid(words: Words, blueprint: Blueprint) -> Grid:
    """The grid of the experiment, in which what was typed replaces its axes, exclusions, zips and unions."""
    leaves = {leaf: one for leaf, one in words.leaves.items() if leaf.split(".")[0] == RUN}
    run = RunConfig.of(tree(words.groups).sharing(leaves))
    known = catalogue.groups()
    zipped, grids = words.zipped, words.grids
    if grids is None:  # of the experiment: an axis is replaced by what was typed
        own = parse_grids([*run.grids], known)
        grids = [{axis: one for axis, one in part.items() if not is_determined(axis, words.typed)} for part in own]
    elif not grids and not run.grids:
        raise UserError("grids has no grid", got="grids=[]", hint=EXAMPLES["grids"])
    own_zip = parse_zip([*run.zip], known) if zipped is None else []
    parts = [_axes(run, words, part, known, own_zip) for part in grids or [{}]]
    axes = {axis for part in parts for axis in part}
    if zipped is None:
        own_zip = [[axis for axis in group if axis in axes] for group in own_zip]
        zipped = [group for group in own_zip if len(group) > 1]
    elif not zipped and not run.zip:
        raise UserError("zip has no axes", got="zip=[]", hint=EXAMPLES["zip"])
    for axis in (axis for group in zipped for axis in group if axis in words.typed - axes):
        raise UserError("zip takes axes, and this option has one value", got=f"{axis}=…", hint=EXAMPLES["zip"])
    spelling = Spelling(words, blueprint)
    exclude = words.exclude or parse_exclude([*run.exclude], known)
    entries = [(entry, spelling.entries(entry, parts)) for entry in exclude]
    return Grid(parts, zipped, entries, run.max_arms)


def _axes(
    run: RunConfig,
    words: Words,
    part: Mapping[str, list[Any]],
    known: Mapping[str, list[str]],
    zipped: Sequence[Sequence[str]],
) -> Axes:
    """The axes of one part of the grid: the experiment's, those typed, and its own. `zipped`: the experiment's."""
    for axis, values in part.items():
        if axis in words.typed:
            raise UserError(
                "an option is typed both beside grids= and inside it", got=f"{axis}=… and {{{axis}:…}}",
                hint=f"{axis} in one of the two places",
            )  # fmt: skip
        if place_of(axis).partition(".")[0] == RUN or any(has_grid(axis, str(one)) for one in values):
            raise UserError(
                "this option is one for all parts of a grid", got=f"grids=[{{{axis}:{as_typed(values[0])}}}]",
                hint=f"{axis}={as_typed(values[0])} beside grids=, or in a command of its own",
            )  # fmt: skip
    typed = {*words.typed, *part}
    reject_useless_shorthand(typed)
    own = {axis: values if isinstance(values, list) else [values] for axis, values in (run.grid or {}).items()}
    fixed = {axis: [one] for axis, one in {**words.groups, **words.leaves}.items()}
    own |= beside(own, zipped, {**fixed, **words.axes})
    axes: dict[str, list[Any]] = {}
    for axis, values in own.items():
        if axis in words.axes:
            axes[axis] = words.axes[axis]
        elif not is_determined(axis, typed):
            axes[axis] = [check_choice(axis, one, known) for one in values]
    axes.update(words.axes)
    axes.update(part)
    for baseline in ("late", CONTROL):  # they are in every study anyway, late without a layer
        if baseline in axes.get("fusion", []) and len(axes["fusion"]) > 1:
            axes["fusion"] = [one for one in axes["fusion"] if one != baseline]
    return axes


def _refused(cells: Sequence[tuple[Cell, Content]], contents: Contents) -> list[Refused]:
    """The cells that cannot be trained; a `UserError` if there are no others, or if a name was mistyped."""
    bad = [(cell, content) for cell, content in cells if content.error is not None]
    if len(bad) == len(cells):
        raise _nothing_left([content for _, content in bad])
    _raise_typo(cells)
    return _without_twins(bad, contents)


def _refused_controls(cells: Sequence[tuple[Cell, Content]], contents: Contents) -> list[Refused]:
    """The controls that cannot be trained, where the arms that they belong to can."""
    controls = [(cell, contents.control(content)) for cell, content in cells if content.fused]
    bad = [(cell, one) for cell, one in controls if one is not None and one.error is not None]
    return _without_twins(bad, contents)


def _without_twins(bad: Sequence[tuple[Cell, Content]], contents: Contents) -> list[Refused]:
    refused: dict[str, Refused] = {}
    for cell, content in bad:
        point, kind = contents.point(content, cell), _kind(content)
        axes = {"streams": content.tree["streams"] if kind == "stream" else "both", **axes_of(point, kind)}
        name = arm_name({axis: one for axis, one in axes.items() if kind == "stream" or axis != "streams"})
        assert content.error is not None
        refused.setdefault(name, Refused(name, kind, axes, _reason(content.error, axes)))
    return list(refused.values())


def _kind(content: Content) -> str:
    if content.tree["streams"] in STREAMS:
        return "stream"
    fusion = content.choices.get("fusion")
    return fusion if fusion in ("late", CONTROL) else "fused"


def _reason(error: UserError, axes: Mapping[str, Any]) -> str:
    """An error on one line; what the cell's axes say is not said again."""
    options = {f"{axis}={as_typed(one)}" for axis, one in axes.items()} | {str(one) for one in axes.values()}
    said = error.got is None or (set(error.got.split(" ")) <= options and not error.what.startswith("unknown "))
    return one_line(error.what if said else f"{error.what}: {error.got}")


def _nothing_left(contents: Sequence[Content]) -> UserError:
    """The error of a grid that has no cell to train, with every reason."""
    errors: dict[str, list[UserError]] = {}
    for content in contents:
        assert content.error is not None
        errors.setdefault(content.error.what, []).append(content.error)
    (first, *_), *others = errors.values()
    if not others:
        return first
    reasons = [f"{all_[0].got} ({len(all_)} of {len(contents)}): {what}" for what, all_ in errors.items()]
    return UserError("no cell of the grid can be trained", got="\n            ".join(reasons), hint=first.hint)


def _raise_typo(cells: Sequence[tuple[Cell, Content]]) -> None:
    """Raise the error of an axis, or of a value of one, whose name is unknown in each cell that has it."""
    errors: dict[tuple[str, str], list[UserError | None]] = {}
    for cell, content in cells:
        for axis, one in cell.items():
            errors.setdefault((axis, as_typed(one)), []).append(content.error)
    for (axis, text), of_value in errors.items():
        first = of_value[0]
        if first is None or not first.what.startswith("unknown "):
            continue
        named = first.got in (axis, text, f"{axis}={text}")
        if named and all(one is not None and (one.what, one.got) == (first.what, first.got) for one in of_value):
            raise first


def _arms(cells: Sequence[tuple[Cell, Content]], contents: Contents) -> tuple[list[PlannedArm], int]:
    """Every arm once, and the number of cells that are the same arm as another one.

    The baselines of each cohort's data and seed come first, then the controls, then the fusions. With `run.double`, the
    fusions of each content's first seed and their controls are there with a double budget too.
    """
    signing = Signing()
    arms: dict[str, PlannedArm] = {}
    sources: dict[str, PlannedArm] = {}  # streams of other data sets
    controls: dict[int, str] = {}  # place of a cell -> the signature of its control
    for cell, content in cells:
        late = contents.late(content)
        point = contents.point(late, cell)
        for stream in STREAMS:
            one = signing.stream(late, point, stream)
            arms.setdefault(one.signature, one)
        sources |= {one.signature: one for one in signing.sources(late, point)}
        if content.tree["streams"] == "both":
            one = signing.arm("late", late, point)
            arms.setdefault(one.signature, one)
    cells = [*cells, *_doubled(cells, contents)]
    for place, (cell, content) in enumerate(cells):
        control = contents.control(content) if content.fused else None
        if control is not None and control.error is None:
            one = signing.arm(CONTROL, control, contents.point(control, cell))  # where it is late, it is there already
            controls[place] = arms.setdefault(one.signature, one).signature
    equal = 0
    for place, (cell, content) in enumerate(cells):
        if content.fused:
            one = signing.arm(_kind(content), content, contents.point(content, cell), controls.get(place))
            equal += one.signature in arms
            arms.setdefault(one.signature, one)
    return [*(one for signature, one in sources.items() if signature not in arms), *arms.values()], equal


def _kinds(cells: Sequence[tuple[Cell, Content]], contents: Contents) -> set[str] | None:
    """The kinds of question of all data sets; None if only the files of one can tell."""
    data = [content.config.data for _, content in cells if content.config is not None]
    try:
        return {kind for one in data for kind in contents.blueprint.dataset(one).kinds.values()}
    except UserError:
        return None


def _doubled(cells: Sequence[tuple[Cell, Content]], contents: Contents) -> list[tuple[Cell, Content]]:
    """The first cell of each content whose streams meet, where `run.double` asks for it, with twice the budget."""
    fused = [(cell, content) for cell, content in cells if content.fused]
    if not fused or not RunConfig.of(fused[0][1].tree).double:
        return []
    first: dict[str, tuple[Cell, Content]] = {}
    for cell, content in fused:
        first.setdefault(canonical({axis: one for axis, one in cell.items() if not is_seed(axis)}), (cell, content))
    return [(cell, contents.doubled(content)) for cell, content in first.values()]


def expect_selection(select: Any, axes: Collection[str]) -> None:
    """Raise a `UserError` for a selection of anything else than the rates of a grid."""
    if select is None:
        return
    hint = f"select={RATE} with {RATE}=1e-3,3e-3"
    if select != RATE:
        raise UserError(
            "a selection is over the learning rates of what is trained above the streams; another option changes what "
            "is compared, what it is trained on or how it is tested",
            got=f"select={as_typed(select)}", allowed=[RATE, "null"], hint=hint,
        )  # fmt: skip
    if select not in axes:
        raise UserError(
            "a selection is over the values of an axis, and this option has one value", got=select, hint=hint
        )


def expect_chains(axes: Collection[str]) -> None:
    """Raise a `UserError` for a grid over both chains."""
    if THEN in axes:
        raise UserError(
            f"{THEN} has one value in a study: {RETRAIN} trains both chains, the one that chooses and the one on the "
            "whole list", got=THEN, hint=f"{THEN}={RETRAIN}",
        )  # fmt: skip


class Signing:
    """Arms with their signatures; what contents or seeds share is signed once."""

    def __init__(self) -> None:
        self._signer = Signer()
        self._bases: dict[tuple[int, str], str] = {}  # content, kind of recipe -> the signature without seeds
        self._known: dict[tuple[str, str, str], str] = {}  # kind of recipe, that signature, seeds -> the signature
        self._streams: dict[tuple[str, ...], dict[str, str]] = {}

    def stream(self, content: Content, point: Point, stream: str) -> PlannedArm:
        """The arm of one stream."""
        recipe = self._recipe(content, point.tree["seed"], stream)
        signature = self._sign(content, stream, recipe)
        store, second = self._sign(content, "store", content.store), recipe.get("multitask")
        also = None if second is None else self._sign(content, f"second store of {stream}", second)
        return PlannedArm(
            stream, point, recipe, signature, store, {stream: signature}, source=source_of(recipe), also=also
        )

    def sources(self, content: Content, point: Point) -> Iterator[PlannedArm]:
        """The streams of other data sets from which those of a content start, each after what it starts from itself."""
        for stream, source in content.sources.items():
            tree = {**source.tree, "seed": point.tree["seed"], RUN: point.tree[RUN]}
            below = Point(tree, source.choices, axes_of_source(point, stream, source))
            yield from self.sources(source, below)
            yield self.stream(source, below, stream)

    def _recipe(self, content: Content, seed: Mapping[str, Any], stream: str) -> dict[str, Any]:
        """The recipe of a stream, with the signature of the one that it starts from."""
        recipe = {**content.streams[stream], "seed": seed}
        if (source := content.sources.get(stream)) is not None:
            recipe["stage_one"] = {stream: self._sign(source, stream, self._recipe(source, seed, stream))}
        return recipe

    def arm(self, kind: str, content: Content, point: Point, control: str | None = None) -> PlannedArm:
        """The arm of two streams. `control`: the signature of its control."""
        seed = {"seed": point.tree["seed"]}
        signed = tuple(self._sign(content, one, self._recipe(content, seed["seed"], one)) for one in STREAMS)
        streams = self._streams.setdefault(signed, dict(zip(STREAMS, signed, strict=True)))
        recipe = {**{part: one for part, one in point.tree.items() if part != RUN}, "stage_one": streams}
        selects = point.tree[RUN]["table"].get("select") == RATE
        cohort = self._sign(content, "cohort", shared_by_cohort(recipe, selects))
        signature, store = self._sign(content, "arm", recipe), self._sign(content, "store", content.store)
        return PlannedArm(kind, point, recipe, signature, store, streams, cohort, control)

    def _sign(self, content: Content, what: str, recipe: Mapping[str, Any]) -> str:
        """The signature of a recipe. Of recipes of one content, only the seeds and what follows from them differ."""
        if (base := self._bases.get((id(content), what))) is None:
            fixed = {part: one for part, one in recipe.items() if part not in ("seed", "stage_one")}
            base = self._bases[id(content), what] = self._signer.signature(fixed)
        key = what, base, canonical([recipe.get("seed"), recipe.get("stage_one")])
        if key not in self._known:
            self._known[key] = self._signer.signature(recipe)
        return self._known[key]
