import json
import multiprocessing
import os
import time
from dataclasses import replace

import pytest

from fusionlab.errors import UserError
from fusionlab.records.files import folder_clock, write_text
from fusionlab.study.attempt import Attempt
from fusionlab.study.holder import Holder
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read

SPAWN = multiprocessing.get_context("spawn")
CHAIN = {"a": ([], ["publish"]), "b": (["a"], ["publish"]), "c": (["b"], ["publish"])}


@pytest.fixture
def study(tmp_path, make_plan):
    make_plan(CHAIN).write(tmp_path)
    return tmp_path


def ledger(study, **words):
    return Ledger(study, read(study), session=words.pop("session", "s1"), **words)


def names(books):
    return {job: state.name for job, state in books.states().items()}


def publish(attempt, text="x"):
    write_text(attempt.result / "a.txt", text)
    return attempt.publish()


def test_from_ready_to_published_job_by_job(study):
    books = ledger(study)
    assert names(books) == {"a": "ready", "b": "waiting", "c": "waiting"}
    assert books.state("c").needs == ("b",)
    attempt = books.claim("a")
    assert attempt.number == 1
    assert attempt.result.is_dir()
    assert attempt.beat_file.is_file()
    assert names(books) == {"a": "running", "b": "waiting", "c": "waiting"}
    assert books.state("a").by.pid == os.getpid()
    assert books.claim("a") is None
    assert books.claim("b") is None
    assert publish(attempt).won
    attempt.end("done")
    assert names(books) == {"a": "published", "b": "ready", "c": "waiting"}
    assert books.claim("a") is None


def test_a_failure_blocks_what_needs_it_and_says_through_whom(study):
    books = ledger(study)
    attempt = books.claim("a")
    attempt.end("failed", "it does not work")
    assert names(books) == {"a": "failed", "b": "blocked", "c": "blocked"}
    failed, blocked = books.state("a"), books.state("c")
    assert failed.reason == "it does not work"
    assert failed.log == attempt.log
    assert failed.attempts == 1
    assert (blocked.reason, blocked.through, blocked.log) == ("it does not work", "a", attempt.log)


def test_retries_count_within_a_session_and_a_new_one_counts_anew(study):
    once = ledger(study, retries=1)
    once.claim("a").end("failed", "first")
    assert once.state("a").name == "ready"
    once.claim("a").end("failed", "second")
    assert once.state("a").name == "failed"
    assert once.claim("a") is None
    again = ledger(study, session="s2")
    assert again.state("a").name == "ready"
    again.claim("a").end("failed", "third")
    assert again.state("a").reason == "third"
    assert once.state("a").reason == "third"
    onlooker = Ledger(study, read(study))
    assert onlooker.state("a").name == "failed"
    assert onlooker.state("a").attempts == 3


@pytest.mark.parametrize("outcome", ["interrupted", "died"])
def test_what_was_interrupted_or_died_is_ready_again(study, outcome):
    books = ledger(study)
    books.claim("a").end(outcome, "why")
    assert books.state("a").name == "ready"
    assert books.claim("a").number == 2


def test_the_first_end_holds(study):
    attempt = ledger(study).claim("a")
    attempt.end("done")
    attempt.end("failed", "late")
    assert json.loads(attempt.end_file.read_text())["outcome"] == "done"


def race(study, who, barrier, answers):
    books = Ledger(study, read(study), session=f"s{who}")
    for job in books.plan.jobs:
        barrier.wait()
        attempt = books.claim(job.id)
        answers.put((job.id, who, attempt and attempt.number))
        barrier.wait()


def test_two_processes_racing_for_claims_one_gets_each(tmp_path, make_plan):
    jobs = {f"j{number:02d}": ([], ["publish"]) for number in range(40)}
    plan = make_plan(jobs)
    plan.write(tmp_path)
    for job in plan.jobs[::2]:  # every second one has a dead attempt, which both see
        plant(Ledger(tmp_path, plan, session="old").claim(job.id), pid=2**22 + 1)
    barrier, answers = SPAWN.Barrier(2), SPAWN.Queue()
    racers = [SPAWN.Process(target=race, args=(tmp_path, who, barrier, answers)) for who in (1, 2)]
    for racer in racers:
        racer.start()
    got = [answers.get(timeout=60) for _ in range(80)]
    for racer in racers:
        racer.join()
    for place, job in enumerate(jobs):
        (number,) = [number for name, _, number in got if name == job and number]
        assert number == (1 if place % 2 else 2)


def plant(attempt, **changes):
    """Make a claim another holder's, as if it had been written there."""
    claim = json.loads(attempt.claim_file.read_text())
    holder = replace(Holder.from_dict(claim), **changes)
    attempt.claim_file.write_text(json.dumps({**claim, **holder.to_dict()}))
    return attempt


