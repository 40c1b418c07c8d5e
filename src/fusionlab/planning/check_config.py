"""What is known to be wrong with a composed config before anything starts; the rest is said by its job.

Each room checks its own numbers where it takes them. Here they are only handed over early, so that a typo in
the learning rate does not come to light behind an hour of decoding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from fusionlab.config.instantiate import part
from fusionlab.data.dataset import expect_sampling
from fusionlab.data.views import Sampling
from fusionlab.errors import UserError, unknown
from fusionlab.jobs.job_data import refuse_flow
from fusionlab.jobs.job_data import sampling as cut
from fusionlab.jobs.loggers import expect_logger
from fusionlab.planning.check_store import examine_store
from fusionlab.records.signature import value
from fusionlab.results.spec import Spec
from fusionlab.study.recipes import STREAMS
from fusionlab.training.recipe import PRECISIONS, parse_recipe
from fusionlab.two_stream.fused import Above

HEADS = ("keep", "fresh")
OTHER_SPLIT = ("refuse", "allow")


def examine(config: Mapping[str, Any]) -> None:
    """Raise a `UserError` for the first thing that no job could work with."""
    for stage, block in config["optim"].items():
        _optim(f"optim.{stage}", block)
    _data(config["data"])
    trainer = config["trainer"]
    if trainer["precision"] not in PRECISIONS:
        raise UserError(
            "a cohort cannot be trained in this precision", got=f"trainer.precision={trainer['precision']}",
            allowed=PRECISIONS, hint="trainer=float32",
        )  # fmt: skip
    _at_least(1, "trainer.threads", trainer["threads"])
    _at_least(1, "split", config["split"])
    _towers(config)
    _weights(config["weights"], config["backbone"])
    _run(config["run"])


def _optim(path: str, block: Mapping[str, Any]) -> None:
    try:
        parse_recipe(block)
    except UserError as error:
        raise UserError(f"{path}: {error.what}", got=error.got, allowed=error.allowed, hint=error.hint) from None
    _at_least(1, f"{path}.batch_size", block["batch_size"])


def _data(data: Mapping[str, Any]) -> None:
    sampling, store = data["sampling"], data["store"]
    stride = sampling["stride"]
    if not isinstance(stride, int) and not (isinstance(stride, list) and list(map(type, stride)) == [int, int]):
        raise UserError(
            "τ is a number of frames, or the least and the most of them",
            got=f"data.sampling.stride={stride}",
            hint="data.sampling.stride=4, or data.sampling.stride=[2,6]",
        )  # fmt: skip
    ways: list[Sampling] = []
    for snippets in ("snippets", "stream_snippets"):
        _at_least(1, f"data.sampling.{snippets}", sampling[snippets])
        how = Sampling(**cut({"data": data}, sampling[snippets]))
        ways.append(how)
    if how.bidirectional and not store["backward"]:
        raise UserError(
            "bidirectional stacking needs flow that leads back, which is packed where it is asked for",
            got="data.sampling.stacking=bidirectional data.store.backward=false",
            hint="data.store.backward=true with it, or data.sampling.stacking=plain",
        )  # fmt: skip
    if not 0 < sampling["validation"] < 0.5:
        raise UserError(
            "the validation set is a part below one half",
            got=f"data.sampling.validation={sampling['validation']}",
            hint="data.sampling.validation=0.1",
        )  # fmt: skip
    examine_store(store)
    dataset = part(data["dataset"], "data")
    for way in ways:
        expect_sampling(dataset, way)
    refuse_flow(dataset, store)


def _towers(config: Mapping[str, Any]) -> None:
    """What stands above the fusion, and what is kept beside it."""
    if config["into"] not in STREAMS:
        raise unknown("tower that goes on above the fusion", str(config["into"]), STREAMS, form="into={}")
    starts = get_args(Above)
    if config["above"] not in starts:
        raise unknown("start of the layers above", str(config["above"]), starts, form="above={}")
    if not 0 <= config["tower_weight"] <= 1:
        raise UserError(
            "tower_weight is the fused tower's part of the scores", got=f"tower_weight={config['tower_weight']}",
            allowed=["0 … 1"], hint="tower_weight=0.5",
        )  # fmt: skip


def _weights(weights: Mapping[str, Any], backbone: Mapping[str, Any]) -> None:
    """What towers start from. Whether a file is there is looked at when the work begins."""
    for stream in STREAMS:
        source = weights[stream]
        if source is not None and (not isinstance(source, str) or not source):
            raise UserError(
                "weights are named: a file's name, or torchvision's imagenet", got=f"weights.{stream}={source}",
                allowed=["null", "imagenet", "a file"], hint="weights=imagenet",
            )  # fmt: skip
        if source is None and backbone[stream].get("partial_bn"):
            raise UserError(
                "partial batch normalisation keeps the statistics of loaded weights, and here none are loaded",
                got=f"backbone.{stream}.partial_bn=true",
                hint=f"weights.{stream}=imagenet with it, or backbone.{stream}.partial_bn=false",
            )  # fmt: skip
    if weights["head"] not in HEADS:
        raise unknown("thing to do with the classifier of loaded weights", str(weights["head"]), HEADS,
                      form="weights.head={}")  # fmt: skip
    other = value({"weights": weights}, "weights.other_split")
    if other not in OTHER_SPLIT:
        raise unknown("thing to do with weights of another split", str(other), OTHER_SPLIT,
                      form="weights.other_split={}")  # fmt: skip
    if other != "refuse" and not any(weights[stream] for stream in STREAMS):
        raise UserError(
            "no weights are loaded, of this split or another", got=f"weights.other_split={other}",
            hint="weights=FILE with it, or weights.other_split=refuse",
        )  # fmt: skip
    if weights["head"] != "keep" and not any(weights[stream] for stream in STREAMS):
        raise UserError(
            "no weights are loaded, and so no classifier with them", got=f"weights.head={weights['head']}",
            hint="weights=imagenet with it, or weights.head=keep",
        )  # fmt: skip


def _run(run: Mapping[str, Any]) -> None:
    for path in ("root", "data", "weights"):
        if not isinstance(run[path], str) or not run[path]:
            raise UserError(f"run.{path} is a folder", got=f"run.{path}={run[path]}", hint=f"run.{path}='…'")
    if run["folder"] is not None and not isinstance(run["folder"], str):
        raise UserError(
            "run.folder is a folder",
            got=f"run.folder={run['folder']}",
            hint=f"run.folder=runs/{run['folder']}",
        )
    if run["workers"] != "auto":
        _at_least(1, "run.workers", run["workers"], "auto")
    if run["loaders"] != "auto":
        _at_least(0, "run.loaders", run["loaders"], "auto")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(run["device"])):
        raise UserError(
            "no such device", got=f"run.device={run['device']}", allowed=["auto", "cpu", "cuda", "cuda:1 …"]
        )
    for leaf in ("checkpoint_every", "retries", "timeout"):
        _at_least(0, f"run.{leaf}", run[leaf])
    Spec.of(run["table"])
    expect_logger(str(run["logger"]["name"]))


def _at_least(least: int, path: str, value: Any, *other: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(
            f"{path} is a whole number", got=f"{path}={value}", allowed=[*other, f"{least}, {least + 1}, …"],
            hint=f"{path}={max(least, 1)}",
        )  # fmt: skip
