import json
import multiprocessing
import os
import shutil
import time
from dataclasses import replace

import pytest

from fusionlab.errors import UserError
from fusionlab.records.files import folder_clock, write_text
from fusionlab.records.record import new_record, read_record, write_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read
from fusionlab.study.process_id import ProcessId

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
    (arm,) = attempt.arms
    write_text(attempt.result / arm / "a.txt", text)
    return attempt.publish(arm)


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
    assert once.state("a").reason == "second"  # each session has its own failures
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
    holder = replace(ProcessId.from_dict(claim), **changes)
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
        write_text(attempt.result / "arm-a" / "run.json", json.dumps(record))
        write_text(attempt.result / "arm-a" / "predictions.csv", f"video\nv,{accuracy}\n")
        write_text(attempt.result / "arm-a" / "weights.pt", str(attempt.number))
    write_text(first.result / "arm-a" / "more.txt", "")
    assert second.publish("arm-a").won
    lost = first.publish("arm-a")
    assert not lost.won
    assert (first.result / "arm-a").is_dir()
    assert lost.differences == [
        "more.txt: only in the later result",
        "predictions.csv: 1 lines differ, the first is line 2",
        "run.json: result.accuracy: 0.5 published, 0.75 later",
    ]
    assert first.end("done")["differences"] == [f"arm-a/{line}" for line in lost.differences]
    assert second.end("done") == {
        "outcome": "done",
        "reason": None,
        "arms": {},
        "log": "attempts/002/log.txt",
        "published": ["arm-a"],
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
    write_text(second.result / "arm-a" / "a.txt", "x")
    lost = second.publish("arm-a")
    assert not lost.won
    assert lost.differences == []
    assert second.publications() == {"arm-a": lost}


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
    assert [attempt.folder.name for attempt in last.earlier()] == ["002", "001"]


def test_a_shared_folder_that_belongs_to_another_job_is_refused(tmp_path, make_plan):
    for name, deeds in (("x", ["publish"]), ("y", ["die"])):
        make_plan({"5": ([], deeds)}, folder="../streams/000000000000000{}").write(tmp_path / name)
    assert ledger(tmp_path / "x").claim("5")
    with pytest.raises(UserError) as caught:
        ledger(tmp_path / "y").claim("5")
    assert "another job" in str(caught.value)
    assert "do[0]" in str(caught.value)


def test_two_studies_share_a_stream(tmp_path, make_plan):
    for name in "xy":
        make_plan({"5": ([], ["publish"])}, folder="../streams/000000000000000{}").write(tmp_path / name)
    attempt = ledger(tmp_path / "x").claim("5")
    assert ledger(tmp_path / "y").state("5").name == "running"
    publish(attempt)
    assert ledger(tmp_path / "y").state("5").name == "published"


def test_nothing_that_a_contender_finds_is_ever_deleted(study):
    attempt = ledger(study).claim("a")
    write_text(attempt.folder / "checkpoint.pt", "half a training")
    plant(attempt, pid=2**22 + 1)
    before = set((study / "jobs" / "a").rglob("*"))
    ledger(study).claim("a")
    assert before <= set((study / "jobs" / "a").rglob("*"))


COHORT = {"k": ([], [dict.fromkeys(("x", "y", "z"), "publish")])}


@pytest.fixture
def cohort(tmp_path, make_plan):
    make_plan(COHORT).write(tmp_path)
    return tmp_path


def record(folder, arm, status="done"):
    reason = "diverged" if status == "failed" else None
    write_record(
        folder / arm,
        new_record(name=arm, kind="fused", axes={}, signature=arm, config={}, status=status, reason=reason),
    )


def test_a_job_is_done_when_each_of_its_arms_is_and_an_attempt_takes_those_that_are_left(cohort):
    books = ledger(cohort)
    first = books.claim("k")
    assert first.arms == ("x", "y", "z")
    record(first.result, "y")
    assert first.publish("y").won
    record(first.failed, "z", "failed")
    first.end("failed", "z: diverged", first.failures())
    state = books.state("k")
    assert (state.name, set(state.published), {arm: one.reason for arm, one in state.failed.items()}) == (
        "ready",
        {"y"},
        {"z": "diverged"},
    )
    second = books.claim("k")
    assert second.arms == ("x",)  # z has failed in this session
    record(second.result, "x")
    second.publish("x")
    second.end("done")
    assert (books.state("k").name, books.state("k").reason) == ("failed", "z: diverged")
    again = ledger(cohort, session="s2").claim("k")  # the same command, typed again
    assert again.arms == ("z",)
    record(again.result, "z")
    again.publish("z")
    assert ledger(cohort, session="s2").state("k").name == "published"
    assert not (cohort / "jobs" / "k" / "published" / "z" / "failed").exists()


def test_a_failed_record_that_an_older_version_published_moves_into_the_attempt_that_replaces_it(cohort):
    published = cohort / "jobs" / "k" / "published"
    for arm, status in (("x", "done"), ("y", "done"), ("z", "failed")):
        record(published, arm, status)
    onlooker = Ledger(cohort, read(cohort))
    assert (onlooker.state("k").name, onlooker.state("k").failed["z"].reason) == ("failed", "diverged")
    attempt = ledger(cohort).claim("k")
    assert attempt.arms == ("z",)
    record(attempt.result, "z")
    assert attempt.publish("z").won
    assert read_record(attempt.folder / "replaced" / "z")["status"] == "failed"
    assert read_record(published / "z")["status"] == "done"
    assert ledger(cohort).state("k").name == "published"


def test_two_attempts_alive_at_once_publish_each_arm_once(cohort):
    first = plant(ledger(cohort).claim("k"), pid=2**22 + 1)  # taken for dead, while it is not
    second = ledger(cohort).claim("k")
    won = {}
    for attempt, arms in ((first, "xy"), (second, "yzx"), (first, "z")):
        for arm in arms:
            record(attempt.result, arm)
            won.setdefault(arm, []).append(attempt.publish(arm).won)
    assert {arm: all_.count(True) for arm, all_ in won.items()} == {"x": 1, "y": 1, "z": 1}
    assert ledger(cohort).state("k").name == "published"


def test_checkpoints_of_before_an_arm_failed_are_not_gone_on_with(cohort):
    books = ledger(cohort)
    for _ in range(2):
        last = books.claim("k")
        last.end("interrupted")
    record(last.failed, "z", "failed")
    now = books.claim("k")
    assert [folder.name for folder in now.checkpoints("x")] == ["002", "001"]
    assert now.checkpoints("z") == []


def test_a_copied_study_does_not_wait_for_the_pid_of_the_original(study, tmp_path):
    attempt = ledger(study).claim("a")
    copy = tmp_path / "copy"
    shutil.copytree(study / "jobs", copy / "jobs")
    shutil.copy(study / "plan.json", copy)
    assert ledger(study).state("a").name == "running"
    assert ledger(copy).state("a").name == "running"  # copied a moment ago: its lease has to run out
    stale = copy / "jobs" / "a" / "claims" / "001.beat"
    os.utime(stale, (1, 1))
    assert ledger(copy).state("a").name == "ready"
    os.utime(attempt.beat_file, (1, 1))
    assert ledger(study).state("a").name == "running"  # here its pid is known


def test_a_beat_in_the_future_holds_no_longer_than_a_lease(study):
    attempt = plant(ledger(study).claim("a"), host="elsewhere")
    later = folder_clock(study) + 10**6
    os.utime(attempt.beat_file, (later, later))
    books = ledger(study, lease_s=0.3)
    assert books.state("a").name == "running"
    os.utime(attempt.beat_file, (later + 1, later + 1))  # it beats
    time.sleep(0.4)
    assert books.state("a").name == "running"
    time.sleep(0.4)
    assert books.state("a").name == "ready"


def test_a_job_s_folder_that_is_a_link_is_refused(study, tmp_path):
    (tmp_path / "victim").mkdir()
    (study / "jobs" / "a").mkdir(parents=True)
    (study / "jobs" / "a" / "attempts").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="is a link"):
        ledger(study).claim("a")
    assert not list((tmp_path / "victim").iterdir())
