"""A job's process for the tests: does what its config says for this attempt (the last deed repeats)."""

import os
import signal
import sys
import time
from pathlib import Path

from fusionlab.errors import UserError
from fusionlab.records.record import new_record, write_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import read

study, job_id, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
job = read(study).job(job_id)
attempt = Attempt(job.path(study), number)
deeds = job.config["do"]
deed = deeds[min(number, len(deeds)) - 1]
print(f"{deed}, threads {os.environ.get('OMP_NUM_THREADS')}", flush=True)


def publish(accuracy=0.5, status="done"):
    for arm in job.arms:
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
        write_record(attempt.result / arm, record)
    print(attempt.publish())


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
elif deed == "fail":
    raise ValueError("it does not work")
elif deed == "explain":
    attempt.explain(str(UserError("no such layer", got="relu9")))
    sys.exit(1)
elif deed == "nothing":
    pass
elif deed.startswith("sleep"):
    (attempt.folder / "pid").write_text(str(os.getpid()))
    time.sleep(float(deed.split()[1]))
    publish()
elif deed == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (attempt.folder / "pid").write_text(str(os.getpid()))
    time.sleep(60)
