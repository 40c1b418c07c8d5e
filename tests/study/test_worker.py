import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from stub_workers import child_pid, ends, outcomes, run, start, wait_for

from fusionlab.errors import UserError
from fusionlab.records.record import read_records
from fusionlab.study.attempt import Attempt
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read
from fusionlab.study.process_id import process_started
from fusionlab.study.worker import child_argv, work


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


def test_files_and_folders_of_a_cohort_are_few(make, argv):
    """Disks of clusters limit their number: of a job's own some 15, and of each arm what it publishes."""
    names = [f"arm{number}" for number in range(12)]
    study = make({"k": ([], [dict.fromkeys(names, "publish")])})
    assert run(study, argv)[0] == 0
    job = study / "jobs" / "k"
    of_arms = list((job / "published").rglob("*"))
    assert len(of_arms) == 2 * len(names)  # a folder and its record
    assert len(list(job.rglob("*"))) - len(of_arms) <= 12
    assert {one.name for one in study.iterdir()} == {"plan.json", "jobs"}
