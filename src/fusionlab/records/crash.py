"""Injected crashes for tests of recovery: `FUSIONLAB_CRASH_AT=name`, or `name:k` for the k-th time.

stream.step            after a training step of a stream
stream.before_publish  a stream is trained and written, not yet published
cohort.step            after a training step of a cohort
cohort.before_publish  an arm of a cohort is trained and written, not yet published
prepare.video          after a video was read and packed
prepare.before_publish the store is written, not yet published
publish.replaced       a failed record of an older version is moved away, the arm not yet published
ledger.before_claim    a job's folder is there, its claim is not
ledger.before_open     a job is claimed, the attempt has no folder yet
ledger.after_claim     a worker has claimed a job and not yet begun it
attempt.before_publish an arm's result is complete, not yet renamed
attempt.after_publish  it is renamed, without a hint yet
attempt.before_end     an attempt is over, its end is not written
attempt.after_end      its end is written, without a hint yet
"""

from __future__ import annotations

import os
import signal
from collections import Counter

from fusionlab.errors import UserError, unknown

VARIABLE = "FUSIONLAB_CRASH_AT"

POINTS = (
    "stream.step",
    "stream.before_publish",
    "cohort.step",
    "cohort.before_publish",
    "prepare.video",
    "prepare.before_publish",
    "publish.replaced",
    "ledger.before_claim",
    "ledger.before_open",
    "ledger.after_claim",
    "attempt.before_publish",
    "attempt.after_publish",
    "attempt.before_end",
    "attempt.after_end",
)

_reached: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Crash here like `kill -9`, without cleaning up, if the environment variable says so."""
    assert name in POINTS, f"list the crash point {name!r} in fusionlab/records/crash.py"
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    point, _, count = wanted.partition(":")
    if point not in POINTS:  # a misspelt point would never be reached, and its test would pass
        raise unknown("crash point", point, POINTS, form=VARIABLE + "={}")
    if count and not (count.isdecimal() and int(count) > 0):
        raise UserError("a crash point counts from 1", got=f"{VARIABLE}={wanted}", hint=f"{VARIABLE}={point}:1")
    if point == name:
        _reached[name] += 1
        if _reached[name] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
