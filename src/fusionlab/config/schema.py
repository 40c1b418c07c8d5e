"""Typed configs of an arm, a stream and a packed store. Making one checks it.

Plans and records keep the plain tree, which is hashed. A part (`_target_` and its own numbers) is plain data here too:
it checks its numbers when it is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from fusionlab.config import catalogue
from fusionlab.config.instantiate import part
from fusionlab.config.run_config import build
from fusionlab.config.stage import OptimConfig, StageConfig
from fusionlab.config.val import ValConfig
from fusionlab.data.dataset import Dataset, expect_sampling, refuse_flow
from fusionlab.data.pairs import OWN
from fusionlab.data.validation import expect_fraction
from fusionlab.data.views import Sampling
from fusionlab.errors import UserError, expect_whole, unknown
from fusionlab.records.signature import NEUTRAL
from fusionlab.study.plan import Arm
from fusionlab.study.recipes import STREAMS, data_recipe
from fusionlab.video.codecs import JPEG, QUALITY
from fusionlab.video.decode import reader
from fusionlab.video.flow import expect_estimator
from fusionlab.video.store import Coding

if TYPE_CHECKING:
    from fusionlab.training.recipe import Recipe  # torch, which preparing does without

Tree = Mapping[str, Any]
Part = Mapping[str, Any]  # a `_target_` and its numbers
OTHER_SPLIT = ("refuse", "allow")


@dataclass(frozen=True)
class StoreConfig:
    """Options of packing videos."""

    flow: Part
    bound: float
    size: int | None
    backward: bool
    rule: str
    reader: str
    codec: Coding  # with the rule

    @classmethod
    def of(cls, tree: Tree) -> StoreConfig:
        rule = tree.get("rule", NEUTRAL["data.store.rule"])
        codec = build(Coding, tree.get("codec", {}), "data.store.codec.", rule=rule)
        return build(cls, tree, "data.store.", codec=codec)

    def __post_init__(self) -> None:
        if self.bound <= 0:
            raise UserError(
                "the bound of packed flow is a number of pixels above zero", got=f"data.store.bound={self.bound}",
                hint="data.store.bound=4",
            )  # fmt: skip
        if self.size is not None:
            expect_whole("data.store.size", self.size)
        if self.codec.quality != QUALITY and JPEG not in (self.codec.frames, self.codec.flow):
            raise UserError(
                "data.store.codec.quality has no effect: nothing is stored as JPEG",
                got=f"data.store.codec.quality={self.codec.quality}",
                hint=f"data.store.codec.frames=jpeg with it, or data.store.codec.quality={QUALITY}",
            )  # fmt: skip
        reader(str(self.reader))  # raises for a name that is none


@dataclass(frozen=True)
class SourceConfig:
    """A packed store: its data set, and how it is packed.

    `quarantine`: videos that may be missing. `recipe`: data set and packing as plain data; it names the store's folder.
    """

    dataset: Part
    store: StoreConfig
    quarantine: tuple[str, ...]
    recipe: Tree = field(repr=False)

    @classmethod
    def of(cls, recipe: Tree, quarantine: tuple[str, ...] = ()) -> SourceConfig:
        """From the recipe of a store."""
        return cls(recipe["dataset"], StoreConfig.of(recipe["store"]), quarantine, data_recipe({"data": recipe}))


@dataclass(frozen=True)
class SamplingConfig(Sampling):
    """Sampling of clips. `stream_snippets`: snippets per clip when a stream is trained alone."""

    stream_snippets: int = 1
    validation: float = 0.1  # part of the training list

    def __post_init__(self) -> None:
        expect_whole("data.sampling.stream_snippets", self.stream_snippets)
        expect_fraction(self.validation)
        super().__post_init__()

    @property
    def of_streams(self) -> SamplingConfig:
        """The sampling when a stream is trained alone."""
        return replace(self, snippets=self.stream_snippets)


@dataclass(frozen=True)
class DataConfig(SourceConfig):
    """A packed store, and the sampling of clips from it."""

    sampling: SamplingConfig

    @classmethod
    def of(cls, tree: Tree, quarantine: tuple[str, ...] = ()) -> DataConfig:
        """From the `data` of a config."""
        return build(
            cls, tree, "data.", store=StoreConfig.of(tree["store"]), recipe=data_recipe({"data": tree}),
            sampling=build(SamplingConfig, tree["sampling"], "data.sampling."),
        )  # fmt: skip

    def __post_init__(self) -> None:
        if self.sampling.bidirectional and not self.store.backward:
            raise UserError(
                "bidirectional stacking needs backward flow, which is packed on request",
                got="data.sampling.stacking=bidirectional data.store.backward=false",
                hint="data.store.backward=true with it, or data.sampling.stacking=plain",
            )  # fmt: skip


@dataclass(frozen=True)
class TrainerConfig:
    """Options of the arithmetic, which determine the last bits."""

    precision: str
    threads: int  # of a job's process

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TrainerConfig:
        """The `trainer` of a composed config or of a job."""
        return build(cls, config["trainer"], "trainer.")

    def __post_init__(self) -> None:
        from fusionlab.training.recipe import expect_precision

        expect_precision(self.precision)
        expect_whole("trainer.threads", self.threads)


@dataclass(frozen=True)
class BackboneConfig:
    """The towers."""

    appearance: Part
    motion: Part

    def of_stream(self, stream: str) -> Part:
        return self.appearance if stream == "appearance" else self.motion


@dataclass(frozen=True)
class SeedConfig:
    """Every draw is a function of one of these."""

    init: int
    data: int
    dropout: int


@dataclass(frozen=True)
class FirstWeights:
    """The initial weights of one tower.

    `source`: None (drawn), imagenet, a file, which the job opens, or `from:` and a choice of data=.
    """

    source: str | None
    head: str
    other_split: str

    def __post_init__(self) -> None:
        from fusionlab.backbones.pretrained.load_weights import expect_head

        expect_head(self.head)
        if self.other_split not in OTHER_SPLIT:
            raise unknown(
                "choice for weights of another split", str(self.other_split), OTHER_SPLIT,
                form="weights.other_split={}",
            )  # fmt: skip


@dataclass(frozen=True)
class WeightsConfig:
    """The initial weights of both towers."""

    appearance: str | None
    motion: str | None
    head: str
    other_split: str

    def of_stream(self, stream: str) -> FirstWeights:
        return FirstWeights(self.appearance if stream == "appearance" else self.motion, self.head, self.other_split)

    def __post_init__(self) -> None:
        sources = {stream: self.of_stream(stream).source for stream in STREAMS}
        for stream, source in sources.items():
            if source == "" or not isinstance(source, str | None):
                raise UserError(
                    "weights are a file's name, imagenet, or from: and a data set", got=f"weights.{stream}={source}",
                    allowed=["null", "imagenet", "a file", "from:ucf101"], hint="weights=imagenet",
                )  # fmt: skip
        for leaf, usual, example in (("other_split", "refuse", "FILE"), ("head", "keep", "imagenet")):
            if getattr(self, leaf) != usual and not any(sources.values()):
                raise UserError(
                    f"weights.{leaf} has no effect: no weights are loaded", got=f"weights.{leaf}={getattr(self, leaf)}",
                    hint=f"weights={example} with it, or weights.{leaf}={usual}",
                )  # fmt: skip


@dataclass(frozen=True)
class MultitaskConfig:
    """The second data set of each stream: None, a choice of data=, or what that choice stands for."""

    appearance: Tree | str | None
    motion: Tree | str | None


def second_data(recipe: Tree | None, main: Tree) -> DataConfig | None:
    """The second data set of a stream, whose clips are cut as those of the main one are."""
    return None if recipe is None else DataConfig.of({**recipe, "sampling": main["sampling"], "quarantine": []})


@dataclass(frozen=True)
class StreamConfig:
    """All that determines one trained stream."""

    stream: str
    tower: Part
    weights: FirstWeights
    optim: StageConfig
    data: DataConfig
    split: int
    trainer: TrainerConfig
    seed: SeedConfig
    callbacks: Tree  # one part, or parts by name
    consensus: str
    val: ValConfig
    chosen_by: Tree  # of chain B: rate -> signature of the arm of chain A that has it
    multitask: DataConfig | None  # its second data set, sampled as the first one is

    @classmethod
    def of(cls, tree: Tree) -> StreamConfig:
        """From a stream's recipe, or the config of its job."""
        return build(
            cls, {name: one for name, one in tree.items() if name not in ("run", "stage_one")}, "",
            weights=build(FirstWeights, tree.get("weights", {}), "weights."), trainer=TrainerConfig.of(tree),
            optim=StageConfig.of(tree["optim"], "optim.streams"), data=DataConfig.of(tree["data"]),
            seed=build(SeedConfig, tree["seed"], "seed."), val=ValConfig.of(tree),
            multitask=second_data(tree.get("multitask"), tree["data"]),
        )  # fmt: skip

    def __post_init__(self) -> None:
        self.val.expect_recipes({"streams": self.optim.recipe})

    @property
    def streams(self) -> str:
        """The streams that it reads."""
        return self.stream

    @property
    def tasks(self) -> int:
        """The data sets of a training step, each with a batch."""
        return 1 if self.multitask is None else 2

    @property
    def stage(self) -> StageConfig:
        return self.optim


