"""Workers on studies of `child_job.py`: in this process, or as processes of their own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from fusionlab.study.attempt import Attempt
from fusionlab.study.worker import work

# A worker as a process of its own, with the tests' children: python -c WORKER <study> [seconds of grace]
WORKER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from child_argv import child_argv
from fusionlab.study.worker import work
sys.exit(work(sys.argv[1], child_argv, poll=0.05, beat_s=0.1, grace_s=float(sys.argv[2])))
"""


def run(study, argv, **words):
    lines = []
    status = work(study, argv, poll=0.02, report=lines.append, **words)
    return status, lines


def ends(study, job):
    folder = study / "jobs" / job / "claims"
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.end.json"))]


def outcomes(study, job):
    return [end["outcome"] for end in ends(study, job)]


def start(study, grace=10.0, **environment):
    environment = {**os.environ, **environment}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(study), str(grace)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def child_pid(study, job, number=1):
    place = Attempt(study / "jobs" / job, number).folder / "pid"
    wait_for(lambda: place.is_file() and place.read_text())
    return int(place.read_text())
