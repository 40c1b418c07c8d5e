"""Studies of the tests on a SLURM, and what is read of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slurm_cluster import Cluster
from terminal import FAST, Lab

PACED = ("sweep", "fusion=paced", FAST, "run.checkpoint_every=1")  # steps; an epoch has seven, and there are two
SLURM = (
    "launcher=slurm", "run.device=cpu", "run.launcher.gpus=1", "run.launcher.cpus=1", "run.launcher.prepare_cpus=1",
    "run.workers=4",
)  # fmt: skip


def on_login(cluster: Cluster, home: Path, data: Path) -> Lab:
    """A working directory whose commands are typed on the machine `login`."""
    home.mkdir(exist_ok=True)
    return Lab(
        home, data, (*cluster.login.enter(), "env", "-C", str(home)), {**cluster.variables, "PYTHONUNBUFFERED": "1"}
    )


def claims(lab: Lab, kind: str = "*") -> list[dict[str, Any]]:
    """The claims of all attempts at jobs of this study, each with its job's kind and, if it has ended, its end."""
    found = []
    for place in sorted(
        [*lab.home.glob("runs/*/jobs/*/claims/*.json"), *lab.home.glob("runs/streams/*/claims/*.json")]
    ):
        if place.stem.isdecimal():
            job = json.loads((place.parents[1] / "job.json").read_text(encoding="utf-8"))
            end = place.with_name(f"{place.stem}.end.json")
            ended = {"end": json.loads(end.read_text(encoding="utf-8"))} if end.is_file() else {}
            claim = json.loads(place.read_text(encoding="utf-8"))
            found.append({**claim, **ended, "kind": job["kind"], "attempt": int(place.stem)})
    return [claim for claim in found if kind in ("*", claim["kind"])]


def results(lab: Lab) -> dict[str, Any]:
    """Arm -> its record and predictions, and the bytes of its weights."""
    weights = {place.parent.name: place.read_bytes() for place in lab.found("published/*/weights.pt")}
    return {name: (record, weights.get(name)) for name, record in lab.records().items()}
