"""The other data sets of a command: those that its streams start from, and those that they are trained on beside.

`weights.motion=from:ucf101` starts the motion stream from the one that the same command would train with data=ucf101.
Its own first weights are null, or what stands behind the name: `from:ucf101:imagenet`. The yaml of a recipe of
fine-tuning names the recipe of a source that starts from nothing (`source`), all of whose layers are trained.
`multitask.motion=ucf101` trains the stream on UCF101 too. What is typed counts for these data sets as well, except
`data.dataset.…` and `data.quarantine`, which are about the videos of the main one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fusionlab.backbones.tower import Tower
from fusionlab.config import catalogue
from fusionlab.config.build import Blueprint
from fusionlab.config.compose import source_recipe, tree
from fusionlab.config.overrides import Words
from fusionlab.config.schema import ArmConfig, build_dataset, second_data
from fusionlab.config.shorthand import SHORTHAND, expand_shorthand
from fusionlab.errors import UserError, unknown
from fusionlab.planning.axes import Point
from fusionlab.records.plan_file import TRAINED_ON
from fusionlab.records.signature import NEUTRAL, canonical
from fusionlab.study.recipes import ABOVE, ARM, FROM, PAIRS, STREAMS, data_recipe

if TYPE_CHECKING:
    from fusionlab.planning.contents import Content

OF_MAIN = ("data.dataset", "data.quarantine")  # options that count for the main data set only
FROM_LAYER = "optim.streams.from_layer"
WHERE_TRAINED = (FROM_LAYER, *(f"optim.streams.{stream}.from_layer" for stream in STREAMS))
INPUTS = ("fields", "crop", "snippets")  # of the sampling, from which the shapes of a tower's weights may follow


class OtherData:
    """The other data sets of contents. `compose`: the content of a command's options."""

    def __init__(self, blueprint: Blueprint, compose: Callable[[Words], Content]) -> None:
        self.blueprint, self._compose = blueprint, compose
        self._made: dict[str, Content] = {}

    def sources(self, words: Words, main: str | None, config: ArmConfig) -> dict[str, Content]:
        """stream -> the content whose stream it starts from. `words`: of the cell; `main`: its choice of data=."""
        sources = {}
        for stream in STREAMS:  # of both, since a study of one stream has the other beside it
            typed = config.weights.of_stream(stream).source
            if typed is None or not typed.startswith(FROM):
                continue
            name, _, before = typed.removeprefix(FROM).partition(":")
            source = self._other(
                words_of_source(words, stream, data_of(f"weights.{stream}={FROM}", name, main), before)
            )
            assert source.config is not None
            pairs = [self.blueprint.towers(one.backbone, one.data) for one in (config, source.config)]
            a, b = (pair[STREAMS.index(stream)] for pair in pairs)
            expect_same_shapes(f"weights.{stream}={typed}", (a, b), config, source.config)
            sources[stream] = source
        return sources

    def second(self, words: Words, main: str | None, config: Mapping[str, Any]) -> dict[str, Any]:
        """The second data set of each stream, as it is hashed."""
        second: dict[str, Any] = dict.fromkeys(STREAMS)
        for stream in STREAMS:
            if (typed := config["multitask"][stream]) is not None:
                own = words_of_second(words, data_of(f"multitask.{stream}=", str(typed), main))
                whole = tree(own.groups).sharing(own.leaves)
                second[stream] = second_recipe(f"multitask.{stream}={typed}", config["data"], whole["data"])
        return second

    def _other(self, words: Words) -> Content:
        """The content of a command with another data set; a `UserError` where it cannot be trained."""
        key = canonical([words.groups, words.leaves])
        if key not in self._made:
            self._made[key] = self._compose(words)
        if (error := self._made[key].error) is not None:
            raise error
        return self._made[key]


def spell_sources(sources: Mapping[str, Content]) -> dict[str, str]:
    """stream -> the exact name of the source that it starts from."""
    before = {stream: one.tree["weights"][stream] for stream, one in sources.items()}
    return {
        stream: f"{FROM}{one.choices['data']}" + (f":{before[stream]}" if before[stream] else "")
        for stream, one in sources.items()
    }


