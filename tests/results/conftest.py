"""Studies that never ran: records and predictions of the right shape, drawn from a seed."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fusionlab.records.files import write_json
from fusionlab.records.predictions import Predictions
from fusionlab.records.record import new_record, write_record

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
    "fused": {"what": "1", "binding": "1"},
}


CONFIG = {"data": {"dataset": {"_target_": "fusionlab.data.brush.brush.Brush", "seed": 0}}}


def predictions(shares: dict[str, float], draw: random.Random) -> Predictions:
    """Predictions of which round(share × videos) per kind are right, on videos that the draw picks."""
    names = list(CLASSES)
    videos, labels, scores = [], [], []
    for kind, count in (("what", WHAT), ("binding", BINDING)):
        right = set(draw.sample(range(count), round(shares[kind] * count)))
        mine = [at for at, name in enumerate(names) if CLASSES[name] == kind]
        for number in range(count):
            label = mine[number % len(mine)]
            predicted = label if number in right else (label + 1) % len(names)
            videos.append(f"v_{kind}_{number:03}")
            labels.append(label)
            scores.append([0.9 if at == predicted else 0.025 for at in range(len(names))])
    return Predictions.of(names, videos, labels, scores)


def arm(
    folder: Path,
    *,
    kind: str,
    axes: dict[str, Any],
    shares: dict[str, float] | None = None,
    reason: str | None = None,
    config: dict[str, Any] | None = None,
    titles: dict[str, str] | None = None,
    **result: Any,
) -> dict[str, Any]:
    """Write one arm's run.json and predictions.csv; with a `reason` it failed."""
    name = ",".join(f"{axis}={value}" for axis, value in axes.items())
    system = {"stream": axes.get("streams"), "late": "late"}.get(kind, "fused")
    signature = hashlib.sha256(repr((name, config)).encode()).hexdigest()[:16]
    answers = None if reason else predictions(shares or {"what": 1, "binding": 1}, random.Random(name))
    counts: dict[str, Any] = {}
    if answers is not None:
        for kind_of in ("what", "binding"):
            at = [i for i, label in enumerate(answers.labels) if CLASSES[answers.classes[label]] == kind_of]
            right = sum(answers.predicted[i] == answers.labels[i] for i in at)
            counts[kind_of] = {"correct": right, "total": len(at)}
        result = {
            "accuracy": answers.correct / len(answers.videos),
            "kinds": counts,
            "correct": answers.correct,
            "total": len(answers.videos),
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
    streams = {} if kind == "stream" else {"appearance": f"a{axes['seed']}", "motion": f"m{axes['seed']}"}
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
        circumstances={"seconds": 2.5, "commit": "c" * 40, "packages": {"torch": "2.11.0"}},
    )
    place = folder / f"{kind}-{len(list(folder.glob('*')))}-{signature}"
    return write_record(place, record, answers)


SHARES = {  # what a good run looks like: streams and late at their ceilings, fusions between them and all
    "appearance": {"what": 1.0, "binding": 0.25},
    "motion": {"what": 1 / 3, "binding": 0.17},
    "late": {"what": 1.0, "binding": 0.5},
    "max": {"what": 0.95, "binding": 0.74},
    "sum": {"what": 1.0, "binding": 0.9},
    "conv": {"what": 1.0, "binding": 0.96},
}


def fill(folder: Path, seeds: tuple[int, ...] = (0, 1), fusions: tuple[str, ...] = ("max", "sum", "conv")) -> Path:
    """A whole study of a few arms; each seed answers two videos of binding fewer than the one before."""
    for seed in seeds:
        for name in ("appearance", "motion", "late", *fusions):
            shares = dict(SHARES[name])
            shares["binding"] -= 0.02 * seed
            if name in ("appearance", "motion"):
                arm(folder, kind="stream", axes={"streams": name, "seed": seed}, shares=shares, layers=8)
                continue
            axes: dict[str, Any] = {"streams": "both", "fusion": name, "seed": seed}
            if name == "late":
                arm(folder, kind="late", axes=axes, shares=shares, layers=16)
            else:
                axes = {
                    "streams": "both",
                    "fusion": name,
                    "layer": "relu5",
                    "temporal": "pool2d",
                    "seed": seed,
                }
                arm(folder, kind="fused", axes=axes, shares=shares, layers=14 if name == "conv" else 13)
    return folder


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("filled") / "study one")


@pytest.fixture
def study(tmp_path: Path, filled: Path) -> Path:
    """A copy of its own for each test: two seeds of three baselines and three fusions."""
    return Path(shutil.copytree(filled, tmp_path / filled.name))


@pytest.fixture
def spec() -> dict[str, Any]:
    return table_spec("how")


def table_spec(name: str) -> dict[str, Any]:
    text = (Path(__file__).parents[2] / "conf" / "table" / f"{name}.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


@pytest.fixture(scope="session")
def fakes() -> dict[str, Callable[..., Any]]:
    return {"arm": arm, "fill": fill, "table_spec": table_spec, "write_json": write_json}
