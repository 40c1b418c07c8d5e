import os

import pytest

from fusionlab.planning.report_study import stages
from fusionlab.records.record import new_record, write_record
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read


@pytest.fixture
def study(tmp_path, make_plan):
    make_plan({"k": ([], [{"x": "", "y": ""}])}).write(tmp_path)
    return tmp_path


def attempt(study, begin, *arms, outcome="failed"):
    """An attempt that claims the job at second `begin` and publishes these arms."""
    made = Ledger(study, read(study)).claim("k")
    for arm in arms:
        record = new_record(name=arm, kind="fused", axes={}, signature=arm, config={}, result={})
        write_record(made.result / arm, record)
        made.publish(arm)
    made.end(outcome)
    os.utime(made.claim_file, (begin, begin))
    return made


def published(study, at):
    os.utime(study / "jobs" / "k" / "published", (at, at))


def test_a_stage_ends_with_a_publication_and_begins_with_the_attempt_that_made_it(study):
    attempt(study, 100, outcome="interrupted")
    attempt(study, 1000, "x", outcome="interrupted")
    published(study, 1040)
    assert stages(study) == "cohort 40 s"
    later = attempt(study, 1047, outcome="interrupted")
    assert stages(study) == "cohort 40 s", "a later attempt published nothing"
    os.utime(later.claim_file, (1010, 1010))
    assert stages(study) == "cohort 40 s", "nor one that ran at the same time"
    attempt(study, 2000, "y", outcome="done")
    published(study, 2003)
    assert stages(study) == "cohort 3 s"


def test_without_a_note_of_the_publication_the_last_claim_before_it_counts(study):
    first = attempt(study, 1000, "x", outcome="interrupted")
    (first.folder / "publication.json").write_text("{")
    attempt(study, 1047, outcome="interrupted")
    published(study, 1040)
    assert stages(study) == "cohort 40 s"
    published(study, 999)
    assert stages(study) == "", "a copied folder"