def data_of(option: str, typed: str, main: str | None) -> str:
    """The choice of data= that was typed behind an option; a `UserError` if it is unknown, or the main one."""
    try:
        name = catalogue.choice("data", typed)
    except UserError:
        raise unknown("data set", typed, catalogue.groups()["data"], form=f"{option}{{}}") from None
    if name == main:
        raise UserError(
            "this is the main data set, and another one is needed", got=f"{option}{typed} data={main}",
            allowed=[one for one in catalogue.groups()["data"] if one != main],
        )  # fmt: skip
    return name


def words_of_source(words: Words, stream: str, data: str, before: str) -> Words:
    """The options of the stream that another one starts from. `before`: its own first weights, if any.

    It is a stream alone: cells that differ in options of fusions share it.
    """
    groups = {group: one for group, one in words.groups.items() if group not in ARM}
    left_out: tuple[str, ...] = (*OF_MAIN, *ARM, ABOVE, PAIRS, "run")
    apart: dict[str, Any] = {part: None for short in ("weights", "multitask") for part in SHORTHAND[short]}
    if not before:  # without weights these have no effect, and below its last layers it would stay as it was drawn
        apart |= {leaf: NEUTRAL[leaf] for leaf in ("weights.head", "weights.other_split", FROM_LAYER)}
        left_out = (*left_out, *WHERE_TRAINED)
        if own := source_recipe(groups.get("optim", "")):
            groups["optim"] = own
    apart |= {f"weights.{stream}": before or None, "streams": stream}
    leaves = {leaf: one for leaf, one in expand_shorthand(words.leaves).items() if not _inside(leaf, left_out)}
    return Words({**groups, "data": data}, {**leaves, **apart})


def words_of_second(words: Words, data: str) -> Words:
    """The options of a second data set, as the main one of its own command."""
    leaves = {leaf: one for leaf, one in words.leaves.items() if not _inside(leaf, OF_MAIN)}
    return Words({**words.groups, "data": data}, leaves)


def axes_of_source(point: Point, stream: str, source: Content) -> dict[str, Any]:
    """The axes that name a stream from which another one starts; those of `point`, where they are its own too."""
    before = source.tree["weights"][stream]
    own = {TRAINED_ON: source.choices["data"], **({f"weights.{stream}": before} if before else {})}
    left_out = (TRAINED_ON, *OF_MAIN, "multitask", *(SHORTHAND["weights"] if before else ["weights", *WHERE_TRAINED]))
    axes = {axis: one for axis, one in point.axes.items() if axis != "data" and not _inside(axis, left_out)}
    return {**own, **axes, **({"optim": source.choices["optim"]} if "optim" in axes else {})}


def _inside(leaf: str, parts: tuple[str, ...]) -> bool:
    return any(leaf == part or leaf.startswith(f"{part}.") for part in parts)


def expect_same_shapes(option: str, towers: tuple[Tower, Tower], own: ArmConfig, source: ArmConfig) -> None:
    """Raise a `UserError` if a stream and the one that it starts from have weights of other shapes.

    Their classifiers may differ.
    """
    shapes = [
        {name: one.shape for name, one in tower.state_dict().items() if not name.startswith(f"{tower.classifier}.")}
        for tower in towers
    ]
    if shapes[0] == shapes[1]:
        return
    pairs = {leaf: [getattr(one.data.sampling, leaf) for one in (own, source)] for leaf in INPUTS}
    pairs = {leaf: both for leaf, both in pairs.items() if both[0] != both[1]}
    raise UserError(
        "a stream starts from one whose weights have the same shapes",
        got=f"{option}, with " + ", ".join(f"{leaf} {other} and here {one}" for leaf, (one, other) in pairs.items()),
        hint=" ".join(f"data.sampling.{leaf}={one}" for leaf, (one, _) in pairs.items()) + ", which both then have",
    )


def second_recipe(option: str, main: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What is hashed of a second data set, once it was checked: with the sampling of the main one."""
    recipe = data_recipe({"data": second})
    if recipe["dataset"] == main["dataset"]:
        raise UserError("the second task has the videos of the main data set", got=option, hint="another data set")
    config = second_data(recipe, main)
    assert config is not None
    build_dataset(config)
    return recipe
