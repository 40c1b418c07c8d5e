"""Killed at each crash point, and the same command again: the records are those of an undisturbed run, bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terminal import FAST, Lab

from fusionlab.records.crash import POINTS, VARIABLE
from fusionlab.records.files import write_json
from fusionlab.records.record import read_record, write_record

CONV = "fusion=conv,layer=relu5,temporal=pool2d,seed=0"
COMMAND = ("sweep", "fusion=conv", FAST, "run.checkpoint_every=2")  # steps; an epoch has seven


def without_streams(study: Lab, home: Path) -> Lab:
    return Lab(home / "lab", study.data)


def with_streams(study: Lab, home: Path) -> Lab:
    shutil.copytree(study.home / "runs" / "streams", home / "lab" / "runs" / "streams")
    return Lab(home / "lab", study.data)


def without_store(study: Lab, home: Path) -> Lab:
    """The store is made again; it has the same hash, or the streams would be refused."""
    shutil.copytree(study.videos, home / "data" / "videos" / study.videos.name)
    return Lab(with_streams(study, home).home, home / "data")


# Points at which one study is killed, one after the other: each by the same command, which continues from there. `:k`
# is the k-th time. At a point of a job its worker tries again, and after the third death it is the user's turn.
WAYS: list[tuple[Callable[[Lab, Path], Lab], tuple[str, ...]]] = [
    (without_store, ("prepare.video:3",)),
    (without_store, ("prepare.before_publish",)),
    (without_streams, ("stream.step:3", "stream.before_publish")),
    (
        with_streams,
        (
            "ledger.before_claim", "ledger.before_open", "ledger.after_claim",
            "cohort.step:3", "cohort.before_publish", "attempt.before_publish", "attempt.after_publish",
        ),
    ),
    (with_streams, ("attempt.before_end", "publish.replaced", "attempt.after_end")),
]  # fmt: skip


def test_each_point_has_a_way() -> None:
    assert sorted(at.partition(":")[0] for _, points in WAYS for at in points) == sorted(POINTS)


@pytest.mark.slow
@pytest.mark.parametrize(("begin", "points"), WAYS)
def test_killed_there_and_continued(
    study: Lab, tmp_path: Path, begin: Callable[[Lab, Path], Lab], points: tuple[str, ...]
) -> None:
    lab = begin(study, tmp_path)
    for at in points:
        point = at.partition(":")[0]
        if point in ("publish.replaced", "attempt.after_end"):  # all is published
            leave_a_failed_record(lab)
        before = [end["outcome"] for end in ends_of(lab)].count("died")
        killed = lab.run(*COMMAND, **{VARIABLE: at})
        assert "Traceback" not in killed.err
        if point == "prepare.video":  # a process that packs, which is replaced
            assert killed.status == 0, killed.err
        elif point.startswith("ledger") or point.endswith("_end"):
            assert "ended with status -9" in killed.err, "a worker"
        elif point == "attempt.after_publish":  # its last arm was published, and the worker was not told
            assert any(end["outcome"] == "done" and not end["published"] for end in ends_of(lab)), killed.err
        else:
            assert [end["outcome"] for end in ends_of(lab)].count("died") > before, "a job"
        if killed.status:
            assert "this continues it" in killed.err or "killed by SIGKILL" in killed.err
    done = lab.run(*COMMAND)
    assert done.status == 0, done.err
    assert done.out.startswith("continued study: ")
    logs = "".join(log.read_text(encoding="utf-8") for log in sorted(lab.found("attempts/*/log.txt")))
    assert "continuing at step" in logs or not any(".step" in at for at in points)
    if begin is without_store:  # where all tests have theirs there are others
        (_,) = (lab.data / "stores").glob("[!.]*")
    whole, continued = study.records(), lab.records()
    assert len(continued) == 5 and continued == {name: whole[name] for name in continued}
    assert not [line for end in ends_of(lab) for line in end["differences"]]


def ends_of(lab: Lab) -> list[dict[str, Any]]:
    return [json.loads(end.read_text(encoding="utf-8")) for end in lab.found("claims/*.end.json")]


def leave_a_failed_record(lab: Lab) -> None:
    """As older versions left it: published, by claims that name no arms."""
    (place,) = lab.study.rglob(f"published/{CONV}")
    write_record(place, {**read_record(place), "status": "failed", "reason": "diverged", "result": {}})
    for claim in lab.study.glob("jobs/cohort-*/claims/*[0-9].json"):
        content = json.loads(claim.read_text(encoding="utf-8"))
        write_json(claim, {name: value for name, value in content.items() if name != "arms"})
