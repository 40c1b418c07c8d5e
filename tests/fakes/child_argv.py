"""How the tests start `child_job.py` as the process of a job."""

import sys
from pathlib import Path

CHILD = Path(__file__).with_name("child_job.py")


def child_argv(study, job_id, attempt):
    return [sys.executable, str(CHILD), str(study), job_id, str(attempt.number), str(attempt.folder)]
