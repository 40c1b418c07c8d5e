import json
from pathlib import Path

import pytest

from fusionlab.jobs.retest import retest
from fusionlab.monitor.status import ArmRow, Status, Summary, summary
from fusionlab.records.files import to_json
from fusionlab.status import main as verb
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read
from fusionlab.study.worker import work

JOBS = {
    "a": ([], ["publish"]),
    "b": ([], ["fail"]),
    "c": (["b"], ["publish"]),
    "d": ([], ["publish a failed arm"]),
}


@pytest.fixture
def study(tmp_path, make_plan):
    make_plan(JOBS).write(tmp_path)
    return tmp_path


def quiet(_line):
    pass


def test_before_while_and_after(study, argv):
    seen = Status(study)
    before = seen.summary()
    assert before.job_counts == {"ready": 3, "waiting": 1}
    assert before.arm_counts == {"waiting": 4}
    assert before.jobs[2].reason == "waits for b"
    attempt = Ledger(study, read(study)).claim("a")
    assert seen.summary().jobs[0].state == "running"
    assert "pid" in seen.summary().jobs[0].by
    attempt.end("interrupted")
    work(study, argv, poll=0.02, report=quiet)
    after = summary(study)
    assert after.arm_counts == {"done": 1, "failed": 2, "blocked": 1}
    assert after.job_counts == {"published": 1, "failed": 2, "blocked": 1}
    rows = {row.name: row for row in after.arms}
    assert rows["arm-b"].reason == "ValueError: it does not work"
    assert rows["arm-b"].log.endswith("jobs/b/attempts/001/log.txt")
    assert rows["arm-c"].reason == "b failed: ValueError: it does not work"
    assert rows["arm-d"].reason == "diverged at step 3: loss nan"
    assert after.settled == 4


def test_a_record_that_is_missing_or_damaged_is_shown_never_left_out(study, argv):
    work(study, argv, poll=0.02, report=quiet)
    place = study / "jobs" / "a" / "published" / "arm-a" / "run.json"
    place.write_text("{")
    assert summary(study).arms[0].state == "failed"
    assert "cannot be read: not a readable JSON file" in summary(study).arms[0].reason
    assert str(place) in summary(study).arms[0].reason
    place.unlink()
    assert "without a record" in summary(study).arms[0].reason


def test_a_stream_that_studies_share_is_known_by_its_signature(study):
    arm = read(study).arm("arm-a")
    other = {"signature": "x", "kind": "fused", "name": "arm-a"}
    mine = {"signature": "sig-a", "kind": "fused", "name": "under another name"}
    assert arm.find({Path("b"): other, Path("a"): mine}) == (Path("a"), mine)
    assert arm.find({Path("b"): other}) is None


def test_arms_are_tested_again_though_one_has_a_damaged_record(study, argv, capsys):
    work(study, argv, poll=0.02, report=quiet)
    (study / "jobs" / "a" / "published" / "arm-a" / "run.json").write_text('{"x": 1e309}')
    assert retest(str(study), []) == 1
    rows = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert rows["arm-a"].startswith("its record cannot be read: not a readable JSON file (1e309")
    assert rows["arm-b"] == "failed: ValueError: it does not work"
    assert rows["arm-d"] == "failed: diverged at step 3: loss nan"


def other_code(study, job, code="0.0.9+abc"):
    """As if another version had made the job's attempts; None: one that did not name itself."""
    for claim in (study / "jobs" / job / "claims").glob("[0-9][0-9][0-9].json"):
        content = json.loads(claim.read_text())
        content["code"] = code
        claim.write_text(to_json({name: one for name, one in content.items() if one is not None}))


def test_arms_that_other_code_has_trained_are_marked_and_kept(study, argv, capsys):
    work(study, argv, poll=0.02, report=quiet)
    assert summary(study).by_other_code is None
    other_code(study, "a")
    seen = summary(study)
    assert [(row.name, row.state, row.code) for row in seen.arms if row.code] == [("arm-a", "done", "0.0.9+abc")]
    verb([str(study)])
    lines = capsys.readouterr().out.splitlines()
    assert "  done       arm-a, by other code: 0.0.9+abc" in lines
    assert lines[-1].startswith("1 arm was trained by other code than is here (0.1.0+")
    assert lines[-1].endswith("and kept. To train all again in another folder: sweep fusion=conv run.root=again")
    other_code(study, "a", None)
    assert summary(study).by_other_code is None  # an older version did not say


def test_arms_of_several_attempts_have_the_code_of_their_records(study, argv):
    attempt = Ledger(study, read(study), session="old").claim("a")
    attempt.end("interrupted")
    other_code(study, "a")
    work(study, argv, poll=0.02, report=quiet)
    assert summary(study).by_other_code is None  # the stub's record does not say
    place = study / "jobs" / "a" / "published" / "arm-a" / "run.json"
    record = json.loads(place.read_text())
    record["circumstances"]["code"] = "0.0.8+abc"
    place.write_text(to_json(record))
    assert summary(study).arms[0].code == "0.0.8+abc"


def test_a_look_without_a_change_gives_the_same_summary(study, argv):
    seen = Status(study)
    before = seen.summary()
    assert seen.summary() is before
    attempt = Ledger(study, read(study)).claim("a")
    after = seen.summary()
    assert (after.jobs[0].state, after.jobs[1:]) == ("running", before.jobs[1:])
    assert after.jobs[1] is before.jobs[1]  # only rows that have changed are made
    attempt.end("interrupted")
    assert seen.summary().jobs[0].state == "ready"


def test_a_command_that_no_shell_reads_is_not_repeated():
    done = ArmRow("x", "fused", "done", None, None, "j", code="0.0.9+abc")
    again = Summary((), (done,), command="sweep run.root=it's").by_other_code
    assert again.endswith("in another folder: its command with run.root=again")
