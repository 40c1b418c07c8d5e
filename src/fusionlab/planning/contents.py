"""Points of the grid that differ in their seeds only: composed, checked and built once.

Nothing else depends on a seed: not the layers, not what is refused. So a grid of 333 contents and 30 seeds costs 333
compositions and nets on the meta device. Where a config looks a seed up in another option, each point is a content.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fusionlab.config import catalogue
from fusionlab.config.build import LAYER_OF_LATE, Blueprint, fuses_scores, keeps_apart
from fusionlab.config.compose import Tree, tree
from fusionlab.config.overrides import Words
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig
from fusionlab.config.value_types import as_typed
from fusionlab.data.views import VIDEO
from fusionlab.errors import UserError
from fusionlab.planning.axes import Cell, Point
from fusionlab.planning.other_data import OtherData, spell_sources
from fusionlab.records.signature import NEUTRAL, canonical, value
from fusionlab.results.spec import Spec
from fusionlab.study.recipes import ABOVE, ARM, PAIRS, STREAMS, data_recipe, stream_recipe, without
from fusionlab.two_stream.net import Net

STRIDE = "data.sampling.stride"
BUDGET = "optim.fusion.budget"
LATE = {"fusion": "late", "temporal": "pool2d"}
CONTROL = "control"  # a choice of fusion, and the kind of its arms
OF_FUSION = [name for name in ARM if name != "temporal"]  # options of a fused arm that its control does not have
BUILT = ("backbone", "streams", "consensus", *ARM)  # what a net depends on, beside the data


@dataclass(frozen=True)
class Content:
    """One composed config, without the axes of seeds.

    `tree`: the config as plain data, which is hashed. `choices`: group -> choice. `axes`: the options that vary in the
    grid, with this content's values. `fused`: whether the streams meet before their scores. `error`: why it cannot be
    trained; then it has no `config`.
    """

    made: Tree
    tree: dict[str, Any]
    choices: Mapping[str, str | None]
    axes: Cell
    config: ArmConfig | None = None
    error: UserError | None = None
    fused: bool = False
    has_seeds: bool = False  # of its own: it is one point
    sources: Mapping[str, Content] = field(default_factory=dict)  # stream -> the content whose stream it starts from

    def point(self, seed: Mapping[str, Any], axes: Cell) -> Point:
        """The point with these seeds. `axes`: of the cell, in its order."""
        typed = {axis: self.axes.get(axis, one) for axis, one in axes.items() if is_seed(axis) or axis in self.axes}
        return Point({**self.tree, "seed": seed}, self.choices, {**typed, **self.axes})

    @cached_property
    def streams(self) -> dict[str, dict[str, Any]]:
        """The recipes of both streams, with the content's own seeds."""
        return {stream: stream_recipe(self.tree, stream) for stream in STREAMS}

    @cached_property
    def store(self) -> dict[str, Any]:
        return data_recipe(self.tree)