def test_the_lease_of_another_host_goes_stale_by_one_clock(study, monkeypatch):
    attempt = plant(ledger(study).claim("a"), host="elsewhere")
    # Our own clock is an hour wrong, in either direction: only the folder's counts.
    for wrong in (3600, -3600):
        monkeypatch.setattr(time, "time", lambda wrong=wrong, right=time.time: right() + wrong)
        assert ledger(study, lease_s=60).state("a").name == "running"
        monkeypatch.undo()
    now = folder_clock(study)
    os.utime(attempt.beat_file, (now - 50, now - 50))
    assert ledger(study, lease_s=60).state("a").name == "running"
    assert ledger(study, lease_s=60).claim("a") is None
    os.utime(attempt.beat_file, (now - 70, now - 70))
    assert ledger(study, lease_s=60).state("a").name == "ready"
    attempt.beat()
    assert ledger(study, lease_s=60).state("a").name == "running"
    os.utime(attempt.beat_file, (now - 70, now - 70))
    assert ledger(study, lease_s=60).claim("a").number == 2


def test_a_holder_that_died_before_its_first_beat_has_the_lease_of_its_claim(study):
    attempt = plant(ledger(study).claim("a"), host="elsewhere")
    attempt.beat_file.unlink()
    assert ledger(study).state("a").name == "running"
    os.utime(attempt.claim_file, (1, 1))
    assert ledger(study).state("a").name == "ready"


def test_on_the_same_host_a_stale_lease_means_nothing_and_a_dead_pid_everything(study):
    attempt = ledger(study).claim("a")
    os.utime(attempt.beat_file, (1, 1))
    assert ledger(study).state("a").name == "running"
    plant(attempt, pid=2**22 + 1)
    attempt.beat()
    assert ledger(study).state("a").name == "ready"


def test_the_loser_keeps_its_result_compares_and_reports(study):
    first = ledger(study).claim("a")
    plant(first, pid=2**22 + 1)  # taken for dead, while it is not
    second = ledger(study).claim("a")
    for attempt, accuracy in ((second, 0.5), (first, 0.75)):
        record = {
            "result": {"accuracy": accuracy},
            "circumstances": {"n": attempt.number},
            "log": str(attempt.number),
        }
        write_text(attempt.result / "x" / "run.json", json.dumps(record))
        write_text(attempt.result / "x" / "predictions.csv", f"video\nv,{accuracy}\n")
        write_text(attempt.result / "x" / "weights.pt", str(attempt.number))
    write_text(first.result / "x" / "more.txt", "")
    assert second.publish().won
    lost = first.publish()
    assert not lost.won
    assert first.result.is_dir()
    assert lost.differences == [
        "x/more.txt: only in the later result",
        "x/predictions.csv: 1 lines differ, the first is line 2",
        "x/run.json: result.accuracy: 0.5 published, 0.75 later",
    ]
    assert first.end("done")["differences"] == lost.differences
    assert second.end("done") == {
        "outcome": "done",
        "reason": None,
        "log": "attempts/002/log.txt",
        "published": True,
        "differences": [],
    }


def test_a_difference_between_machines_says_that_it_is_one(study):
    first, second = ledger(study).claim("a"), Attempt(study / "jobs" / "a", 2)
    second.open()
    for attempt, capability in ((first, "AVX2"), (second, "AVX512")):
        record = {"result": {"accuracy": attempt.number}, "circumstances": {"machine": {"capability": capability}}}
        write_text(attempt.result / "x" / "run.json", json.dumps(record))
    assert first.publish().won
    assert second.publish().differences == [
        "x/run.json: result.accuracy: 1 published, 2 later",
        "x/run.json: equality is not promised here: instruction set AVX2 → AVX512",
    ]


def test_two_equal_results_have_nothing_to_report(study):
    first, second = ledger(study).claim("a"), Attempt(study / "jobs" / "a", 2)
    second.open()
    assert publish(first).won
    lost = publish(second)
    assert not lost.won
    assert lost.differences == []
    assert second.publication() == lost


def test_published_before_its_worker_died_is_published(study):
    attempt = ledger(study).claim("a")
    publish(attempt)
    plant(attempt, pid=2**22 + 1)
    assert ledger(study).state("a").name == "published"
    assert ledger(study).claim("a") is None


def test_earlier_attempts_newest_first(study):
    books = ledger(study)
    for _ in range(3):
        last = books.claim("a")
        last.end("interrupted")
    assert [folder.name for folder in last.earlier()] == ["002", "001"]


def test_a_shared_folder_that_belongs_to_another_job_is_refused(tmp_path, make_plan):
    for name, deeds in (("x", ["publish"]), ("y", ["die"])):
        make_plan({"s": ([], deeds)}, folder="../streams/{}").write(tmp_path / name)
    assert ledger(tmp_path / "x").claim("s")
    with pytest.raises(UserError) as caught:
        ledger(tmp_path / "y").claim("s")
    assert "another job" in str(caught.value)
    assert "do[0]" in str(caught.value)


def test_two_studies_share_a_stream(tmp_path, make_plan):
    for name in "xy":
        make_plan({"s": ([], ["publish"])}, folder="../streams/{}").write(tmp_path / name)
    attempt = ledger(tmp_path / "x").claim("s")
    assert ledger(tmp_path / "y").state("s").name == "running"
    publish(attempt)
    assert ledger(tmp_path / "y").state("s").name == "published"


def test_nothing_that_a_contender_finds_is_ever_deleted(study):
    attempt = ledger(study).claim("a")
    write_text(attempt.folder / "checkpoint.pt", "half a training")
    plant(attempt, pid=2**22 + 1)
    before = set((study / "jobs" / "a").rglob("*"))
    ledger(study).claim("a")
    assert before <= set((study / "jobs" / "a").rglob("*"))
