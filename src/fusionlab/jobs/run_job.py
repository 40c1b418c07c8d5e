"""A job in its own process: prepare a store, train a stream, train a cohort. Its results are published arm by arm."""

from __future__ import annotations

from pathlib import Path

from fusionlab.errors import one_line, show
from fusionlab.jobs.job_data import open_data
from fusionlab.records.files import write_json
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Job, Plan


def run_job(plan: Plan, study: Path, job: Job, attempt: Attempt) -> None:
    """Do the job's work and publish it; only the stages of training import torch."""
    if job.kind == "prepare":
        data = open_data(job.config, job.config["run"], quarantine=job.config["run"].get("quarantine", ()))
        write_json(attempt.result / "store.json", {"store": data.store.hash})
        for line in attempt.publish().differences:
            show(one_line(f"differs from what is published: {line}"))
        return
    from fusionlab.jobs.stages import train_cohort, train_stream

    if job.kind == "stream":
        train_stream(plan.arm(job.arms[0]), job.config, attempt)
    else:
        train_cohort(plan, study, job, attempt)
