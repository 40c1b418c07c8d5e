"""work on a study: claim a ready job, run it as a fresh process, go on until nothing is ready

    python -m fusionlab.work runs/my-study
    python -m fusionlab.work runs/my-study kinds=prepare

`sweep` starts workers by itself. Typed on another machine with the same file system, this adds one;
kinds=prepare, stream or cohort (or two of them) leaves the other jobs to other workers.
If the study's data or streams lie elsewhere for commands typed here, name the folder:
FUSIONLAB_DATA=/data python -m fusionlab.work runs/my-study
"""

import os
import traceback
from pathlib import Path

from fusionlab.cli import run
from fusionlab.errors import UserError, show
from fusionlab.study.attempt import Attempt

FAULT = 70  # the exit status of a worker that ended by an error of its own
FLAGS = {
    "--session NAME": "failures of other sessions are tried again",
    "--retries N": "further attempts at a failed arm (0)",
    "--threads N": "threads of each job (as planned)",
    "--job ID": "",
    "--attempt N": "",
    "--plan FOLDER": "",
}


def main(
    words: list[str], session: str | None = None, retries: int = 0, threads: int | None = None, job: str | None = None,
    attempt: int = 0, plan: str | None = None,
) -> int:  # fmt: skip
    """A worker; or, with --job and --attempt, one job in this process.

    A worker gives --plan: the folder with the job's part of the plan. The whole plan may be large.
    """
    from fusionlab.config.instantiate import refuse_foreign_plan
    from fusionlab.config.run_config import RunConfig, threads_of
    from fusionlab.study.launchers import WORKERS_VARIABLE
    from fusionlab.study.launchers.local import note_this_worker
    from fusionlab.study.plan import read
    from fusionlab.study.worker import REQUEUE, Inside, work

    chosen = [word.partition("=")[2] for word in words if word.startswith("kinds=")]
    words = [word for word in words if not word.startswith("kinds=")]
    kinds = tuple(",".join(chosen).split(",")) if chosen else None
    if len(words) != 1:
        raise UserError(
            "work takes one study's folder",
            got=" ".join(words) or "nothing",
            hint="python -m fusionlab.work runs/my-study",
        )
    study = Path(words[0])
    if job is not None:
        return _job(study, job, attempt, study if plan is None else Path(plan))
    whole = read(study)
    refuse_foreign_plan(whole)
    jobs = whole.jobs
    if threads is None:
        threads = max((threads_of(one.config) for one in jobs if one.kind == "stream"), default=1)
    timeout = max((RunConfig.of(one.config).timeout for one in jobs), default=0)
    inside = Inside(_load, _inside)
    try:
        if WORKERS_VARIABLE not in os.environ:  # typed by hand, so no launcher knows it
            note_this_worker(study)
        status = work(
            study, inside=inside, kinds=kinds, threads=threads, session=session, retries=retries, timeout_s=timeout
        )
        if status == REQUEUE:
            show("the time limit is near, and jobs are left")
        return status
    except UserError:
        raise
    except Exception:  # not 1: nobody would look for the reason of a worker that ended as one does whose jobs failed
        traceback.print_exc()
        return FAULT


def _load() -> None:
    """Import the packages that every training needs."""
    from fusionlab.study.devices import keep_forkable

    keep_forkable()
    import fusionlab.jobs.stages  # noqa: F401


def _inside(study: Path, job_id: str, attempt: Attempt) -> None:
    """A job, with the errors and the exit status of a command."""
    run(lambda _: _job(study, job_id, attempt.number, attempt.folder), "", argv=[])


def _job(study: Path, job_id: str, number: int, planned: Path) -> int:
    from fusionlab.jobs.job_data import prepare_store
    from fusionlab.records.activity import report_to
    from fusionlab.study.plan import expect_own_folders, read

    plan = read(planned)
    expect_own_folders(plan, study)
    job = plan.job(job_id)
    attempt = Attempt(job.path(study), number)
    report_to(attempt.progress_file)
    with attempt.explaining():
        if job.kind == "prepare":
            prepare_store(job, attempt)
        else:
            from fusionlab.jobs.stages import train  # torch, which preparing does without

            train(plan, study, job, attempt)
    return 0


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
