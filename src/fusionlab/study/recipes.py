"""What each stage follows from: parts of an arm's config, as plain data.

    data     the packed store:   data set, decoding, flow
    stream   stage one:          one tower, the data, how streams are trained, the seeds
    cohort   stage two:          all but what is the arm's own

Arms with equal cohort recipes share frozen streams and one pass over the data. A stream's recipe holds nothing of the
fusion, so that it is trained once and found again by every study; stage two names its streams by the signatures of
their recipes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionlab.records.signature import NEUTRAL, signature, value

STREAMS = ("appearance", "motion")
# What takes the streams apart moves the other one: nothing to a stream alone, which is trained once for all doses.
NOTHING_TO = {"appearance": ("data.sampling.apart",), "motion": ("data.sampling.delay",)}
# What arms of one cohort may differ in.
ARM = ("fusion", "layer", "temporal", "into", "above", "keep_motion", "tower_weight")


def data_recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the packed store follows from."""
    return {part: config["data"][part] for part in ("dataset", "store")}


def stream_recipe(config: Mapping[str, Any], stream: str) -> dict[str, Any]:
    """What one trained stream follows from."""
    shared = {part: config[part] for part in ("data", "split", "trainer", "seed")}
    for leaf in NOTHING_TO[stream]:
        _, group, name = leaf.split(".")
        shared["data"] = {**shared["data"], group: {**shared["data"][group], name: NEUTRAL[leaf]}}
    source = value(config, f"weights.{stream}")
    # Where no weights are loaded nothing can become of their classifier.
    weights = {"source": source}
    for leaf in ("head", "other_split"):
        weights[leaf] = NEUTRAL[f"weights.{leaf}"] if source is None else value(config, f"weights.{leaf}")
    if callbacks := value(config, "callbacks"):
        shared["callbacks"] = callbacks
    own = {"stream": stream, "tower": config["backbone"][stream], "weights": weights}
    return {**own, "optim": config["optim"]["streams"], **shared}


def cohort_recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """What arms trained together have in common."""
    shared = {part: one for part, one in config.items() if part not in ("run", *ARM)}
    return {**shared, "stage_one": stage_one(config)}


def arm_recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """What one arm follows from: all of its config, and its streams by signature."""
    return {**{part: one for part, one in config.items() if part != "run"}, "stage_one": stage_one(config)}


def stage_one(config: Mapping[str, Any]) -> dict[str, str]:
    """The signatures of the two streams below an arm."""
    return {stream: signature(stream_recipe(config, stream)) for stream in STREAMS}
