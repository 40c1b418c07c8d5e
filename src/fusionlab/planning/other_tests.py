"""Other tests of a study's arms: made where they are missing, and shown as a table."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from fusionlab.errors import UserError, one_line, show
from fusionlab.planning.grid import PlannedStudy
from fusionlab.planning.report_study import unfinished_arms
from fusionlab.records.other_tests import Asked
from fusionlab.results.chains import last_chain
from fusionlab.results.load import load
from fusionlab.results.test_table import accuracy_table, sensitivity_table
from fusionlab.study.forked import in_fork
from fusionlab.study.plan import DATA_VARIABLE, STREAMS_FOLDER, STREAMS_VARIABLE


def test_and_show(folder: str, names: Sequence[str], asked: Asked) -> int:
    """Make the missing tests, and show the accuracies of all. Returns 0 if all are there."""
    from fusionlab.jobs.other_tests import add_tests  # imports torch

    status = add_tests(folder, names, asked)
    study = Path(folder)
    entries = load(study, unfinished_arms(study), Asked())
    entries = [one for one in entries if one.name in names] if names else last_chain(entries)
    show("\n" + accuracy_table(entries, asked))
    if asked.ablate:
        show("\n" + sensitivity_table(entries, asked))
    return status


def finish_tests(study: PlannedStudy) -> int:
    """Make the tests that a sweep's jobs did not: of streams that were trained before, and combinations.

    In a fork, since networks are computed. Returns 0 if none is missing then, else 1.
    """
    asked, folder = study.run.asked, study.folder
    if not asked:
        return 0
    typed = f"python -m fusionlab.test {shlex.quote(str(folder))} {' '.join(asked.words)}"
    if study.run.remote:
        show(f"tests that the jobs did not make, such as combinations:\n  {typed}")
        return 0
    try:
        return int(in_fork(lambda: _add(study)))
    except UserError as error:
        show(one_line(f"tests are missing: {error.brief}; {typed}"))
        return 1


def _add(study: PlannedStudy) -> int:
    """`add_tests`, with the folders of streams and data that this command named to its workers."""
    from fusionlab.jobs.other_tests import add_tests

    os.environ[STREAMS_VARIABLE] = os.path.abspath(Path(study.run.root) / STREAMS_FOLDER)
    os.environ[DATA_VARIABLE] = os.path.abspath(study.run.data)
    return add_tests(study.folder, [], study.run.asked)
