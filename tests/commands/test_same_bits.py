"""Records bit for bit: alone, in company, beside an arm that diverges, killed anywhere and continued."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from terminal import FAST, Lab

from fusionlab.records.crash import VARIABLE
from fusionlab.records.record import read_record
from fusionlab.study.plan import read

pytestmark = pytest.mark.slow

CONV = "fusion=conv,layer=relu5,temporal=pool2d,seed=0"
LATE = "fusion=late,layer=softmax,seed=0"
STREAMS = ("streams=appearance,seed=0", "streams=motion,seed=0")
ALONE = ("sweep", "fusion=conv", FAST, "run.checkpoint_every=2")  # steps; an epoch has seven

BAD = '''
import torch
from torch import nn

from fusionlab.fusion.fusion import Fusion


class Bad(Fusion):
    """A sum that is not a number from the fourth step on."""

    def __init__(self, channels_a: int, channels_b: int) -> None:
        super().__init__(channels_a, channels_b)
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x_a, x_b):
        if self.training:
            self.steps += 1
        return self.weight * (x_a + x_b) * torch.where(self.steps > 3, torch.nan, 1.0)
'''


def test_alone_equals_in_company(study: Lab, fresh: Lab) -> None:
    done = fresh.run(*ALONE)
    assert done.status == 0, done.err
    company, alone = study.records(), fresh.records()
    assert set(alone) == {CONV, LATE, *STREAMS}
    assert alone == {name: company[name] for name in alone}


def test_what_is_read_ahead_by_other_processes_is_the_same(study: Lab, fresh: Lab) -> None:
    done = fresh.run(*ALONE, "run.loaders=1")
    assert done.status == 0, done.err
    company, ahead = study.records(), fresh.records()
    assert set(ahead) == {CONV, LATE, *STREAMS} and ahead == {name: company[name] for name in ahead}


def test_a_job_that_was_forked_equals_one_that_is_a_program(fresh: Lab) -> None:
    """The cohort again, from its first step, by a command of its own: what it leaves is compared with what is there."""
    assert fresh.run(*ALONE).status == 0
    (cohort,) = (job.id for job in read(fresh.study).jobs if job.kind == "cohort")
    for checkpoint in fresh.study.rglob("checkpoint.pt"):
        checkpoint.unlink()
    again = fresh.run("work", str(fresh.study), "--job", cohort, "--attempt", "2")
    assert again.status == 0, again.err
    assert again.out.startswith("epoch 1, "), "from its first step"
    assert "differs" not in again.out


def test_beside_an_arm_that_diverges_which_is_a_user_s_own(study: Lab, fresh: Lab) -> None:
    """Two files in the working directory are a new fusion, and ./conf is searched before the packaged one."""
    own = fresh.home / "conf" / "fusion"
    own.mkdir(parents=True)
    (own / "bad.yaml").write_text("_target_: own_fusion.Bad\n_partial_: true\n", encoding="utf-8")
    (fresh.home / "own_fusion.py").write_text(BAD, encoding="utf-8")

    done = fresh.run("sweep", "fusion=conv,bad,bilinear", FAST)
    assert done.status == 1
    assert "Traceback" not in done.err
    bad = "fusion=bad,layer=relu5,temporal=pool2d,seed=0"
    line = next(line for line in done.err.splitlines() if line.startswith("failed: "))
    assert line.startswith(f"failed: {bad}: diverged at step ")
    assert Path(line.partition("(log: ")[2].rstrip(")")).is_file()
    assert "diverged" in done.table, "a failed arm is shown with its reason, never a hole"

    company, beside = study.records(), fresh.records()
    assert bad not in beside, "a failed arm is never published"
    (place,) = fresh.study.rglob(f"attempts/001/failed/{bad}/run.json")
    record = read_record(place)
    assert (record["status"], record["result"]) == ("failed", {})
    assert beside["fusion=bilinear,layer=relu5,temporal=pool2d,seed=0"][0]["status"] == "done"
    shared = {CONV, LATE, *STREAMS}
    assert {name: beside[name] for name in shared} == {name: company[name] for name in shared}


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 11)"])
def test_beside_an_arm_that_ends_its_process_and_is_repaired(study: Lab, fresh: Lab, end: str) -> None:
    own = fresh.home / "conf" / "fusion"
    own.mkdir(parents=True)
    (own / "bad.yaml").write_text("_target_: own_fusion.Bad\n_partial_: true\n", encoding="utf-8")
    deadly = BAD.replace("            self.steps += 1\n", f"            {end}\n")
    (fresh.home / "own_fusion.py").write_text(f"import os\n{deadly}", encoding="utf-8")

    bad, line = "fusion=bad,layer=relu5,temporal=pool2d,seed=0", ("sweep", "fusion=bad,conv", FAST)
    done = fresh.run(*line)
    assert done.status == 1
    (told,) = (one for one in done.err.splitlines() if one.startswith("failed: "))
    assert told.startswith(f"failed: {bad}: ")
    assert ("exit status 3" if "exit" in end else "killed by SIGSEGV") in told
    company, beside = study.records(), fresh.records()
    assert set(beside) == {CONV, LATE, *STREAMS}
    assert beside == {name: company[name] for name in beside}

    before = {place: place.stat().st_mtime_ns for place in fresh.study.rglob("published/*/run.json")}
    mended = BAD.replace("            self.steps += 1\n", "            pass\n")
    (fresh.home / "own_fusion.py").write_text(mended, encoding="utf-8")
    assert fresh.run(*line).status == 0
    assert fresh.records()[bad][0]["status"] == "done"
    assert {place: place.stat().st_mtime_ns for place in before} == before, "companions are left alone"


@pytest.mark.parametrize("point", ["cohort.step:3", "cohort.before_publish", "ledger.after_claim"])
def test_killed_above_the_streams_and_continued(study: Lab, fresh: Lab, point: str) -> None:
    killed_and_continued(study, fresh, point)


@pytest.mark.parametrize("point", ["stream.step:5", "stream.before_publish"])
def test_killed_in_a_stream_and_continued(study: Lab, tmp_path: Path, point: str) -> None:
    killed_and_continued(study, Lab(tmp_path, study.data), point)


def test_killed_before_the_store_is_published_and_continued(study: Lab, fresh: Lab, tmp_path: Path) -> None:
    """The store is made again; it has the same hash, or the streams would be refused."""
    shutil.copytree(study.data / "videos", tmp_path / "data" / "videos")
    killed_and_continued(study, Lab(fresh.home, tmp_path / "data"), "prepare.before_publish")
    assert len(list((tmp_path / "data" / "stores").glob("[!.]*"))) == 1


def killed_and_continued(study: Lab, lab: Lab, point: str) -> None:
    """A worker tries a job that was killed again, from its checkpoint; after the third death it is the user's turn."""
    killed = lab.run(*ALONE, **{VARIABLE: point})
    assert "Traceback" not in killed.err
    if point == "ledger.after_claim":
        assert "ended with status -9" in killed.err
    else:
        outcomes = [
            json.loads(end.read_text(encoding="utf-8"))["outcome"] for end in lab.home.rglob("claims/*.end.json")
        ]
        assert "died" in outcomes
    if not point.startswith("stream"):  # a stream is so short here that it may come to its end by itself
        assert killed.status == 1
        assert CONV not in lab.records()
        assert "this continues it" in killed.err or "killed by SIGKILL" in killed.err

    done = lab.run(*ALONE)
    assert done.status == 0, done.err
    assert done.out.startswith("continued study: ")
    if ".step" in point:
        folder = "streams/*" if point.startswith("stream") else "*/jobs/cohort-*"
        logs = sorted((lab.home / "runs").glob(f"{folder}/attempts/*/log.txt"))
        assert "continuing at step" in "".join(log.read_text(encoding="utf-8") for log in logs)
    whole, continued = study.records(), lab.records()
    assert set(continued) == {CONV, LATE, *STREAMS}
    assert continued == {name: whole[name] for name in continued}
