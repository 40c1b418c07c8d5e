"""What other workers hear of changes may be lost or wrong: nothing is lost, done twice, or waits forever."""

import json
import random
from dataclasses import replace

import pytest

from fusionlab.benchmarks.ledger_rows import make_plan, work_in_turns
from fusionlab.records.files import write_text
from fusionlab.study import attempt as attempts
from fusionlab.study import ledger as module
from fusionlab.study.changes import FILE
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read
from fusionlab.study.process_id import ProcessId

WORKERS, JOBS = 5, 40


def limited(turn):
    assert turn < 1000, "workers wait forever"


def once(published):
    return len(published) == JOBS and set(published.values()) == {1}


def test_each_job_is_published_once(tmp_path):
    assert once(work_in_turns(tmp_path, WORKERS, JOBS, limited)[0])


def test_if_all_lines_are_lost(tmp_path, monkeypatch):
    for one in (attempts, module):
        monkeypatch.setattr(one, "note", lambda *_: None)
    assert once(work_in_turns(tmp_path, WORKERS, JOBS, limited)[0])
    assert not list(tmp_path.rglob(FILE))


@pytest.mark.parametrize("seed", range(5))
def test_if_lines_are_lost_wrong_or_foreign(tmp_path, monkeypatch, seed):
    """Half of the lines are lost; others say things that did not happen, of any job; the file is cut, and replaced."""
    chance = random.Random(seed)
    for one in (attempts, module):
        note = one.note
        monkeypatch.setattr(one, "note", lambda *told, note=note: chance.random() < 0.5 and note(*told))
    file = tmp_path / "jobs" / FILE

    def meanwhile(turn):
        limited(turn)
        if not file.parent.is_dir():
            return
        with file.open("a") as more:
            for _ in range(chance.randrange(4)):
                more.write(f"{chance.choice(('claim', 'arm', 'done', 'end', 'x'))} j{chance.randrange(JOBS):05d}\n")
        if chance.random() < 0.1:
            file.write_text("")
        if chance.random() < 0.1:
            file.unlink()

    assert once(work_in_turns(tmp_path, WORKERS, JOBS, meanwhile)[0])


def test_a_change_is_seen_by_others_without_a_look_at_all_jobs(tmp_path, monkeypatch):
    plan = make_plan(JOBS)
    plan.write(tmp_path)
    one, other = (Ledger(tmp_path, plan, session=name) for name in ("one", "other"))
    assert other.count("ready", ("stream",)) == 8
    looks = []
    monkeypatch.setattr(Ledger, "_own", lambda self, job, own=Ledger._own: looks.append(job) or own(self, job))
    attempt, job = one.claim_next()
    looks.clear()
    assert other.count("ready", ("stream",)) == 7
    assert looks == []
    attempt.end("interrupted")
    assert other.claim_next()[1] == job  # it is ready again
    assert set(looks) == {job}


def test_few_workers_keep_the_order_and_many_do_not_race_for_one_job(tmp_path, monkeypatch):
    plan = make_plan(JOBS)
    plan.write(tmp_path)
    assert [Ledger(tmp_path, plan).claim_next()[1] for _ in range(8)] == [f"j{number:05d}" for number in range(8)]
    # Each of these believes that all are ready.
    other = tmp_path / "other"
    late = [Ledger(other, plan, session=str(number)) for number in range(8)]
    plan.write(other)
    for one in late:
        one.look()
    monkeypatch.setattr(module.Changes, "new", lambda self: [])
    tries = []
    monkeypatch.setattr(Ledger, "claim", lambda self, job, claim=Ledger.claim: tries.append(job) or claim(self, job))
    assert len({one.claim_next()[1] for one in late}) == 8
    assert len(tries) < 8 * 8 // 2 + 8


def test_jobs_that_run_are_looked_at_in_turns(tmp_path):
    plan = make_plan(60)
    plan.write(tmp_path)
    books = Ledger(tmp_path, plan, session="dead")
    for _ in range(8):
        attempt, _ = books.claim_next()
        claim = json.loads(attempt.claim_file.read_text())
        dead = replace(ProcessId.from_dict(claim), pid=2**22 + 1)
        attempt.claim_file.write_text(json.dumps({**claim, **dead.to_dict()}, indent=2))
    (tmp_path / "jobs" / FILE).unlink()
    other = Ledger(tmp_path, plan, session="other")
    other._states.running.update(dict.fromkeys(f"j{number:05d}" for number in range(8)))
    taken = [other.claim_next() for _ in range(8)]
    assert {job for _, job in taken} == {f"j{number:05d}" for number in range(8)}
    assert all(attempt.number == 2 for attempt, _ in taken)


def test_what_ended_long_ago_is_looked_at_once(tmp_path, monkeypatch):
    work_in_turns(tmp_path, 1, JOBS)
    books = Ledger(tmp_path, make_plan(JOBS))
    looks = []
    monkeypatch.setattr(Ledger, "_own", lambda self, job, own=Ledger._own: looks.append(job) or own(self, job))
    for _ in range(3):
        assert {state.name for state in books.states().values()} == {"published"}
        assert not books.left()
    assert len(looks) == JOBS


def test_a_study_hears_of_the_streams_that_another_one_trains(tmp_path, make_plan, monkeypatch):
    for name in "xy":
        make_plan({"5": ([], ["publish"])}, folder="../streams/000000000000000{}").write(tmp_path / name)
    one, other = (Ledger(tmp_path / name, read(tmp_path / name), session=name) for name in "xy")
    assert other.count("ready") == 1
    attempt, _ = one.claim_next(("stream",))
    assert other.count("running") == 1
    assert other.claim_next(("stream",)) is None
    (arm,) = attempt.arms
    write_text(attempt.result / arm / "a.txt", "x")
    attempt.publish(arm)
    attempt.end("done")
    monkeypatch.setattr(other, "_next_look", float("inf"))  # no look at all jobs is due
    assert other.states()["5"].name == "published"
    assert not other.left()
