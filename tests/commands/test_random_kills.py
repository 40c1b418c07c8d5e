"""Twenty times a random process of a study is killed; the same command, repeated, leaves the undisturbed records."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from stub_workers import start
from terminal import FAST, WAIT, Lab, ended, processes_of

from fusionlab.records.record import read_records
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Arm, Job, Plan, read

pytestmark = pytest.mark.slow

COMMAND = ("sweep", "fusion=conv", FAST, "run.checkpoint_every=2", "run.workers=2", "run.loaders=1")
STUBS, TRAININGS = 16, 4  # kills
JOBS = 8


def ends_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(end.read_text(encoding="utf-8")) for end in folder.rglob("claims/*.end.json")]


def assert_published_once(folder: Path) -> None:
    """The first result stays: what a later attempt found there was the same."""
    assert not [line for end in ends_of(folder) for line in end["differences"]]
    for job in folder.rglob("jobs/*/claims"):
        won = [arm for end in job.glob("*.end.json") for arm in json.loads(end.read_text())["published"]]
        assert len(won) == len(set(won))


def kill_one(chance: random.Random, pids: list[int]) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(chance.choice(pids), signal.SIGKILL)


def test_workers_and_jobs(tmp_path: Path) -> None:
    jobs, arms = [], []
    for number in range(JOBS):
        name, needs = f"j{number}", () if number < 2 else (f"j{number % 2}",)
        own = (f"{name}-x", f"{name}-y")
        jobs.append(Job(name, "cohort", f"jobs/{name}", needs, {"do": ["work 0.4"]}, own))
        arms += [Arm(arm, "fused", {"fusion": arm}, arm, {"fusion": arm}, name) for arm in own]
    study = tmp_path / "study"
    Plan.of("sweep", jobs, arms).write(study)
    chance, workers, kills = random.Random(18), list[subprocess.Popen[str]](), 0
    until = time.monotonic() + WAIT
    while True:
        assert time.monotonic() < until, "it goes on for ever"
        if all(worker.poll() is not None for worker in workers):
            if workers and workers[-1].returncode == 0 and workers[-2].returncode == 0:
                break
            workers += [start(study), start(study)]
        if kills < STUBS:
            time.sleep(chance.uniform(0.05, 0.7))
            if living := processes_of(study):
                kill_one(chance, living)
                kills += 1
        else:
            time.sleep(0.05)
    for worker in workers:
        worker.communicate(timeout=WAIT)
    assert kills == STUBS
    records = read_records(study)
    assert sorted(record["name"] for record in records) == sorted(arm.name for arm in arms)
    assert {record["result"]["accuracy"] for record in records} == {0.5}
    assert {state.name for state in Ledger(study, read(study)).states().values()} == {"published"}
    assert_published_once(study)


def test_a_sweep_with_its_workers_jobs_and_loaders(study: Lab, fresh: Lab) -> None:
    chance, kills = random.Random(4), 0
    driver = fresh.start(*COMMAND)
    while kills < TRAININGS:
        time.sleep(chance.uniform(0.5, 3.0))
        living = processes_of(fresh.home) + [driver.pid] * (driver.poll() is None)
        if living:
            kill_one(chance, living)
            kills += 1
        elif driver.returncode == 0:
            break
        else:
            driver = fresh.start(*COMMAND)
    for process in fresh.started:
        ended(process)
    assert kills > 1
    for _ in range(3):  # a job that was killed for the third time in one command has failed in it
        done = fresh.run(*COMMAND)
        if done.status == 0:
            break
    assert done.status == 0, done.err
    whole, continued = study.records(), fresh.records()
    assert len(continued) == 5 and continued == {name: whole[name] for name in continued}
    assert_published_once(fresh.home)