@dataclass(frozen=True)
class ArmConfig:
    """All that determines one point of the grid."""

    backbone: BackboneConfig
    fusion: Part
    temporal: Part
    data: DataConfig
    optim: OptimConfig
    trainer: TrainerConfig
    streams: str
    layer: str
    into: str
    above: str
    keep_motion: bool
    tower_weight: float
    align: str
    backprop: str
    split: int
    weights: WeightsConfig
    seed: SeedConfig
    callbacks: Tree
    consensus: str
    val: ValConfig
    chosen_by: Tree
    multitask: MultitaskConfig
    tasks = 1  # of what is trained above the streams

    @classmethod
    def of(cls, tree: Tree) -> ArmConfig:
        """From a composed config, or the recipe of an arm."""
        return build(
            cls, {name: one for name, one in tree.items() if name not in ("run", "stage_one")}, "",
            backbone=build(BackboneConfig, tree["backbone"], "backbone."), data=DataConfig.of(tree["data"]),
            optim=OptimConfig.of(tree["optim"]), trainer=TrainerConfig.of(tree),
            weights=build(WeightsConfig, tree.get("weights", {}), "weights."),
            multitask=build(MultitaskConfig, tree.get("multitask", {}), "multitask."),
            seed=build(SeedConfig, tree["seed"], "seed."), val=ValConfig.of(tree),
        )  # fmt: skip

    def __post_init__(self) -> None:
        from fusionlab.two_stream.fused import expect_towers
        from fusionlab.two_stream.scores import expect_consensus
        from fusionlab.two_stream.whole import expect_backprop

        if self.streams not in ("both", *STREAMS):
            raise UserError("no such streams", got=f"streams={self.streams}", allowed=["both", *STREAMS])
        if self.streams != "both" and self.data.sampling.pairs != OWN:
            raise UserError(
                "data.sampling.pairs has no effect: one stream alone makes no pairs",
                got=f"data.sampling.pairs={self.data.sampling.pairs} streams={self.streams}",
                hint=f"streams=both with it, or data.sampling.pairs={OWN}",
            )
        expect_whole("split", self.split)
        self.val.expect_recipes(self.recipes, self.chosen_by)
        expect_towers(self.above, self.into, self.tower_weight, self.align)
        expect_consensus(self.consensus)
        expect_backprop(self.backprop)
        for stream in STREAMS:
            part = self.backbone.of_stream(stream)
            partial = part.get("partial_bn") or (part.get("tower") or {}).get("partial_bn")  # of an inflated tower
            if partial and self.weights.of_stream(stream).source is None:
                raise UserError(
                    "partial batch normalisation keeps the statistics of loaded weights, and none are loaded",
                    got=f"backbone.{stream}.partial_bn=true",
                    hint=f"weights.{stream}=imagenet with it, or backbone.{stream}.partial_bn=false",
                )  # fmt: skip

    @property
    def recipes(self) -> dict[str, Recipe]:
        """The recipes of all that is trained, by their block of optim."""
        own = {stream: self.optim.streams[stream].recipe for stream in STREAMS if self.streams in ("both", stream)}
        alike = all(one == own[stream] for stream in own for one in own.values())
        streams = {"streams" if alike else f"streams.{stream}": one for stream, one in own.items()}
        return {**streams, "fusion": self.optim.fusion.recipe} if self.streams == "both" else streams

    @property
    def stage(self) -> StageConfig:
        return self.optim.fusion


def tower_configs(tree: Tree) -> tuple[BackboneConfig, DataConfig]:
    """The options of a composed config that determine the towers."""
    return build(BackboneConfig, tree["backbone"], "backbone."), DataConfig.of(tree["data"])


def config_of(arm: Arm) -> StreamConfig | ArmConfig:
    """The typed config of an arm of a plan."""
    return StreamConfig.of(arm.config) if arm.kind == "stream" else ArmConfig.of(arm.config)


def build_dataset(source: SourceConfig) -> Dataset:
    """The data set. It may refuse flow or sampling that does not suit its questions."""
    made = cast(Dataset, part(source.dataset, "data"))
    refuse_flow(made, build_flow(source.store))
    if isinstance(source, DataConfig):
        for how in (source.sampling, source.sampling.of_streams):
            expect_sampling(made, how)
    return made


def build_flow(store: StoreConfig) -> Any:
    """The flow estimator, or the imported flow."""
    made = part(store.flow, "flow")
    expect_estimator(made, catalogue.groups()["flow"], backward=store.backward, rule=store.rule)
    return made
