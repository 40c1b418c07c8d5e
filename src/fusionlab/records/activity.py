"""A job's progress for its worker: a file whose modification time changes with each step.

The file holds facts about the job as JSON, for whoever watches the study. An environment variable names the file, so
that the job's own processes (loaders, packers) report to it as well; they only change its time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import read_json

VARIABLE = "FUSIONLAB_PROGRESS"
EVERY = 1.0  # seconds between two marks
LARGEST = 64 * 2**10  # bytes that are read

Facts = Mapping[str, Any]

_last = 0.0
_owner: int | None = None  # the pid of the job's process
_facts: dict[str, Any] = {}
_measure: Callable[[], Facts] | None = None


def report_to(path: Path) -> None:
    """Mark progress in this file from now on, here and in processes started from here."""
    global _owner, _measure
    _owner, _measure = os.getpid(), None
    _facts.clear()
    with suppress(OSError):
        path.touch()
    os.environ[VARIABLE] = str(path)


def measure_with(measure: Callable[[], Facts]) -> None:
    """Let each mark that is written ask for these facts, such as memory, which take time to measure."""
    global _measure
    _measure = measure


def mark(**facts: Any) -> None:
    """Report progress: a step, a batch, a frame. Between two marks this costs almost nothing.

    Facts stay until others of their name come. The agreed names: `part` (setup, train, validate, test, record,
    prepare), `step`, `steps` (of the training), `device` (its product name), `memory`, `device_memory` (bytes, peak).
    """
    global _last
    if facts:
        _facts.update(facts)
    now = time.monotonic()
    if now - _last < EVERY:
        return
    _last = now
    if path := os.environ.get(VARIABLE):
        with suppress(OSError):  # a full disk stops the work anyway
            if _owner == os.getpid():
                if _measure is not None:
                    _facts.update(_measure())
                Path(path).write_text(json.dumps(_facts), encoding="utf-8")
            else:
                os.utime(path)


def read_progress(path: Path) -> dict[str, Any]:
    """The facts in a job's file; {} if there are none, or if it is just being written."""
    try:
        facts = read_json(path, LARGEST)
    except (OSError, UserError):
        return {}
    return facts if isinstance(facts, dict) else {}
