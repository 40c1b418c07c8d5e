"""Memory that is kept is not asked for again: after a while no page is touched for the first time."""

from __future__ import annotations

import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import torch
from fusionlab.data.processes import keep_memory

if "keep" in sys.argv and not keep_memory():
    sys.exit("another C library")

def step():  # blocks of 40 MB, larger than what glibc keeps by itself
    x = torch.ones(10 << 20)
    y = x + x
    z = x * y

for _ in range(12):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def first_touches(*words: str) -> int:
    """Page faults of four steps."""
    command = [sys.executable, "-c", STEPS, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "another C library" in done.stderr:
        pytest.skip("another C library than glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_pages_are_touched_for_the_first_time_once() -> None:
    assert first_touches("keep") * 10 < first_touches()
