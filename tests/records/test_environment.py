"""The peak of a process's memory: its own, whatever the process had that started it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, subprocess, sys
from fusionlab.records.environment import peak_memory

def show(most, least):
    assert least << 20 < peak_memory() < most << 20, (peak_memory() >> 20, least, most)

PROGRAM = "from fusionlab.records.environment import peak_memory; assert peak_memory() < 100 << 20, peak_memory()"
block = bytearray(300 << 20)
del block
show(400, 300)
child = os.fork()
if not child:
    show(100, 1)
    block = bytearray(150 << 20)
    del block
    show(250, 150)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
subprocess.run([sys.executable, "-c", PROGRAM], check=True)
"""


def test_a_forked_process_and_a_started_program_have_peaks_of_their_own() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
