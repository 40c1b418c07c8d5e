"""From typed configs to parts, towers and nets; on the meta device too, where errors are found at no cost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from inspect import signature
from typing import Any, cast

import torch
from torch import Tensor

from fusionlab.backbones.tower import Tower
from fusionlab.config.instantiate import part
from fusionlab.config.run_config import AUTO, RunConfig
from fusionlab.config.schema import ArmConfig, BackboneConfig, DataConfig, Part, StreamConfig, build_dataset
from fusionlab.data.dataset import Dataset
from fusionlab.data.views import VIDEO
from fusionlab.errors import UserError, one_line, show
from fusionlab.records.signature import NEUTRAL
from fusionlab.study.devices import VARIABLE, visible_devices
from fusionlab.temporal.temporal import Temporal
from fusionlab.training.phases import expect_layers
from fusionlab.two_stream.control import ControlNet, control_layer
from fusionlab.two_stream.describe import Description, describe
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.fusion_point import read, spell
from fusionlab.two_stream.multitask import MultitaskNet
from fusionlab.two_stream.net import STREAMS, LateNet, Net, Stream, StreamNet
from fusionlab.two_stream.refuse import refuse_unlike_steps
from fusionlab.two_stream.trunk import Trunk
from fusionlab.two_stream.whole import WholeNet

LAYER_OF_LATE = "softmax"


@contextmanager
def _explained(*configs: Part) -> Iterator[None]:
    """Raise an error of a part's own constructor as a `UserError`: the part may be the user's."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        names = " with ".join(str(config.get("_target_")) for config in configs)
        raise UserError("a part cannot be built from these numbers", got=f"{names}: {error}") from error


def tower(recipe: Part, stream: Stream, data: DataConfig, classes: int) -> Tower:
    """A stream's tower: 3 channels of colour, or 2 L of flow."""
    channels = 3 if stream == "appearance" else 2 * data.sampling.fields
    if not recipe.get("_target_") or not recipe.get("_partial_"):
        raise UserError(
            "conf/backbone/x.yaml is one tower: `_target_`, `_partial_: true`, and its numbers",
            got=", ".join(map(str, recipe)) or "nothing",
            hint="one of conf/backbone as an example",
        )
    make: Callable[..., Tower] = part(recipe, "backbone")
    numbers = {"in_channels": channels, "classes": classes, "size": data.sampling.crop}
    try:
        with _explained(recipe):
            if "frames" in signature(make).parameters:  # its layers take clips of one length only
                numbers["frames"] = data.sampling.snippets
            made = make(**numbers)
        for option in ("snippets", "stream_snippets"):
            frames, least = getattr(data.sampling, option), f"data.sampling.{option}={made.time_stride} or more"
            _expect_frames(made, stream, frames, f"data.sampling.{option}={frames}", least)
            if frames % (multiple := getattr(made, "frames_multiple", 1)):
                raise UserError(
                    f"the {stream} tower takes clips whose number of frames is a multiple of {multiple}",
                    got=f"data.sampling.{option}={frames}",
                    hint=f"data.sampling.{option}={multiple}",
                )
        return made
    except UserError as error:  # the option has another name than the tower's argument
        got, hint = (one and one.replace("size=", "data.sampling.crop=") for one in (error.got, error.hint))
        raise UserError(error.what, got=got, allowed=error.allowed, hint=hint) from None


def stream_net(config: StreamConfig, classes: int) -> StreamNet:
    """The net of a stream, drawn; with a second classifier where it is trained on a second data set."""
    stream, consensus = cast(Stream, config.stream), cast(Any, config.consensus)
    own = tower(config.tower, stream, config.data, classes)
    if config.multitask is None:
        return StreamNet(own, stream, seed=config.seed.init, consensus=consensus)
    with torch.device("meta"):  # a whole tower is large, and its classifier is wanted only
        second = tower(config.tower, stream, config.multitask, build_dataset(config.multitask).class_count)
    head = second.get_submodule(second.classifier).to_empty(device="cpu")
    return MultitaskNet(own, stream, head, seed=config.seed.init, consensus=consensus)


def _expect_frames(tower: Tower, stream: Stream, frames: int, got: str, hint: str) -> None:
    """Raise a `UserError` for clips that are shorter than the tower's time stride."""
    if frames < tower.time_stride:
        raise UserError(
            f"the {stream} tower leaves a time step every {tower.time_stride} frames, and these clips are shorter",
            got=got, hint=hint,
        )  # fmt: skip


