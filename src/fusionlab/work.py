"""work on a study: claim a ready job, run it as a fresh process, go on until nothing is ready

    python -m fusionlab.work runs/my-study

`sweep` starts workers by itself. Typed on another machine with the same file system, this adds one.
Flags: --session NAME (failures of other sessions are tried again), --retries N, --threads N.
If a study keeps its data or its streams elsewhere than commands typed here, name the folder:
FUSIONLAB_DATA=/data python -m fusionlab.work runs/my-study
"""

import traceback
from pathlib import Path

from fusionlab.cli import flags, run
from fusionlab.errors import UserError

FAULT = 70  # the exit status of a worker that ended by an error of its own


def main(words: list[str]) -> int:
    """A worker, or (with --job and --attempt, as a worker calls it) one job in this process."""
    from fusionlab.config.instantiate import refuse_foreign_plan
    from fusionlab.config.run_config import RunConfig, threads_of
    from fusionlab.study.plan import read
    from fusionlab.study.worker import Inside, work

    known = dict.fromkeys(("--session", "--retries", "--threads", "--job", "--attempt"), True)
    given, rest = flags(words, known)
    if len(rest) != 1:
        raise UserError(
            "work takes one study's folder",
            got=" ".join(rest) or "nothing",
            hint="python -m fusionlab.work runs/my-study",
        )
    study = Path(rest[0])
    if "--job" in given:
        return _job(study, given["--job"], _number("--attempt", given.get("--attempt", "")))
    threads = _number("--threads", given["--threads"]) if "--threads" in given else None
    retries = _number("--retries", given.get("--retries", "0"))
    plan = read(study)
    refuse_foreign_plan(plan)
    jobs = plan.jobs
    if threads is None:
        threads = max((threads_of(job.config) for job in jobs if job.kind == "stream"), default=1)
    timeout = max((RunConfig.of(job.config).timeout for job in jobs), default=0)
    inside = Inside(_load, _inside)
    try:
        return work(
            study, inside=inside, threads=threads, session=given.get("--session"), retries=retries, timeout_s=timeout
        )
    except UserError:
        raise
    except Exception:  # not 1: nobody would look for the reason of a worker that ended as one does whose jobs failed
        traceback.print_exc()
        return FAULT


def _load() -> None:
    """What every training needs."""
    import fusionlab.jobs.stages  # noqa: F401


def _inside(study: Path, job_id: str, number: int) -> None:
    """A job, with the errors and the exit status of a verb."""
    run(lambda _: _job(study, job_id, number), "", argv=[])


def _job(study: Path, job_id: str, number: int) -> int:
    from fusionlab.jobs.job_data import prepare_store
    from fusionlab.records.activity import report_to
    from fusionlab.study.attempt import Attempt
    from fusionlab.study.plan import expect_own_folders, read

    plan = read(study)
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


def _number(flag: str, text: str) -> int:
    if not text.isdecimal():
        raise UserError(f"{flag} takes a number", got=text or "nothing", hint=f"{flag} 1")
    return int(text)


if __name__ == "__main__":
    run(main, __doc__)
