"""From plain configs to towers and nets, and the same on paper: what cannot be built is said beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch

from fusionlab.backbones.tower import Tower
from fusionlab.config.instantiate import part
from fusionlab.data.dataset import Dataset
from fusionlab.errors import UserError
from fusionlab.records.signature import value
from fusionlab.two_stream.describe import Description, describe
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.fusion_point import spell
from fusionlab.two_stream.net import LateNet, Net, Stream

LAYER_OF_LATE = "softmax"


@contextmanager
def _told(*configs: Mapping[str, Any]) -> Iterator[None]:
    """What goes wrong in a part's own constructor is the user's to know: the part may be theirs."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        names = " with ".join(str(config.get("_target_")) for config in configs)
        raise UserError("a part cannot be built from these numbers", got=f"{names}: {error}") from error


def dataset(config: Mapping[str, Any]) -> Dataset:
    return cast(Dataset, part(config["data"]["dataset"], "data"))


def tower(recipe: Mapping[str, Any], stream: Stream, data: Mapping[str, Any], classes: int) -> Tower:
    """A stream's tower: 3 channels of colour, or 2 L of flow."""
    sampling = data["sampling"]
    channels = 3 if stream == "appearance" else 2 * sampling["fields"]
    if not recipe.get("_target_") or not recipe.get("_partial_"):
        raise UserError(
            "conf/backbone/x.yaml is one tower: `_target_`, `_partial_: true`, and its numbers",
            got=", ".join(map(str, recipe)) or "nothing",
            hint="one of conf/backbone as an example",
        )
    make: Callable[..., Tower] = part(recipe, "backbone")
    try:
        with _told(recipe):
            return make(in_channels=channels, classes=classes, size=sampling["crop"])
    except UserError as error:  # what a tower calls its size is typed otherwise here
        got, hint = (one and one.replace("size=", "data.sampling.crop=") for one in (error.got, error.hint))
        raise UserError(error.what, got=got, allowed=error.allowed, hint=hint) from None


def towers(config: Mapping[str, Any], classes: int) -> tuple[Tower, Tower]:
    """Both streams' towers, not yet drawn."""
    backbone = config["backbone"]
    return (
        tower(backbone["appearance"], "appearance", config["data"], classes),
        tower(backbone["motion"], "motion", config["data"], classes),
    )


def is_late(config: Mapping[str, Any]) -> bool:
    return str(config["fusion"].get("_target_")).endswith(".Late")


def net(config: Mapping[str, Any], appearance: Tower, motion: Tower) -> Net:
    """The arm's own part, above the two towers."""
    if is_late(config):
        return LateNet(appearance.classifier, motion.classifier)
    with _told(config["fusion"], config["temporal"]):
        return FusedNet(
            appearance, motion, part(config["fusion"], "fusion"), part(config["temporal"], "temporal"), config["layer"],
            above=config["above"], into=value(config, "into"), keep=value(config, "keep_motion"),
            tower_weight=value(config, "tower_weight"), seed=config["seed"]["init"],
        )  # fmt: skip


class Blueprint:
    """Arms on the meta device: what is wrong with one is said before anything is made, in milliseconds."""

    def __init__(self) -> None:
        self._towers: dict[str, tuple[Tower, Tower]] = {}

    def towers(self, config: Mapping[str, Any]) -> tuple[Tower, Tower]:
        label = repr((config["backbone"], config["data"]))
        if label not in self._towers:
            with torch.device("meta"):
                self._towers[label] = towers(config, dataset(config).class_count)
        return self._towers[label]

    def layer(self, config: Mapping[str, Any]) -> str:
        """The taps that are meant by the config's `layer`, as these towers spell them."""
        return spell(str(config["layer"]), *self.towers(config))

    def net(self, config: Mapping[str, Any]) -> Net:
        with torch.device("meta"):
            return net(config, *self.towers(config))

    def describe(self, config: Mapping[str, Any]) -> Description:
        return describe(self.net(config), *self.towers(config))


def device(run: Mapping[str, Any]) -> str:
    """`auto` is CUDA where there is one."""
    asked = str(run["device"])
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("there is no CUDA device here", got=f"run.device={asked}", hint="run.device=auto")
    return asked


def device_name(run: Mapping[str, Any]) -> str:
    """`cpu`, or what the maker calls the GPU."""
    found = device(run)
    return torch.cuda.get_device_name(found) if found.startswith("cuda") else found