def towers(backbone: BackboneConfig, data: DataConfig, classes: int) -> tuple[Tower, Tower]:
    """The towers of both streams, before their weights are drawn."""
    return tower(backbone.appearance, "appearance", data, classes), tower(backbone.motion, "motion", data, classes)


def fuses_scores(config: ArmConfig) -> bool:
    """Whether the fusion declares that it fuses the class scores of two whole towers, as late fusion does."""
    return _declares(config, "fuses_scores")


def keeps_apart(config: ArmConfig) -> bool:
    """Whether the fusion declares that both towers are trained on apart, as those of a control are."""
    return _declares(config, "keeps_apart")


def _declares(config: ArmConfig, what: str) -> bool:
    factory = part(config.fusion, "fusion")
    return bool(getattr(getattr(factory, "func", factory), what, False))


def net(config: ArmConfig, appearance: Tower, motion: Tower) -> Net:
    """The net of an arm, above the two towers."""
    consensus = cast(Any, config.consensus)
    if fuses_scores(config):
        with _explained(config.fusion):
            mean = part(config.fusion, "fusion")(appearance.classes, motion.classes)
        own = {"weight": mean.weight} if hasattr(mean, "weight") else {}  # a user's may have none
        below = (appearance, motion)
        return LateNet(appearance.classifier, motion.classifier, consensus=consensus, below=below, **own)
    head = part(config.temporal, "temporal")
    if keeps_apart(config):
        with _explained(config.fusion, config.temporal):
            mean = part(config.fusion, "fusion")(appearance.classes, motion.classes)
            apart = ControlNet(
                appearance, motion, head, config.layer, above=cast(Any, config.above),
                joint=mean.joint_loss, consensus=consensus, seed=config.seed.init,
            )  # fmt: skip
        return _down_to(config.backprop, apart, appearance, motion)
    with _explained(config.fusion, config.temporal):
        made = FusedNet(
            appearance, motion, part(config.fusion, "fusion"), head, config.layer,
            above=cast(Any, config.above), into=cast(Any, config.into), keep=config.keep_motion,
            tower_weight=config.tower_weight, align=config.align, consensus=consensus, seed=config.seed.init,
        )  # fmt: skip
    refuse_unlike_steps(made.points, config.data.sampling.snippets, config.align)
    return _down_to(config.backprop, made, appearance, motion)


def _down_to(backprop: str, net: Net, appearance: Tower, motion: Tower) -> Net:
    """The net, or with copies of the towers below it, where these are trained too."""
    return WholeNet.copied(net, {"appearance": appearance, "motion": motion}) if backprop == "all" else net


def trunk(net: Net, appearance: Tower, motion: Tower) -> Trunk:
    """What stands below a net, or the nets of its cohort: nothing if it has towers of its own."""
    return Trunk() if net.own_towers else Trunk(appearance, motion)


