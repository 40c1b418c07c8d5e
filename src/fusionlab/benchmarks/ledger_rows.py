"""Rows on the ledger: what its looks and claims cost for many workers and jobs, and what the state of a study costs.

Many workers are many `Ledger` objects in one process, which take turns; their jobs are stubs. So the CPU time is of the
ledger alone: reading, claiming, publishing, ending. A worker without a job looks once in each turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from fusionlab.benchmarks.measure import BenchRow
from fusionlab.records.files import parse_json, write_text
from fusionlab.records.record import new_record, write_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Arm, Job, Plan

MEMORY = "/dev/shm"
STREAMS = 8  # jobs that the others need, two each
FEW, MANY = 200, 5000
TURNS = 2  # of a worker, until its job is published
STATUS = """
import json, sys, time
begun = time.perf_counter(), time.process_time()
from fusionlab.status import main
main([sys.argv[1]])
json.dump([time.perf_counter() - begun[0], time.process_time()], sys.stderr)
"""
STUB = """
import sys
from pathlib import Path
from fusionlab.records.files import write_text
from fusionlab.study.attempt import Attempt
attempt = Attempt(Path(sys.argv[1]), int(sys.argv[2]))
for arm in attempt.arms or ():
    write_text(attempt.result / arm / "a.txt", arm)
    attempt.publish(arm)
"""
WORK = f"""
import json, subprocess, sys, time
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import read
from fusionlab.study.worker import work
argv = lambda study, job, attempt: [sys.executable, "-c", {STUB!r}, str(attempt.job), str(attempt.number)]
begun = time.perf_counter()
assert work(sys.argv[1], argv, report=lambda line: None) == 0
worked = time.perf_counter()
for job in read(sys.argv[1]).jobs:
    subprocess.run(argv(None, None, Attempt(job.path(sys.argv[1]), 99)), check=True)
json.dump([worked - begun, time.perf_counter() - worked], sys.stdout)
"""


def rows() -> Iterator[BenchRow]:
    # In memory, where Linux has such a folder: a disk's own CPU time differs, and 5,000 jobs wait for it for minutes.
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield from _workers(Path(folder), 100, 800)
        yield _growth(Path(folder), 20)
        yield from _status(Path(folder), 1000, 10)
        yield _engine(Path(folder), 12)


def _workers(folder: Path, workers: int, jobs: int) -> Iterator[BenchRow]:
    published, seconds = work_in_turns(folder / "workers", workers, jobs)
    what = f"{workers} workers × {jobs} jobs"
    wrong = sum(abs(count - 1) for count in published.values())
    yield BenchRow(f"{what}: jobs that are lost or published twice", float(wrong), "", 0.0)
    yield BenchRow(f"{what}: CPU time of a publication", 1000 * seconds / jobs, "ms", 10.0)


def _growth(folder: Path, workers: int) -> BenchRow:
    few, many = (work_in_turns(folder / f"jobs{jobs}", workers, jobs)[1] / jobs for jobs in (FEW, MANY))
    what = f"{workers} workers: CPU time of a publication, {MANY} jobs relative to {FEW}"
    return BenchRow(what, many / few, "×", 1.3)


def make_plan(jobs: int, arms: int = 1) -> Plan:
    """Streams and cohorts of stubs."""
    made, points = [], []
    for number in range(jobs):
        job = f"j{number:05d}"
        kind = "stream" if number < STREAMS else "cohort"
        needs = () if kind == "stream" else tuple(f"j{(number + add) % STREAMS:05d}" for add in (0, 1))
        names = tuple(f"{job}-arm{arm:02d}" for arm in range(arms))
        made.append(Job(job, kind, f"jobs/{job}", needs, {"stub": number}, names))
        points += [Arm(name, "fused", {"arm": name}, name, {"arm": name}, job) for name in names]
    return Plan.of("stubs", made, points)


def work_in_turns(
    study: Path, workers: int, jobs: int, meanwhile: Callable[[int], object] = int
) -> tuple[Counter[str], float]:
    """Work on stubs until each worker finds nothing left: how often each job was published, and CPU seconds.

    `meanwhile` is called before each turn with its number.
    """
    plan = make_plan(jobs)
    plan.write(study)
    published = Counter({job.id: 0 for job in plan.jobs})
    seconds = -time.process_time()
    ledgers = [Ledger(study, plan, session="bench") for _ in range(workers)]
    busy: dict[int, tuple[Attempt, str, int]] = {}
    here = set(range(workers))
    turn = 0
    while here:
        turn += 1
        meanwhile(turn)
        for worker in sorted(here):
            ledger = ledgers[worker]
            if worker not in busy:
                taken = ledger.claim_next()
                if taken:
                    busy[worker] = (*taken, turn + TURNS + worker % 3)
                elif not ledger.left():
                    here.remove(worker)
            elif turn >= busy[worker][2]:
                attempt, job, _ = busy.pop(worker)
                seconds += time.process_time()
                for arm in attempt.arms or ():
                    write_text(attempt.result / arm / "a.txt", arm, sync=False)
                seconds -= time.process_time()
                published[job] += sum(attempt.publish(arm).won for arm in attempt.arms or ())
                assert not ledger.unpublished(job, attempt.arms or ())
                attempt.end("done")
    return published, seconds + time.process_time()


def _status(folder: Path, jobs: int, arms: int) -> Iterator[BenchRow]:
    study = folder / "status"
    plan = make_plan(jobs, arms)
    plan.write(study)
    ledger = Ledger(study, plan, session="bench")
    of = {arm.name: arm for arm in plan.arms}
    while taken := ledger.claim_next():
        attempt, _ = taken
        for name in attempt.arms or ():
            arm = of[name]
            record = new_record(
                name=name, kind=arm.kind, axes=arm.axes, signature=arm.signature, config=arm.config,
                result={"accuracy": 0.5, "correct": 1, "total": 2},
            )  # fmt: skip
            write_record(attempt.result / name, record, sync=False)
            attempt.result.joinpath(name).rename(_made(attempt.published) / name)
        attempt.end("done")
    done = subprocess.run(
        [sys.executable, "-c", STATUS, str(study)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, cpu = parse_json(done.stderr, "what status measured")
    yield BenchRow(f"status of {jobs * arms} arms in {jobs} jobs: CPU time of its process", cpu, "s", 0.5)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _engine(folder: Path, jobs: int) -> BenchRow:
    study = folder / "engine"
    make_plan(jobs).write(study)
    done = subprocess.run([sys.executable, "-c", WORK, str(study)], check=True, stdout=subprocess.PIPE)
    worked, bare = parse_json(done.stdout, "what the worker measured")
    return BenchRow("a job of a local worker, beyond its own process", (worked - bare) / jobs, "s", 0.5)
