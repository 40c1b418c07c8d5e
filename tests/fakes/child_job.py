"""A job's process for the tests: does what its config says for this attempt (the last deed repeats).

A deed may be {arm: deed}: those which end the process do so first, as in a training, then the others leave records.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records import activity
from fusionlab.records.activity import report_to
from fusionlab.records.record import new_record, write_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import read

study, job_id, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
job = read(sys.argv[4]).job(job_id)
attempt = Attempt(job.path(study), number)
deeds = job.config["do"]
deed = deeds[min(number, len(deeds)) - 1]
own = {arm: deed.get(arm, "publish") for arm in attempt.arms} if isinstance(deed, dict) else {}
print(f"{deed}, threads {os.environ.get('OMP_NUM_THREADS')}", flush=True)


def publish(accuracy=0.5, status="done", arms=None):
    for arm in attempt.arms if arms is None else arms:
        record = new_record(
            name=arm,
            kind="fused",
            axes={},
            signature=arm.replace("arm-", "sig-"),
            config={"run": {"attempt": number}},
            result={"accuracy": accuracy},
            status=status,
            reason="diverged at step 3: loss nan" if status == "failed" else None,
        )
        write_record((attempt.failed if status == "failed" else attempt.result) / arm, record)
        if status == "done":
            print(attempt.publish(arm))


def do(deed):
    if deed == "publish":
        publish()
    elif deed == "publish a failed arm":
        publish(status="failed")
    elif deed == "publish something else":
        publish(accuracy=0.75)
    elif deed == "publish and die":
        publish()
        os.kill(os.getpid(), signal.SIGKILL)
    elif deed == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif deed.startswith("signal"):
        os.kill(os.getpid(), int(deed.split()[1]))
    elif deed == "fail":
        with attempt.explaining():
            raise ValueError("it does not work")
    elif deed == "explain":
        with suppress(UserError), attempt.explaining():
            raise UserError("no such layer", got="relu9")
        sys.exit(2)
    elif deed.startswith("exit"):
        print("the last line")
        os._exit(int(deed.split()[1]))
    elif deed == "nothing":
        pass
    elif deed.startswith("sleep"):
        (attempt.folder / "pid").write_text(str(os.getpid()))
        time.sleep(float(deed.split()[1]))
        if not own:
            publish()
    elif deed == "publish and wait":
        publish()
        (attempt.folder / "pid").write_text(str(os.getpid()))
        time.sleep(60)
    elif deed == "tidy":

        def tidy(*_):
            time.sleep(0.5)
            (attempt.folder / "tidied").touch()
            sys.exit(143)

        signal.signal(signal.SIGTERM, tidy)
        (attempt.folder / "pid").write_text(str(os.getpid()))
        time.sleep(60)
    elif deed == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (attempt.folder / "pid").write_text(str(os.getpid()))
        time.sleep(60)
    elif deed.startswith("work"):
        report_to(attempt.progress_file)
        for _ in range(int(float(deed.split()[1]) / 0.1)):
            time.sleep(0.1)
            activity._last = 0.0  # marks are a second apart
            activity.mark()
        publish()
    elif deed.startswith("meet"):  # go on when so many jobs are here
        (attempt.folder / "device").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        while len(list(study.glob("jobs/*/attempts/001/device"))) < int(deed.split()[1]):
            time.sleep(0.05)
        publish()
    elif deed == "talk":
        for _ in range(100):
            print("x" * 100_000, flush=True)
            time.sleep(0.01)
        print("the last line", flush=True)
        publish()
    elif deed.startswith("memory") and len(attempt.arms) > int(deed.split()[1]):  # enough for so many arms
        with attempt.explaining():
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")


if own:
    for one in own.values():
        if one.split()[0] in ("die", "exit", "fail", "explain", "sleep", "signal", "memory", "interrupt"):
            do(one)
    publish(arms=[arm for arm, one in own.items() if one == "publish" or one.split()[0] == "memory"])
    publish(status="failed", arms=[arm for arm, one in own.items() if one == "publish a failed arm"])
else:
    do(deed)