class Blueprint:
    """Arms on the meta device: errors are raised in milliseconds, before anything is made."""

    def __init__(self) -> None:
        self._towers: dict[str, tuple[Tower, Tower]] = {}
        self._datasets: dict[str, Dataset] = {}

    def dataset(self, data: DataConfig) -> Dataset:
        label = repr((data.dataset, data.store, data.sampling))
        if label not in self._datasets:
            self._datasets[label] = build_dataset(data)
        return self._datasets[label]

    def towers(self, backbone: BackboneConfig, data: DataConfig) -> tuple[Tower, Tower]:
        label = repr((backbone, data.dataset, data.store, data.sampling))
        if label not in self._towers:
            with torch.device("meta"):
                self._towers[label] = towers(backbone, data, self.dataset(data).class_count)
        return self._towers[label]

    def expect_layers(self, config: ArmConfig) -> None:
        """Raise a `UserError` for a recipe that trains a stream from a layer upwards which its tower does not have."""
        recipes = {stream: config.optim.streams[stream].recipe for stream in STREAMS}
        if any(one.from_layer is not None or one.first.epochs for one in recipes.values()):
            for stream, tower in zip(STREAMS, self.towers(config.backbone, config.data), strict=True):
                if config.streams in ("both", stream):
                    expect_layers(recipes[stream], tower)

    def layer(self, layer: object, backbone: BackboneConfig, data: DataConfig) -> str:
        """The taps of a typed layer, as these towers spell them."""
        return spell(str(layer), *self.towers(backbone, data))

    def control_layer(self, config: ArmConfig) -> str | None:
        """Where the towers of the arm's control are cut; None where late fusion is the control."""
        pair = self.towers(config.backbone, config.data)
        whole, fresh = config.backprop == "all", config.above == "fresh"
        return control_layer(config.layer, *pair, part(config.temporal, "temporal"), whole, fresh)

    def net(self, config: ArmConfig) -> Net:
        with torch.device("meta"):
            return net(config, *self.towers(config.backbone, config.data))

    def describe(self, config: ArmConfig) -> Description:
        return describe(self.net(config), *self.towers(config.backbone, config.data))

    def system(self, config: ArmConfig | StreamConfig) -> str:
        """The system whose ceilings an arm has: a stream alone, late, fused (it cannot see order) or ordered.

        A fusion of class scores, or behind the softmax, is a function of the streams' scores, like late fusion. A tower
        of clips sees order, and in frames their motion: `…_clips`.
        """
        if isinstance(config, StreamConfig):
            stream: Any = config.stream
            with torch.device("meta"):
                alone = tower(config.tower, stream, config.data, classes=2)  # whatever their number
            return config.stream + "_clips" * alone.in_time
        pair = self.towers(config.backbone, config.data)
        appearance_in_time, motion_in_time = (one.in_time for one in pair)
        if appearance_in_time:
            return "ordered"  # frames show place and motion together
        if keeps_apart(config) and not self._head_sees_order(config):
            return "fused" if self._joins_frames(config) else "late" + "_clips" * motion_in_time
        if keeps_apart(config):
            return "ordered"
        if fuses_scores(config) or all(point.prediction for point in read(config.layer, *pair)):
            return "late" + "_clips" * motion_in_time
        if motion_in_time:
            return "ordered"
        return "ordered" if self._head_sees_order(config) else "fused"

    def system_of_tower(self, config: ArmConfig, stream: str) -> str:
        """The system of one tower that was trained on by itself, with the arm's temporal head.

        Frames that a head joins as a set show appearance their motion, as they do to a fusion that is blind to order.
        """
        alone = dict(zip(STREAMS, self.towers(config.backbone, config.data), strict=True))[cast(Stream, stream)]
        if alone.in_time or self._head_sees_order(config):
            return f"{stream}_clips"
        return "fused" if stream == "appearance" and self._joins_frames(config) else stream

    def _joins_frames(self, config: ArmConfig) -> bool:
        """Whether a prediction sees more than one snippet."""
        seen = self.net(config).reach(config.data.sampling.snippets)
        return any(len(frames) > 1 for head in seen for frames in head)

    def _head_sees_order(self, config: ArmConfig) -> bool:
        head = part(config.temporal, "temporal")
        sees_order = getattr(head.func, "sees_order", Temporal.sees_order)  # a function that makes a head may have none
        return bool(sees_order(config.data.sampling.snippets, **head.keywords))

    def expect_views(self, config: ArmConfig | StreamConfig, shapes: Sequence[tuple[int, int, int]]) -> None:
        """Raise a `UserError` for the first T, height and width of test views with which the net cannot work.

        It runs the net on shapes: whether the maps of two different towers are equal depends on the exact size
        of the frame. Of the videos with frames of one size the shortest and the longest stand for all; but towers that
        see time in unlike ways may have equal steps there and not in between, so steps are compared for each length.
        """
        how = config.data.sampling
        lengths: dict[tuple[int, int], list[int]] = {}
        for frames, *size in shapes:
            lengths.setdefault((size[0], size[1]), []).append(frames)
        ends = [(end, *size) for size, all_of_it in lengths.items() for end in {min(all_of_it), max(all_of_it)}]
        unusual = [shape for shape in (*ends, *shapes) if shape != (how.snippets, how.crop, how.crop)]
        if unusual:
            net, towers, where = self._whole(config)
            inner = net.top if isinstance(net, WholeNet) else net
            points = list(inner.points) if isinstance(inner, FusedNet) else []
            if isinstance(config, ArmConfig) and config.backbone.appearance == config.backbone.motion:
                points = [one for one in points if one.a.layer != one.b.layer]  # one kind of tower has the same steps
        for shape in dict.fromkeys(unusual):
            for stream, tower in towers.items():
                got = f"a test video of {shape[0]} frames at τ = {how.strides[0]}"
                hint = "data.sampling.test=middle; or data.quarantine=FILE leaves short videos out"
                _expect_frames(tower, stream, shape[0], got, hint)
            try:
                refuse_unlike_steps(points, shape[0], getattr(config, "align", "refuse"))
                if shape in ends:
                    _run(net, towers, shape)
            except (UserError, RuntimeError) as error:
                reason = error.got if isinstance(error, UserError) else str(error).partition("\n")[0]
                raise UserError(
                    "this arm cannot be tested on views of this shape",
                    got=f"{where}, {shape[0]} frames of {shape[2]}×{shape[1]}: {reason}",
                    hint="data.sampling.test=middle; align=pool where time steps differ; or a layer where both towers "
                    "have maps, or two towers of one kind",
                ) from error

    def refuse_consensus(self, config: ArmConfig) -> None:
        """Raise a `UserError` for a consensus of predictions where there is always one, in all stages and test views.

        What it has an effect on in the streams it has an effect on in the arms above them. Twice as many frames, or
        twice as large ones, stand for all whole videos and whole frames.
        """
        how, usual = config.data.sampling, NEUTRAL["consensus"]
        if config.consensus == usual:
            return
        towers = dict(zip(STREAMS, self.towers(config.backbone, config.data), strict=True))
        larger = (how.snippets * (1 + (how.test == VIDEO)), *[how.crop * (1 + how.whole)] * 2)
        nets: list[Net] = [StreamNet(towers[one], one) for one in STREAMS if config.streams in ("both", one)]
        if config.streams == "both" and not fuses_scores(config):
            nets.append(self.net(replace(config, consensus=usual)))
        for net in nets:
            lengths = (how.stream_snippets, how.snippets) if isinstance(net, StreamNet) else (how.snippets,)
            shapes = [(frames, how.crop, how.crop) for frames in lengths]
            for shape in dict.fromkeys([*shapes, larger]):
                try:
                    heads = _run(net.eval(), towers, shape)
                except (UserError, RuntimeError):
                    if shape in shapes:
                        raise
                    return  # a tower of clips of one size, which is tried on the real views before training
                if any(logits.shape[2] > 1 for logits in heads):
                    return
        raise UserError(
            "consensus has no effect: a clip has one prediction",
            got=f"consensus={config.consensus} data.sampling.snippets={how.snippets} "
            f"data.sampling.stream_snippets={how.stream_snippets}",
            hint=f"more snippets, where the towers do not pool all of them, or consensus={usual}",
        )

    def _whole(self, config: ArmConfig | StreamConfig) -> tuple[Net, dict[Stream, Tower], str]:
        """The net in evaluation mode, the towers that its features come from, and what it is, in words."""
        if isinstance(config, ArmConfig):
            towers = dict(zip(STREAMS, self.towers(config.backbone, config.data), strict=True))
            return self.net(config).eval(), towers, f"layer={config.layer}"
        stream = cast(Stream, config.stream)
        with torch.device("meta"):
            own = tower(config.tower, stream, config.data, build_dataset(config.data).class_count)
        return StreamNet(own, stream).eval(), {stream: own}, f"the {stream} stream"


