"""The recipe of each stage: the parts of an arm's config that determine its result, as plain data.

    data     the packed store:   data set, decoding, flow
    stream   stage one:          one tower, the data, how streams are trained, the seeds
    cohort   stage two:          all except the arm's own parts

Arms with equal cohort recipes share frozen streams and one pass over the data. A stream's recipe does not include the
fusion, so that all studies share one training; stage two names its streams by the signatures of their recipes, under
`stage_one`, and so does a stream that starts from one of another data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fusionlab.records.signature import NEUTRAL, signature, stream_optim, value
from fusionlab.records.signature import STREAMS as STREAMS

# Late fusion is not trained: these affect neither it nor a stream alone.
ABOVE, PAIRS = "optim.fusion", "data.sampling.pairs"
# Offsets affect only the other stream, colour only appearance, how flow is stacked only motion. What is ignored here is
# no part of a stream's recipe: it is trained once. The number of fields also places the frames: it counts for both.
IGNORED = {
    "appearance": ("data.sampling.apart", "data.sampling.stacking", "data.sampling.subtract_mean", PAIRS),
    "motion": ("data.sampling.delay", "data.sampling.colour", PAIRS),
}
# The arms of one cohort may differ in these.
ARM = ("fusion", "layer", "temporal", "into", "above", "keep_motion", "tower_weight", "align", "backprop")


FROM = "from:"  # before a choice of data=: a stream starts from the one that was trained on it


def source_of(recipe: Mapping[str, Any]) -> str | None:
    """The signature of the stream from which a stream with this recipe starts, if any."""
    return recipe.get("stage_one", {}).get(recipe["stream"])


def data_recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of the packed store."""
    return {part: config["data"][part] for part in ("dataset", "store")}


def stream_recipe(config: Mapping[str, Any], stream: str) -> dict[str, Any]:
    """The recipe of one trained stream."""
    shared = {part: config[part] for part in ("split", "trainer", "seed")}
    shared["data"] = without(config["data"], IGNORED[stream])
    source = value(config, f"weights.{stream}")
    # Without weights, the options of their classifier have no effect.
    weights = {"source": source}
    for leaf in ("head", "other_split"):
        weights[leaf] = NEUTRAL[f"weights.{leaf}"] if source is None else value(config, f"weights.{leaf}")
    if callbacks := value(config, "callbacks"):
        shared["callbacks"] = callbacks
    shared["consensus"] = value(config, "consensus")
    shared["val"] = {leaf: value(config, f"val.{leaf}") for leaf in ("list", "then")}
    if (second := value(config, f"multitask.{stream}")) is not None:
        shared["multitask"] = second
    own = {"stream": stream, "tower": config["backbone"][stream], "weights": weights}
    return {**own, "optim": stream_optim(config["optim"]["streams"], stream), **shared}


def without(data: Mapping[str, Any], leaves: Iterable[str]) -> dict[str, Any]:
    """The options of the data, with these (`data.group.name`) at their neutral values."""
    for leaf in leaves:
        _, group, name = leaf.split(".")
        data = {**data, group: {**data[group], name: NEUTRAL[leaf]}}
    return dict(data)


def trains_towers(config: Mapping[str, Any]) -> bool:
    """Whether an arm trains both towers below the meeting too, its own copies of them."""
    return bool(value(config, "backprop") == "all")


def arm_recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of one arm: its whole config, and its streams by signature."""
    return {**{part: one for part, one in config.items() if part != "run"}, "stage_one": stage_one(config)}


def stage_one(config: Mapping[str, Any]) -> dict[str, str]:
    """The signatures of the two streams below an arm."""
    return {stream: signature(stream_recipe(config, stream)) for stream in STREAMS}
