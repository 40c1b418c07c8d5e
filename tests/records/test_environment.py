"""The peak of a process's memory: its own, whatever the process had that started it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import fusionlab
from fusionlab.records.environment import code_version

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
MAPPED = """
import mmap, sys
from fusionlab.records.environment import peak_memory

before = peak_memory()
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
assert sum(mapped[place] for place in range(0, len(mapped), 4096)) == 0
assert abs(peak_memory() - before) < 20 << 20, (before, peak_memory())
"""


def test_a_forked_process_and_a_started_program_have_peaks_of_their_own() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_file_that_is_mapped_is_not_the_process_s_own_memory(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(bytes(200 << 20))
    command = [sys.executable, "-c", MAPPED, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_code_s_version_follows_its_source(tmp_path: Path) -> None:
    """It is one for two copies, and another one after any change of a file or its name."""
    code = "from fusionlab.records.environment import *; print(code_version()); print(describe_environment()['code'])"

    def version(package: Path) -> str:
        environment = {**os.environ, "PYTHONPATH": str(package)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, cwd=tmp_path
        )
        one, recorded = done.stdout.split()
        assert one == recorded
        return one

    source = Path(fusionlab.__file__).parent
    here = version(source.parent)
    assert here == code_version()
    assert here.startswith(f"{fusionlab.__version__}+")
    copy = tmp_path / "copy" / "fusionlab"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert version(copy.parent) == here
    with (copy / "fusion" / "sum.py").open("a", encoding="utf-8") as file:
        file.write("# changed")
    changed = version(copy.parent)
    (copy / "fusion" / "sum.py").rename(copy / "fusion" / "sum_.py")
    assert len({here, changed, version(copy.parent)}) == 3
