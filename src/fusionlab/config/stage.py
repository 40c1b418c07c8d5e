"""Typed configs of training: the recipe of a stage, and the clips of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fusionlab.data.sampler import CLASSES, DRAWS, LIST, steps_of_epoch
from fusionlab.errors import UserError, expect_whole, unknown
from fusionlab.records.signature import STREAMS, stream_optim

if TYPE_CHECKING:
    from fusionlab.training.recipe import Recipe  # torch, which preparing does without

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class StageConfig:
    """Options of the training of one stage's arms. `passes`: over the list in an epoch."""

    recipe: Recipe
    batch_size: int
    passes: int
    draws: str

    @classmethod
    def of(cls, block: Tree, at: str) -> StageConfig:
        from fusionlab.training.recipe import parse_recipe

        try:
            made = parse_recipe(block)
        except UserError as error:
            got, hint = (text and text.replace("optim.…", at) for text in (error.got, error.hint))
            what = error.what.replace("optim.…", at) if "optim.…" in error.what else f"{at}: {error.what}"
            raise UserError(what, got=got, allowed=error.allowed, hint=hint) from None
        expect_whole(f"{at}.batch_size", block.get("batch_size"))
        if (micro := made.micro_batch) is not None and micro > block["batch_size"]:
            raise UserError(
                "micro_batch has no effect: a forward pass has no more clips than the batch",
                got=f"{at}.micro_batch={micro} {at}.batch_size={block['batch_size']}",
                hint=f"{at}.micro_batch=null, or fewer than {block['batch_size']}",
            )  # fmt: skip
        expect_whole(f"{at}.passes", passes := block.get("passes", 1))
        if (draws := block.get("draws", LIST)) not in DRAWS:
            raise unknown("way to draw the clips of a step", str(draws), DRAWS, form=f"{at}.draws={{}}")
        if draws == CLASSES and made.class_weights != "none":
            raise UserError(
                "classes have one weight where their clips are drawn equally often",
                got=f"{at}.draws={draws} {at}.class_weights={made.class_weights}",
                hint=f"{at}.class_weights=none, or {at}.draws={LIST}",
            )  # fmt: skip
        return cls(made, block["batch_size"], passes, draws)

    @property
    def clips(self) -> int:
        """Those of a forward pass, at most."""
        return min(self.recipe.micro_batch or self.batch_size, self.batch_size)

    def steps_per_epoch(self, videos: int) -> int:
        """The steps of an epoch over a list of so many videos."""
        return steps_of_epoch(videos, self.batch_size, self.passes)


@dataclass(frozen=True)
class OptimConfig:
    """Stage one of each stream, and stage two."""

    streams: Mapping[str, StageConfig]
    fusion: StageConfig

    @classmethod
    def of(cls, tree: Tree) -> OptimConfig:
        """The `optim` of a composed config, or of an arm's recipe."""
        for stage in tree:
            if stage not in ("streams", "fusion"):
                raise unknown("option", f"optim.{stage}", ("optim.streams", "optim.fusion"), form="{}=…")
        streams = {one: StageConfig.of(stream_optim(tree["streams"], one), "optim.streams") for one in STREAMS}
        fusion = StageConfig.of(tree["fusion"], "optim.fusion")
        layers = {"from_layer": fusion.recipe.from_layer, "first.from_layer": fusion.recipe.first.from_layer}
        for leaf, layer in layers.items():
            if layer is not None:
                raise UserError(
                    "only a stream's tower can be trained from a layer upwards: an arm trains what is above its fusion",
                    got=f"optim.fusion.{leaf}={layer}", hint=f"optim.streams.{leaf}={layer}",
                )  # fmt: skip
        return cls(streams, fusion)
