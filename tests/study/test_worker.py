import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.records.record import new_record, read_records, write_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import Plan, read
from fusionlab.study.process_id import process_started
from fusionlab.study.worker import REQUEUE, child_argv, work

# A worker as a process of its own, with the tests' children: python -c WORKER <study> [seconds of grace]
WORKER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "fakes")!r})
from child_argv import child_argv
from fusionlab.study.worker import work
sys.exit(work(sys.argv[1], child_argv, poll=0.05, beat_s=0.1, grace_s=float(sys.argv[2])))
"""


def run(study, argv, **words):
    lines = []
    status = work(study, argv, poll=0.02, report=lines.append, **words)
    return status, lines


def ends(study, job):
    folder = study / "jobs" / job / "claims"
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.end.json"))]


def outcomes(study, job):
    return [end["outcome"] for end in ends(study, job)]


def start(study, grace=10.0, **environment):
    environment = {**os.environ, **environment}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(study), str(grace)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def child_pid(study, job, number=1):
    place = Attempt(study / "jobs" / job, number).folder / "pid"
    wait_for(lambda: place.is_file() and place.read_text())
    return int(place.read_text())


def test_jobs_run_in_the_order_of_their_needs_each_in_a_fresh_process(make, argv):
    study = make({"c": (["b"], ["publish"]), "b": (["a"], ["publish"]), "a": ([], ["publish"])})
    status, lines = run(study, argv, threads=3)
    assert status == 0
    assert [line.split(":")[0] for line in lines if "starts" in line] == ["a", "b", "c"]
    assert sorted(record["name"] for record in read_records(study)) == ["arm-a", "arm-b", "arm-c"]
    attempt = Attempt(study / "jobs" / "a", 1)
    assert attempt.log.read_text().startswith("publish, threads 3\n")
    assert not list(attempt.result.iterdir())  # moved, not copied
    assert run(study, argv) == (0, [])  # the same again finds nothing to do


def test_a_job_reads_its_own_part_of_the_plan(make, argv):
    study = make({"data": ([], ["publish"]), "a": (["data"], ["publish"]), "b": (["data"], ["publish"])})
    assert run(study, argv)[0] == 0
    part = read(Attempt(study / "jobs" / "b", 1).folder)
    assert {job.id for job in part.jobs} == {"data", "b"}
    assert {arm.name for arm in part.arms} == {"arm-data", "arm-b"}


def test_a_failure_is_a_result_and_stops_nothing_else(make, argv):
    study = make({"a": ([], ["fail"]), "b": (["a"], ["publish"]), "c": ([], ["publish"]), "d": ([], ["explain"])})
    status, lines = run(study, argv)
    assert status == 1
    books = Ledger(study, read(study))
    assert {job: state.name for job, state in books.states().items()} == {
        "a": "failed",
        "b": "blocked",
        "c": "published",
        "d": "failed",
    }
    assert books.state("a").reason == "ValueError: it does not work"
    assert books.state("d").reason == "no such layer\n  got:      relu9"
    assert any(line.startswith("b: blocked through a: ValueError: it does not work (log: ") for line in lines)


def test_the_same_command_again_tries_a_failed_job_again(make, argv):
    study = make({"a": ([], ["fail", "publish"])})
    assert run(study, argv)[0] == 1
    assert run(study, argv)[0] == 0
    assert outcomes(study, "a") == ["failed", "done"]


def test_retries_within_a_session(make, argv):
    study = make({"a": ([], ["fail", "fail", "publish"])})
    assert run(study, argv, retries=1)[0] == 1
    assert outcomes(study, "a") == ["failed", "failed"]


def test_a_child_that_dies_of_a_signal_is_tried_twice_again_then_failed_with_that_reason(make, argv):
    study = make({"a": ([], ["die"]), "b": ([], ["die", "die", "publish"])})
    assert run(study, argv)[0] == 1
    assert outcomes(study, "a") == ["died", "died", "failed"]
    assert ends(study, "a")[-1]["reason"] == "killed by SIGKILL (often: out of memory), 3 times"
    assert outcomes(study, "b") == ["died", "died", "done"]


def test_ending_without_publishing_is_a_failure(make, argv):
    study = make({"a": ([], ["nothing"])})
    assert run(study, argv, threads=1)[0] == 1
    assert outcomes(study, "a") == ["died", "died", "failed"]
    reason = "its process ended with exit status 0 and without a result; its log ends: nothing, threads 1"
    assert [end["reason"] for end in ends(study, "a")] == [reason, reason, f"{reason}, 3 times"]


def test_a_child_killed_after_publishing_is_done(make, argv):
    study = make({"a": ([], ["publish and die"])})
    assert run(study, argv)[0] == 0
    assert outcomes(study, "a") == ["done"]


def test_kill_9_of_the_child_its_next_attempt_finds_the_first_ones_folder(make, argv):
    study = make({"a": ([], ["sleep 60", "publish"])})
    worker = start(study)
    os.kill(child_pid(study, "a"), signal.SIGKILL)
    assert worker.wait(20) == 0
    worker.stdout.close()
    assert outcomes(study, "a") == ["died", "done"]
    assert [attempt.folder.name for attempt in Attempt(study / "jobs" / "a", 2).earlier()] == ["001"]


def test_kill_9_of_the_worker_takes_the_child_along_and_another_goes_on(make, argv):
    study = make({"a": ([], ["sleep 60", "publish"]), "b": (["a"], ["publish"])})
    worker = start(study)
    child = child_pid(study, "a")
    worker.kill()
    wait_for(lambda: process_started(child) is None)
    assert Ledger(study, read(study)).state("a").name == "ready"  # while the worker is still a zombie
    worker.communicate()
    assert run(study, argv)[0] == 0
    assert outcomes(study, "a") == ["done"]  # the first attempt never got an end
    assert Attempt(study / "jobs" / "a", 2).end_file.is_file()


def test_an_idle_worker_waits_for_a_running_one_and_takes_over_when_it_dies(make, argv):
    study = make({"a": ([], ["sleep 60", "publish"]), "b": (["a"], ["publish"])})
    first = start(study)
    child_pid(study, "a")
    second = start(study)
    time.sleep(0.3)
    assert second.poll() is None
    first.kill()
    assert second.wait(20) == 0
    first.communicate()
    assert second.communicate()[0].count("starts") == 2


def test_two_workers_share_the_jobs_and_each_is_done_once(make, argv):
    study = make({f"j{number}": ([], ["publish"]) for number in range(12)})
    workers = [start(study), start(study)]
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(output.count("starts") for output in outputs) == 12
    assert all(outcomes(study, f"j{number}") == ["done"] for number in range(12))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_told_to_stop_ends_its_child_and_the_same_command_goes_on(make, argv, number):
    study = make({"a": ([], ["sleep 60", "publish"]), "b": (["a"], ["publish"])})
    worker = start(study)
    child = child_pid(study, "a")
    worker.send_signal(number)
    assert worker.wait(20) == 130
    worker.stdout.close()
    assert process_started(child) is None
    assert outcomes(study, "a") == ["interrupted"]
    assert run(study, argv)[0] == 0


@pytest.mark.parametrize("twice", [False, True])
def test_a_stubborn_child_is_killed_after_the_grace_or_at_the_second_signal(make, argv, twice):
    study = make({"a": ([], ["stubborn"])})
    worker = start(study, grace=60 if twice else 0.3)
    child = child_pid(study, "a")
    worker.terminate()
    if twice:
        time.sleep(0.3)
        worker.terminate()
    assert worker.wait(20) == 130
    worker.stdout.close()
    assert process_started(child) is None
    assert outcomes(study, "a") == ["interrupted"]


def test_a_lease_is_renewed_while_the_child_works(make, argv):
    study = make({"a": ([], ["sleep 0.6"])})
    beat = Attempt(study / "jobs" / "a", 1).beat_file
    stamps = set()

    def look():
        while thread.is_alive():
            if beat.is_file():
                stamps.add(beat.stat().st_mtime_ns)
            time.sleep(0.02)

    # A thread that is not the main one cannot listen to signals, and works nevertheless.
    thread = threading.Thread(target=lambda: run(study, argv, beat_s=0.1))
    thread.start()
    look()
    assert len(stamps) >= 4
    assert outcomes(study, "a") == ["done"]


def test_a_worker_that_lost_its_lease_publishes_nothing_and_reports_the_difference(make, argv, tmp_path):
    study = make({"a": ([], ["publish something else", "publish"])})
    books = Ledger(study, read(study), session="gone")
    first = books.claim("a")  # its holder is taken for dead while it is not
    claim = json.loads(first.claim_file.read_text())
    first.claim_file.write_text(json.dumps({**claim, "pid": 2**22 + 1}))
    assert run(study, argv)[0] == 0
    read(study).part("a").write(first.folder)
    subprocess.run(argv(study, "a", first), check=True, stdout=subprocess.DEVNULL)
    assert first.end("done")["differences"] == [
        "arm-a/run.json: result.accuracy: 0.5 published, 0.75 later",
    ]
    assert [record["result"]["accuracy"] for record in read_records(study)] == [0.5]


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


def test_a_worker_that_cannot_start_its_child_says_so_and_leaves_the_job_ready(make):
    study = make({"a": ([], ["publish"])})
    with pytest.raises(FileNotFoundError):
        run(study, lambda *_: ["/no/such/program"])
    assert outcomes(study, "a") == ["interrupted"]
    with pytest.raises(UserError, match="no study"):
        work(study / "elsewhere")


def test_a_full_disk_is_one_clear_error_and_the_study_goes_on_when_there_is_space(make, argv, monkeypatch):
    study = make({"a": ([], ["publish"])})
    before = set(study.rglob("*"))

    def full(_handle):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        run(study, argv)
    assert [path for path in set(study.rglob("*")) - before if path.is_file()] == []
    monkeypatch.undo()
    assert run(study, argv)[0] == 0


def test_the_command_line_of_a_job():
    words = child_argv(Path("/runs/x y"), "cohort-1", Attempt(Path("/runs/x y/jobs/cohort-1"), 3))
    assert words == [
        sys.executable,
        "-m",
        "fusionlab.work",
        "/runs/x y",
        "--job",
        "cohort-1",
        "--attempt",
        "3",
        "--plan",
        "/runs/x y/jobs/cohort-1/attempts/003",
    ]


def arms(study, job="k"):
    """For each attempt: how many arms it took, and its outcome."""
    claims = sorted((study / "jobs" / job / "claims").glob("[0-9][0-9][0-9].json"))
    return [len(json.loads(claim.read_text())["arms"]) for claim in claims], outcomes(study, job)


def published(study, job="k"):
    return {place.name for place in (study / "jobs" / job / "published").iterdir()}


@pytest.mark.parametrize(
    ("at", "deed"),
    [
        pytest.param(at, deed, marks=() if at == 5 or (at, deed) in ((0, "die"), (7, "fail")) else pytest.mark.slow)
        for at in (0, 5, 7)
        for deed in ("die", "exit 3", "exit 0", "signal 11", "fail")
    ],
)  # each end in the middle, each place with one of them; the slow tests try all
def test_an_arm_that_ends_its_process_stops_no_other(make, argv, at, deed):
    names = [f"arm{number}" for number in range(8)]
    study = make({"k": ([], [{name: deed if name == names[at] else "publish" for name in names}])})
    assert run(study, argv)[0] == 1
    assert published(study) == {*names} - {names[at]}
    sizes, ended = arms(study)
    assert sizes[:2] == [8, 4]
    assert len(sizes) <= 12, "halves, until it is found"
    state = Ledger(study, read(study)).state("k")
    signs = {"die": "SIGKILL", "exit 3": "status 3", "exit 0": "status 0", "signal 11": "SIGSEGV", "fail": "ValueError"}
    assert list(state.failed) == [names[at]]
    assert signs[deed] in state.failed[names[at]].reason
    assert ended.count("failed") == 1


def test_two_arms_that_end_their_process_and_the_command_again(make, argv):
    names = [f"arm{number}" for number in range(6)]
    first = {name: "signal 11" if name in ("arm1", "arm4") else "publish" for name in names}
    study = make({"k": ([], [first])})
    assert run(study, argv)[0] == 1
    assert published(study) == {*names} - {"arm1", "arm4"}
    before = {place: place.stat().st_mtime_ns for place in (study / "jobs" / "k" / "published").iterdir()}
    plan = json.loads((study / "plan.json").read_text())
    (deeds,) = (part for part in plan["parts"] if isinstance(part, list))
    deeds[0]["arm4"] = "publish"  # its user has repaired it
    (study / "plan.json").write_text(json.dumps(plan))
    for place in study.rglob("job.json"):
        place.unlink()
    assert run(study, argv)[0] == 1
    assert published(study) == {*names} - {"arm1"}
    assert all(place.stat().st_mtime_ns == stamp for place, stamp in before.items()), "companions are left alone"


@pytest.mark.parametrize("most", [1, 2, 3])
def test_where_memory_is_short_arms_are_trained_in_parts(make, argv, most):
    names = [f"arm{number}" for number in range(6)]
    study = make({"k": ([], [dict.fromkeys(names, f"memory {most}")])})
    assert run(study, argv)[0] == 0
    assert published(study) == {*names}
    assert ends(study, "k")[0]["reason"].startswith("out of memory: RuntimeError: ")
    assert arms(study)[0][0] == 6 and arms(study)[0][-1] <= most


def test_a_failed_arm_is_not_published_and_is_tried_again_by_the_next_command(make, argv):
    study = make({"k": ([], [{"x": "publish", "y": "publish a failed arm"}, {"x": "publish", "y": "publish"}])})
    assert run(study, argv)[0] == 1
    assert published(study) == {"x"}
    assert (Attempt(study / "jobs" / "k", 1).failed / "y" / "run.json").is_file()
    assert run(study, argv)[0] == 0
    assert arms(study) == ([2, 1], ["failed", "done"])


def test_two_workers_on_the_halves_of_a_cohort_publish_each_arm_once(make):
    names = [f"arm{number}" for number in range(8)]
    study = make({"k": ([], [{name: "die" if name == "arm6" else "publish" for name in names}])})
    workers = [start(study), start(study)]
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    assert published(study) == {*names} - {"arm6"}
    won = [arm for end in ends(study, "k") for arm in end["published"]]
    assert sorted(won) == sorted({*names} - {"arm6"}), outputs
    assert not [line for end in ends(study, "k") for line in end["differences"]]


def test_a_job_without_progress_is_ended(make, argv):
    study = make({"k": ([], [{"x": "publish", "y": "sleep 60", "z": "publish"}])})
    begun = time.monotonic()
    assert run(study, argv, timeout_s=0.5)[0] == 1
    assert time.monotonic() - begun < 30
    assert published(study) == {"x", "z"}
    assert "no progress for 0.5 seconds (run.timeout)" in ends(study, "k")[0]["reason"]


def test_a_job_that_reports_progress_is_left_alone(make, argv):
    study = make({"a": ([], ["work 1.5"])})
    assert run(study, argv, timeout_s=0.7)[0] == 0


def test_a_log_that_grows_and_grows_is_bounded(make, argv, monkeypatch):
    monkeypatch.setattr("fusionlab.study.worker.LOG_MOST", 100_000)
    study = make({"a": ([], ["talk"])})
    assert run(study, argv, beat_s=0.05)[0] == 0
    log = Attempt(study / "jobs" / "a", 1).log.read_text()
    assert log.startswith("talk") and "the last line" in log[-200:]
    assert "bytes were removed here" in log
    assert len(log) < 3_000_000


@pytest.fixture
def kinds_study(tmp_path, make_plan):
    """A store, a stream that needs it, and a cohort that needs the stream."""
    plan = make_plan({"s": ([], ["publish"]), "t": (["s"], ["publish"]), "k": (["t"], ["publish"])})
    kinds = {"s": "prepare", "t": "stream", "k": "cohort"}
    jobs = [replace(job, kind=kinds[job.id]) for job in plan.jobs]
    Plan.of(plan.command, jobs, plan.arms).write(tmp_path)
    return tmp_path


def test_a_worker_of_some_kinds_takes_only_these_and_ends_when_none_of_them_is_left(kinds_study, argv):
    status, lines = run(kinds_study, argv, kinds=("prepare",))
    assert status == 0
    assert [line.split(":")[0] for line in lines if "starts" in line] == ["s"]
    assert Ledger(kinds_study, read(kinds_study)).state("t").name == "ready"
    status, lines = run(kinds_study, argv, kinds=("stream", "cohort"))
    assert status == 0
    assert [line.split(":")[0] for line in lines if "starts" in line] == ["t", "k"]


def test_a_worker_of_some_kinds_waits_for_what_its_jobs_need(kinds_study, argv):
    waiting = threading.Thread(target=lambda: answers.append(run(kinds_study, argv, kinds=("cohort", "stream"))[0]))
    answers = []
    waiting.start()
    time.sleep(0.2)
    assert waiting.is_alive()
    assert run(kinds_study, argv, kinds=("prepare",))[0] == 0
    waiting.join(20)
    assert answers == [0]


def test_an_unknown_kind_is_refused(kinds_study, argv):
    with pytest.raises(UserError, match="unknown kind of job"):
        run(kinds_study, argv, kinds=("stream", "cohorts"))


def test_near_the_time_limit_a_worker_stops_its_job_and_asks_to_be_started_again(make, argv):
    study = make({"a": ([], ["sleep 60", "publish"]), "b": ([], ["publish"])})
    worker = start(study)
    child = child_pid(study, "a")
    worker.send_signal(signal.SIGUSR1)
    assert worker.wait(20) == REQUEUE
    worker.stdout.close()
    assert process_started(child) is None
    assert outcomes(study, "a") == ["interrupted"]
    assert outcomes(study, "b") == []


def test_near_the_time_limit_of_the_last_job_that_is_published_nothing_is_left(make, argv):
    study = make({"a": ([], ["publish and wait"])})
    worker = start(study)
    child_pid(study, "a")
    worker.send_signal(signal.SIGUSR1)
    assert worker.wait(20) == 0
    worker.stdout.close()
    assert outcomes(study, "a") == ["done"]


def test_the_notice_of_the_time_limit_does_not_reach_the_job(make, argv):
    """A scheduler may send it to every process."""
    study = make({"a": ([], ["sleep 1"])})
    worker = start(study)
    os.kill(child_pid(study, "a"), signal.SIGUSR1)
    assert worker.wait(20) == 0
    worker.stdout.close()
    assert outcomes(study, "a") == ["done"]


def test_one_signal_that_comes_twice_at_once_does_not_kill(make, argv):
    study = make({"a": ([], ["tidy"])})
    worker = start(study)
    child_pid(study, "a")
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        worker.send_signal(number)
    assert worker.wait(20) == 130
    worker.stdout.close()
    assert (Attempt(study / "jobs" / "a", 1).folder / "tidied").is_file()


def test_a_claim_names_device_and_scheduler(make, monkeypatch):
    study = make({"a": ([], ["publish"])})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-12ab")
    slurm = {"ARRAY_JOB_ID": "12", "ARRAY_TASK_ID": "3", "JOB_ID": "15", "RESTART_COUNT": "2"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURMD_NODENAME", "node7")
    attempt, job = Ledger(study, read(study)).claim_next(("cohort",))
    claim = json.loads(attempt.claim_file.read_text())
    assert (job, claim["device"]) == ("a", "GPU-12ab")
    assert claim["scheduler"] == {"job": "12_3", "restart": 2, "node": "node7"}
    attempt.end("interrupted")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    for name in slurm:
        monkeypatch.delenv(f"SLURM_{name}")
    claim = json.loads(Ledger(study, read(study)).claim("a").claim_file.read_text())
    assert claim["device"] == "cpu"
    assert "scheduler" not in claim


def test_there_is_no_next_job_of_another_kind(kinds_study):
    books = Ledger(kinds_study, read(kinds_study))
    assert books.claim_next(("stream", "cohort")) is None
    assert books.claim_next(("prepare", "cohort"))[1] == "s"
    assert books.claim_next() is None