class Contents:
    """The contents of a grid, each made once. `axes`: all axes of the grid."""

    def __init__(self, words: Words, axes: Iterable[str], blueprint: Blueprint) -> None:
        self.words, self.axes, self.blueprint = words, list(axes), blueprint
        self._groups = catalogue.groups()
        self._made: dict[str, Content] = {}
        self._late: dict[int, Content] = {}
        self._controls: dict[str, Content] = {}
        self._doubled: dict[int, Content] = {}
        self._seeds: dict[tuple[int, str], dict[str, Any]] = {}
        self._late_fusions: dict[str, bool] = {}
        self._errors: dict[str, UserError | None] = {}  # of nets, by what they depend on
        self._others = OtherData(blueprint, lambda words: Contents(words, [], blueprint).of({}))

    def of(self, cell: Cell) -> Content:
        own = {axis: one for axis, one in cell.items() if not is_seed(axis)}
        key = canonical(own)
        if key not in self._made:
            self._made[key] = self._compose(own)
        if self._made[key].has_seeds and len(own) < len(cell):
            key = canonical(cell)
            if key not in self._made:
                self._made[key] = self._compose(cell)
        return self._made[key]

    def late(self, content: Content) -> Content:
        """The late fusion of a content's streams: the same config except for the options of one arm.

        It is not trained, so axes of what is trained above the streams give one late fusion, at the value without the
        axis. Where the content is a late fusion itself, it keeps the numbers of this fusion.
        """
        if id(content) not in self._late:
            self._late[id(content)] = self._compose_late(content)
        return self._late[id(content)]

    def control(self, content: Content) -> Content | None:
        """The control of a content whose streams meet: the late fusion where they meet at class scores only.

        Contents that differ in their fusions only share it. None where the content is a control itself.
        """
        if content.choices.get("fusion") == CONTROL:
            return None
        assert content.config is not None
        layer = self.blueprint.control_layer(content.config)
        if layer is None:
            return self.late(content)
        above = "fresh" if content.config.above == "fresh" else NEUTRAL["into"]
        own = {"layer": layer, "above": above, "backprop": content.config.backprop}
        axes = {axis: one for axis, one in content.axes.items() if axis.split(".")[0] not in OF_FUSION}
        key = canonical([own, {**content.choices, "fusion": CONTROL}, axes])
        if key not in self._controls:
            self._controls[key] = self._compose_control(content, own)
        return self._controls[key]

    def doubled(self, content: Content) -> Content:
        """The same with twice the budget of what is trained above the streams."""
        if id(content) not in self._doubled:
            assert content.config is not None
            if content.config.optim.fusion.recipe.until == "converged":
                raise UserError(
                    "there is no budget to double where arms are trained until they have converged",
                    got="run.double=true optim.fusion.until=converged",
                    hint="run.double=false with it, or optim.fusion.until=budget",
                )
            optim = content.tree["optim"]
            twice = 2 * value(content.tree, BUDGET)
            own = {**content.tree, "optim": {**optim, "fusion": {**optim["fusion"], "budget": twice}}}
            axes = {**content.axes, BUDGET: twice}
            self._doubled[id(content)] = replace(content, tree=own, config=ArmConfig.of(own), axes=axes)
        return self._doubled[id(content)]

    def point(self, content: Content, cell: Cell) -> Point:
        """The point of a cell with its content, or with the late fusion or control of its content."""
        seeds = {axis: one for axis, one in cell.items() if is_seed(axis)}
        key = (id(content.made), canonical(seeds))
        if content.has_seeds or not seeds:
            seed = content.tree["seed"]
        elif (known := self._seeds.get(key)) is not None:
            seed = known
        else:
            fixed = {leaf: one for leaf, one in self.words.leaves.items() if is_seed(leaf)}
            seed = self._seeds[key] = content.made.sharing({**fixed, **seeds})["seed"]
        others = {axis: _seed_of(axis, seed) for axis in self.axes if is_seed(axis) and axis not in cell}
        return content.point(seed, {**cell, **others})

    def _compose(self, cell: Cell) -> Content:
        """A cell as a config; one with which no job could work has an error."""
        groups = {**self.words.groups, **{axis: str(one) for axis, one in cell.items() if axis in self._groups}}
        leaves = {**self.words.leaves, **{axis: one for axis, one in cell.items() if axis not in self._groups}}
        made, plain, words = tree(groups), None, Words(groups, leaves)
        looked_up = any("${" in str(one) for one in leaves.values())
        try:
            plain = made.sharing(leaves)
            config = self._checked(plain, {*self.words.leaves, *cell})
            layer = self._layer(config)
            plain = _placed({**plain, "layer": layer, "tower_weight": float(config.tower_weight)})  # 1 is 1.0
            config = replace(config, layer=layer, tower_weight=plain["tower_weight"])
            sources = self._others.sources(words, made.choices.get("data"), config)
            plain["weights"] = {**plain["weights"], **spell_sources(sources)}
            plain["multitask"] = self._others.second(words, made.choices.get("data"), plain)
            if (error := self._net_error(config, plain)) is not None:
                raise error
        except UserError as error:
            if looked_up:
                raise
            plain = plain or {**made.sharing({}), "layer": str(leaves.get("layer", made.get("layer")))}
            return Content(made, plain, made.choices, self._filled(cell, plain, made.choices), error=error)
        axes = self._filled(cell, plain, made.choices)
        fused = config.streams == "both" and not self._late_fusion(config)
        has_seeds = looked_up or made.depends_on("seed") or any(one.has_seeds for one in sources.values())
        return Content(made, plain, made.choices, axes, config, fused=fused, has_seeds=has_seeds, sources=sources)

    def _filled(self, cell: Cell, plain: dict[str, Any], choices: Mapping[str, str | None]) -> Cell:
        """The cell's axes; those that only other parts of the grid have get the value of the config."""
        values = {axis: plain["layer"] if axis == "layer" else one for axis, one in cell.items()}
        for axis in self.axes:
            if axis in cell or is_seed(axis):
                continue
            value = choices.get(axis) if axis in self._groups else _select(plain, axis)
            if value is not None and not isinstance(value, Mapping):
                values[axis] = value
        return values

    def _checked(self, plain: dict[str, Any], typed: set[str]) -> ArmConfig:
        config = ArmConfig.of(plain)
        Spec.of(RunConfig.of(plain).table)
        self.blueprint.dataset(config.data)
        self.blueprint.expect_layers(config)
        if not config.data.sampling.strides_count and STRIDE in typed:
            raise UserError(
                f"{STRIDE} has no effect: each snippet lies in a segment of the video, not τ from the one before",
                got=f"data.sampling.times={config.data.sampling.times}",
                hint="data.sampling.times=clip with it, or data.sampling.test=video, which goes through a video by τ",
            )
        if config.callbacks:
            from fusionlab.jobs.callbacks import UserCallbacks  # imports Lightning, which planning does not need

            UserCallbacks(config.callbacks)
        return config

    def _layer(self, config: ArmConfig) -> str:
        if self._late_fusion(config):
            return LAYER_OF_LATE
        if config.streams != "both":  # one stream alone has no fusion
            return config.layer
        if config.backprop == "all" and keeps_apart(
            config
        ):  # whole towers are trained: the layer of the cut has no effect
            return str(self.blueprint.control_layer(config))
        return self.blueprint.layer(config.layer, config.backbone, config.data)

    def _late_fusion(self, config: ArmConfig) -> bool:
        key = canonical(config.fusion)
        if key not in self._late_fusions:
            self._late_fusions[key] = fuses_scores(config)
        return self._late_fusions[key]

    def _net_error(self, config: ArmConfig, plain: dict[str, Any]) -> UserError | None:
        """Why the net cannot be built, or has options without effect; nets that are alike are built once."""
        sampling = {part: plain["data"][part] for part in ("dataset", "store", "sampling")}
        key = canonical([{name: plain.get(name) for name in BUILT}, sampling])
        if key not in self._errors:
            self._errors[key] = None
            try:
                self.blueprint.refuse_consensus(config)
                if config.streams == "both":
                    _reject_no_effect(config, self.blueprint.net(config))
            except UserError as error:
                self._errors[key] = error
        return self._errors[key]

    def _compose_late(self, content: Content) -> Content:
        of_arm = [name for name in ARM if name != "fusion" or content.choices.get("fusion") != LATE["fusion"]]
        unseen = (f"{ABOVE}.", f"{PAIRS}.")
        axes = {axis: one for axis, one in content.axes.items() if not f"{axis}.".startswith(unseen)}
        late = self._with_choices(replace(content, axes=axes), LATE, of_arm, {"layer": LAYER_OF_LATE})
        return replace(late, tree={**late.tree, "data": without(late.tree["data"], [PAIRS])})

    def _compose_control(self, content: Content, own: Mapping[str, Any]) -> Content:
        made = self._with_choices(content, {"fusion": CONTROL}, OF_FUSION, own)
        config = ArmConfig.of(made.tree)
        try:
            self.blueprint.net(config)
        except UserError as error:
            return replace(made, error=error)
        return replace(made, config=config)

    def _with_choices(
        self, content: Content, choices: Mapping[str, str], of_arm: Sequence[str], own: Mapping[str, Any]
    ) -> Content:
        """A content with other parts. `of_arm`: the options that it does not take over; `own`: those that it sets."""
        kept = {group: name for group, name in content.choices.items() if name is not None}
        made = tree({**kept, **choices})
        leaves = {
            path: one
            for path, one in {**self.words.leaves, **content.axes}.items()
            if path.split(".")[0] not in of_arm and path not in self._groups
        }
        neutral = {leaf: NEUTRAL[leaf] for leaf in ARM if leaf in NEUTRAL}  # an experiment may have set them
        of_streams = {"streams": "both", **{part: content.tree[part] for part in ("weights", "multitask")}}
        plain = {**made.sharing({**leaves, **neutral, **own}), **of_streams}
        axes = {
            axis: one for axis, one in content.axes.items() if axis != "fusion" and axis.split(".")[0] not in of_arm
        }
        return replace(content, made=made, tree=_placed(plain), choices=made.choices, axes=axes, config=None)


def is_seed(axis: str) -> bool:
    return axis.split(".")[0] == "seed"


def _seed_of(axis: str, seed: Mapping[str, Any]) -> Any:
    """The value of an axis that only other parts of the grid have; of `seed`, the first of the three."""
    return seed[axis.partition(".")[2] or "init"]


def _select(plain: Any, path: str) -> Any:
    for name in path.split("."):
        plain = plain.get(name) if isinstance(plain, Mapping) else None
    return plain


def _placed(plain: dict[str, Any]) -> dict[str, Any]:
    """The config with absolute folders, since a worker may be started in another folder."""
    run = plain["run"]
    return {**plain, "run": {**run, **{name: os.path.abspath(run[name]) for name in ("data", "weights")}}}


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
