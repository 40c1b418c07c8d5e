import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from fusionlab.study.process_id import ProcessId, process_started, scheduled, started_again


def test_this_process_lives_and_no_other_with_its_pid():
    here = ProcessId.here()
    assert here.alive() is True
    assert replace(here, started=here.started - 1).alive() is False  # the pid was used again
    assert replace(here, pid=2**22 + 1).alive() is False
    assert ProcessId.from_dict({**here.to_dict(), "session": "x"}) == here


def test_nothing_is_known_of_another_host_boot_or_container():
    here = ProcessId.here()
    assert replace(here, host="elsewhere").alive() is None
    assert replace(here, boot="another").alive() is None
    assert replace(here, namespace="pid:[1]").alive() is None


def test_a_later_start_of_a_scheduler_s_job_replaces_the_earlier_one():
    """SLURM gives the first start no count."""
    task = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_ID": "9", "SLURMD_NODENAME": "n1"}
    first = {"scheduler": scheduled(task)}
    assert first == {"scheduler": {"job": "7_2", "restart": 0, "node": "n1"}}
    again = {**task, "SLURM_RESTART_COUNT": "1", "SLURMD_NODENAME": "n2"}
    assert started_again(first, again)
    assert not started_again(first, task)
    assert not started_again({"scheduler": scheduled(again)}, task)
    assert not started_again(first, {**again, "SLURM_ARRAY_TASK_ID": "3"})
    assert not started_again(first, {}) and not started_again({}, again)
    assert not started_again({"scheduler": {"job": "7_2", "restart": None}}, again)


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    holder = ProcessId.of(child.pid)
    assert holder.alive()
    child.kill()
    until = time.monotonic() + 5
    while process_started(child.pid) is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert Path(f"/proc/{child.pid}").exists()
    assert holder.alive() is False
    child.communicate()


def test_a_process_whose_name_has_spaces_and_parentheses(tmp_path):
    odd = tmp_path / "a ) S (b"
    odd.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(odd), "20"])
    try:
        until = time.monotonic() + 5
        while ") S (" not in Path(f"/proc/{child.pid}/stat").read_text() and time.monotonic() < until:
            time.sleep(0.01)
        assert ProcessId.of(child.pid).alive()
    finally:
        child.kill()
        child.wait()
