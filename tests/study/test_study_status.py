from pathlib import Path

import pytest

from fusionlab.jobs.retest import retest
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read
from fusionlab.study.status import Status, summary
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