def _run(net: Net, towers: Mapping[Stream, Tower], shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Run the net on the meta device, on one clip of this T, height and width. Returns the logits of its heads."""
    with torch.device("meta"), torch.no_grad():
        features = {}
        for stream, layers in net.needs.items():
            x = torch.zeros((1, towers[stream].in_channels, *shape), dtype=torch.uint8)
            features[stream] = towers[stream].collect(x, layers)
        heads = net.heads(features)
        net.combine(heads)
    return heads


def device(run: RunConfig) -> str:
    """The device of this process, which initialises CUDA: only for a job, or a command that starts no jobs."""
    if run.device == AUTO:
        return _auto_device()
    if run.on_gpu:
        here = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if here <= int(run.device.partition(":")[2] or 0):
            raise UserError(
                "there is no such CUDA device here", got=f"run.device={run.device}", allowed=_indices(here),
                hint="run.device=auto",
            )  # fmt: skip
    return run.device


def _indices(count: int) -> list[str]:
    return ["cpu", *(f"cuda:{place}" for place in range(count))]


@cache  # the line is shown once in a process
def _auto_device() -> str:
    """CUDA where nvidia-smi shows a GPU and torch can use it, so that all processes of a study choose alike."""
    if visible_devices():
        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
            return "cuda"
        except (RuntimeError, AssertionError) as error:  # no driver, or a torch that was compiled for CPUs
            why = f"there is a GPU, but torch {torch.__version__} cannot use it ({error})"
    elif torch.cuda.is_available():
        why = f"torch sees a GPU, but there is no nvidia-smi; {VARIABLE}=0 uses it"
    else:
        return "cpu"
    show(one_line(f"run.device=auto is the CPU: {why}"), file=sys.stderr)
    return "cpu"


def device_name(run: RunConfig) -> str:
    """`cpu`, or the GPU's product name, of this process's device."""
    name = device(run)
    return torch.cuda.get_device_name(name) if name.startswith("cuda") else name
