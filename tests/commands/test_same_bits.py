"""Records bit for bit: alone, in company, beside an arm that diverges or ends its process."""

from __future__ import annotations

from pathlib import Path

import pytest
from terminal import FAST, Lab

from fusionlab.records.record import read_record
from fusionlab.study.plan import read

pytestmark = pytest.mark.slow

CONV = "fusion=conv,layer=relu5,temporal=pool2d,seed=0"
LATE = "fusion=late,layer=softmax,seed=0"
CONTROL = "fusion=control,layer=relu5,temporal=pool2d,seed=0"
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
    assert set(alone) == {CONV, CONTROL, LATE, *STREAMS}
    assert alone == {name: company[name] for name in alone}


def test_what_is_read_ahead_by_other_processes_is_the_same(study: Lab, fresh: Lab) -> None:
    done = fresh.run(*ALONE, "run.loaders=1")
    assert done.status == 0, done.err
    company, ahead = study.records(), fresh.records()
    assert set(ahead) == {CONV, CONTROL, LATE, *STREAMS} and ahead == {name: company[name] for name in ahead}


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
    assert "  try: a lower optim.fusion.lr" in done.err.splitlines()
    assert "diverged" in done.table, "a failed arm is shown with its reason, never a hole"

    company, beside = study.records(), fresh.records()
    assert bad not in beside, "a failed arm is never published"
    (place,) = fresh.study.rglob(f"attempts/001/failed/{bad}/run.json")
    record = read_record(place)
    assert (record["status"], record["result"]) == ("failed", {})
    assert beside["fusion=bilinear,layer=relu5,temporal=pool2d,seed=0"][0]["status"] == "done"
    shared = {CONV, CONTROL, LATE, *STREAMS}
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
    assert set(beside) == {CONV, CONTROL, LATE, *STREAMS}
    assert beside == {name: company[name] for name in beside}

    before = {place: place.stat().st_mtime_ns for place in fresh.study.rglob("published/*/run.json")}
    mended = BAD.replace("            self.steps += 1\n", "            pass\n")
    (fresh.home / "own_fusion.py").write_text(mended, encoding="utf-8")
    assert fresh.run(*line).status == 0
    assert fresh.records()[bad][0]["status"] == "done"
    assert {place: place.stat().st_mtime_ns for place in before} == before, "companions are left alone"
