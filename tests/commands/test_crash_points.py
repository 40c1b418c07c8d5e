"""Killed at each crash point, and the same command again: the records are those of an undisturbed run, bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import FAST, Lab

from fusionlab.records.crash import POINTS, VARIABLE
from fusionlab.records.files import write_json
from fusionlab.records.record import read_record, write_record

pytestmark = pytest.mark.slow

CONV = "fusion=conv,layer=relu5,temporal=pool2d,seed=0"
COMMAND = ("sweep", "fusion=conv", FAST, "run.checkpoint_every=2")  # steps; an epoch has seven
COUNTS = {"stream.step": 5, "cohort.step": 3, "prepare.video": 3}  # the time at which it is killed, if not the first
OF_WORKERS = ("ledger.before_claim", "ledger.before_open", "ledger.after_claim", "attempt.before_end",
              "attempt.after_end")  # fmt: skip


def without_streams(study: Lab, home: Path) -> Lab:
    return Lab(home / "lab", study.data)


def with_streams(study: Lab, home: Path) -> Lab:
    shutil.copytree(study.home / "runs" / "streams", home / "lab" / "runs" / "streams")
    return Lab(home / "lab", study.data)


def without_store(study: Lab, home: Path) -> Lab:
    """The store is made again; it has the same hash, or the streams would be refused."""
    shutil.copytree(study.data / "videos", home / "data" / "videos")
    return Lab(with_streams(study, home).home, home / "data")


def with_a_failed_record(study: Lab, home: Path) -> Lab:
    """As older versions left them: published, by a claim that names no arms."""
    lab = with_streams(study, home)
    assert lab.run(*COMMAND).status == 0
    (place,) = lab.study.rglob(f"published/{CONV}")
    write_record(place, {**read_record(place), "status": "failed", "reason": "diverged", "result": {}})
    for claim in lab.study.glob("jobs/cohort-*/claims/001.json"):
        content = json.loads(claim.read_text(encoding="utf-8"))
        write_json(claim, {name: value for name, value in content.items() if name != "arms"})
    return lab


LABS: dict[str, Callable[[Lab, Path], Lab]] = {
    "stream": without_streams,
    "cohort": with_streams,
    "prepare": without_store,
    "publish": with_a_failed_record,
    "ledger": with_streams,
    "attempt": with_streams,
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_and_continued(study: Lab, tmp_path: Path, point: str) -> None:
    """A worker tries a job that was killed again, from its checkpoint; after the third death it is the user's turn."""
    lab = LABS[point.partition(".")[0]](study, tmp_path)
    killed = lab.run(*COMMAND, **{VARIABLE: f"{point}:{COUNTS.get(point, 1)}"})
    assert "Traceback" not in killed.err
    if point in OF_WORKERS:
        assert "ended with status -9" in killed.err
    else:
        ends = (json.loads(end.read_text(encoding="utf-8")) for end in lab.home.rglob("claims/*.end.json"))
        assert "died" in {end["outcome"] for end in ends}
    if killed.status:
        assert CONV not in lab.records() or point in OF_WORKERS
        assert "this continues it" in killed.err or "killed by SIGKILL" in killed.err

    done = lab.run(*COMMAND)
    assert done.status == 0, done.err
    assert done.out.startswith("continued study: ")
    if ".step" in point:
        folder = "streams/*" if point.startswith("stream") else "*/jobs/cohort-*"
        logs = sorted((lab.home / "runs").glob(f"{folder}/attempts/*/log.txt"))
        assert "continuing at step" in "".join(log.read_text(encoding="utf-8") for log in logs)
    if point.startswith("prepare"):
        assert len(list((lab.data / "stores").glob("[!.]*"))) == 1
    whole, continued = study.records(), lab.records()
    assert len(continued) == 4 and continued == {name: whole[name] for name in continued}
    ends = [json.loads(end.read_text(encoding="utf-8")) for end in lab.home.rglob("claims/*.end.json")]
    assert not [line for end in ends for line in end["differences"]]
