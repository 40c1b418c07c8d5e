import json
import signal

import pytest
from stub_workers import ends, outcomes, run, start

from fusionlab.errors import UserError
from fusionlab.records.record import new_record, read_records, write_record
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read

COMPANY = {"a": ([], [{"x": "publish", "y": "publish"}]), "b": (["a"], ["publish"])}


@pytest.mark.parametrize(
    "point",
    [
        "ledger.before_claim", "ledger.before_open", "ledger.after_claim",
        "attempt.before_end", "attempt.after_end", "attempt.after_end:2",
    ],
)  # fmt: skip
def test_a_worker_that_is_killed_anywhere_and_the_next_one_continue(make, argv, point):
    study = make(COMPANY)
    worker = start(study, FUSIONLAB_CRASH_AT=point)
    worker.communicate(timeout=20)
    assert worker.returncode == -signal.SIGKILL
    assert run(study, argv)[0] == 0
    assert_undisturbed(study)


@pytest.mark.parametrize(
    ("point", "outcome"),
    [("attempt.before_publish", "died"), ("attempt.after_publish", "died"), ("attempt.after_publish:2", "done")],
)
def test_a_job_that_is_killed_anywhere_while_it_publishes_continues(make, argv, monkeypatch, point, outcome):
    study = make(COMPANY)
    monkeypatch.setenv("FUSIONLAB_CRASH_AT", point)
    run(study, argv)
    assert outcome in outcomes(study, "a")
    monkeypatch.delenv("FUSIONLAB_CRASH_AT")
    assert run(study, argv)[0] == 0
    assert_undisturbed(study)


def test_a_job_that_is_killed_while_it_replaces_a_failed_record_continues(make, argv, monkeypatch):
    """Older versions published such records, and their claims named no arms."""
    study = make(COMPANY)
    old = Ledger(study, read(study), session="old").claim("a")
    claim = json.loads(old.claim_file.read_text())
    old.claim_file.write_text(json.dumps({name: one for name, one in claim.items() if name != "arms"}))
    old.end("done")
    record = {"name": "x", "kind": "fused", "axes": {}, "signature": "x", "config": {}}
    write_record(old.published / "x", new_record(**record, status="failed", reason="diverged"))
    monkeypatch.setenv("FUSIONLAB_CRASH_AT", "publish.replaced")
    run(study, argv)
    assert "died" in outcomes(study, "a")
    monkeypatch.delenv("FUSIONLAB_CRASH_AT")
    assert run(study, argv)[0] == 0
    assert_undisturbed(study)


def assert_undisturbed(study):
    """Each arm is published once, with the record of an undisturbed run; nothing differs, nothing is left."""
    assert sorted(record["name"] for record in read_records(study)) == ["arm-b", "x", "y"]
    assert {record["result"]["accuracy"] for record in read_records(study)} == {0.5}
    assert not [line for job in "ab" for end in ends(study, job) for line in end["differences"]]
    won = [arm for job in "ab" for end in ends(study, job) for arm in end["published"]]
    assert len(won) == len(set(won))
    assert {state.name for state in Ledger(study, read(study)).states().values()} == {"published"}


def test_a_study_that_vanishes_under_its_worker_is_not_made_again(make, argv):
    study = make({"a": ([], ["publish"]), "b": ([], ["publish"])})
    ledger = Ledger(study, read(study), session="s")
    assert ledger.claim("a")
    study.rename(study.with_name("elsewhere"))
    with pytest.raises(UserError, match="the study's folder is gone"):
        ledger.claim_next()
    assert not study.exists()
