"""Studies that never ran: records and predictions of the right shape, drawn from a seed."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import yaml

from fusionlab.config.compose import tree
from fusionlab.records.files import write_text
from fusionlab.records.predictions import Predictions
from fusionlab.records.record import new_record, write_record
from fusionlab.records.signature import stream_optim

CLASSES = {
    "Hand": "what",
    "Foot": "what",
    "ScrubHand": "binding",
    "RollHand": "binding",
    "ScrubFoot": "binding",
}
WHAT, BINDING = 60, 100  # test videos of each kind
CEILINGS = {
    "appearance": {"what": "1", "binding": "1/4"},
    "motion": {"what": "1/3", "binding": "1/6"},
    "late": {"what": "1", "binding": "1/2"},
    "control": {"what": "1", "binding": "1/2"},
    "fused": {"what": "1", "binding": "1"},
}


CONFIG = {"data": {"dataset": {"_target_": "fusionlab.data.brush.brush.Brush", "seed": 0}}}


GROUP = 3  # videos of one recording: 20 groups of what, 34 of binding


def predictions(shares: dict[str, float], draw: random.Random, *, grouped: bool = True) -> Predictions:
    """Predictions of which round(share × videos) per kind are right, on videos that the draw picks."""
    names = list(CLASSES)
    videos, labels, scores, groups = [], [], [], []
    for kind, count in (("what", WHAT), ("binding", BINDING)):
        right = set(draw.sample(range(count), round(shares[kind] * count)))
        mine = [at for at, name in enumerate(names) if CLASSES[name] == kind]
        for number in range(count):
            label = mine[number % len(mine)]
            predicted = label if number in right else (label + 1) % len(names)
            videos.append(f"v_{kind}_{number:03}")
            labels.append(label)
            groups.append(f"g_{kind}_{number // GROUP:02}")
            scores.append([0.9 if at == predicted else 0.025 for at in range(len(names))])
    return Predictions.of(names, videos, labels, scores, groups if grouped else None)


def arm(
    folder: Path,
    *,
    kind: str,
    axes: dict[str, Any],
    shares: dict[str, float] | None = None,
    reason: str | None = None,
    config: dict[str, Any] | None = None,
    titles: dict[str, str] | None = None,
    control: str | None = None,
    towers: dict[str, dict[str, float]] | None = None,
    grouped: bool = True,
    claim: dict[str, Any] | None = None,
    **result: Any,
) -> dict[str, Any]:
    """Write one arm's run.json and predictions.csv; with a `reason` it failed.

    `control`: the signature of its control. `towers`: the shares of a control's towers, which get files of their own.
    """
    if kind == "stream" and config and "optim" in config:  # its recipe has the block of the streams alone
        config = {**config, "optim": stream_optim(config["optim"]["streams"], axes["streams"])}
    name = ",".join(f"{axis}={value}" for axis, value in axes.items())
    system = axes.get("streams") if kind == "stream" else kind
    signature = hashlib.sha256(repr((name, config)).encode()).hexdigest()[:16]
    place = folder / f"{kind}-{len(list(folder.glob('*')))}-{signature}"
    answers = None if reason else predictions(shares or {"what": 1, "binding": 1}, random.Random(name), grouped=grouped)
    if answers is not None:
        result = {
            **counted(answers),
            "classes": CLASSES,
            "steps": 100,
            "best_step": 90,
            "layers": 13,
            "parameters": 212_345,
            "trained_parameters": 100_000,
            "data": "d" * 64,
            "decoder": "decord 0.6.0",
            "flow": {"method": "dis", "bound": 4.0},
            **result,
        }
    for stream, own in (towers or {}).items():
        tower = predictions(own, random.Random(f"{name} {stream}"), grouped=grouped)
        text = tower.to_csv()
        write_text(place / f"{stream}.csv", text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        ceilings = CEILINGS[stream]
        result.setdefault("towers", {})[stream] = {**counted(tower), "ceilings": ceilings, "predictions": digest}
    streams = {} if kind == "stream" else {"appearance": f"a{axes['seed']}", "motion": f"m{axes['seed']}"}
    around = {"seconds": 2.5, "commit": "c" * 40, "packages": {"torch": "2.11.0"}}
    record = new_record(
        name=name,
        kind=kind,
        axes=axes,
        signature=signature,
        config={**CONFIG, **(config or {}), "seed": {"init": axes["seed"]}, "stage_one": streams},
        result=result if not reason else None,
        status="failed" if reason else "done",
        reason=reason,
        log=str(folder / "log.txt") if reason else None,
        stage_one=streams,
        ceilings=CEILINGS[str(system)],
        titles=titles,
        control=control,
        circumstances={**around, **({"run": {"claim": claim}} if claim else {})},
    )
    return write_record(place, record, answers)


def counted(answers: Predictions) -> dict[str, Any]:
    """The counts of a record's result."""
    kinds: dict[str, Any] = {}
    for kind in ("what", "binding"):
        at = [i for i, label in enumerate(answers.labels) if CLASSES[answers.classes[label]] == kind]
        kinds[kind] = {"correct": sum(answers.predicted[i] == answers.labels[i] for i in at), "total": len(at)}
    total = len(answers.videos)
    return {"accuracy": answers.correct / total, "kinds": kinds, "correct": answers.correct, "total": total}


SHARES = {  # what a good run looks like: streams and late at their ceilings, fusions between them and all
    "appearance": {"what": 1.0, "binding": 0.25},
    "motion": {"what": 1 / 3, "binding": 0.17},
    "late": {"what": 1.0, "binding": 0.5},
    "control": {"what": 1.0, "binding": 0.55},
    "max": {"what": 0.95, "binding": 0.74},
    "sum": {"what": 1.0, "binding": 0.9},
    "conv": {"what": 1.0, "binding": 0.96},
}


def fill(
    folder: Path,
    seeds: tuple[int, ...] = (0, 1),
    fusions: tuple[str, ...] = ("max", "sum", "conv"),
    *,
    control: bool = False,
    **more: Any,
) -> Path:
    """A whole study of a few arms; each seed answers two videos of binding fewer than the one before.

    `control`: with a control at relu5, whose towers answer as the streams do. `more`: of every arm.
    """
    for seed in seeds:
        own = {name: {**shares, "binding": shares["binding"] - 0.02 * seed} for name, shares in SHARES.items()}
        for name in ("appearance", "motion"):
            axes = {"streams": name, "seed": seed}
            arm(folder, kind="stream", axes=axes, shares=own[name], layers=8, **more)
        axes = {"streams": "both", "fusion": "late", "seed": seed}
        arm(folder, kind="late", axes=axes, shares=own["late"], layers=16, **more)
        place = {"layer": "relu5", "temporal": "pool2d", "seed": seed}
        named = None
        if control:
            towers = {stream: own[stream] for stream in ("appearance", "motion")}
            axes = {"streams": "both", "fusion": "control", **place}
            named = arm(folder, kind="control", axes=axes, shares=own["control"], towers=towers, **more)["signature"]
        for name in fusions:
            axes = {"streams": "both", "fusion": name, **place}
            layers = 14 if name == "conv" else 13
            arm(folder, kind="fused", axes=axes, shares=own[name], layers=layers, control=named, **more)
    return folder


def table_spec(name: str) -> dict[str, Any]:
    """The content of one of conf/table; one that builds on another is composed."""
    text = (Path(__file__).parents[2] / "conf" / "table" / f"{name}.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return tree({"table": name}).get("run.table") if "defaults" in content else content
