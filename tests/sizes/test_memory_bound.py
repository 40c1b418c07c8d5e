"""The memory of a job on machines that are made of files: free memory, limits of cgroups, GPUs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.sizes import memory_bound as module
from fusionlab.sizes.memory_bound import available_memory, gpu_memory, memory_bound

GIB, MIB = 2**30, 2**20
RUN = RunConfig.of(tree({}).with_leaves({"run.device": "cpu"}))


def machine(root: Path, cgroup: str = "", groups: dict[str, dict[str, Any]] | None = None) -> Path:
    """8 GiB are free. `groups`: folder below /sys/fs/cgroup -> its files."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: {16 * MIB} kB\nMemFree: 5 kB\nMemAvailable:   {8 * MIB} kB\n")
    (root / "proc/self/cgroup").write_text(cgroup)
    for folder, files in (groups or {}).items():
        place = root / "sys/fs/cgroup" / folder
        place.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (place / name).write_text(f"{content}\n")
    return root


def second(limit: Any, used: float, cache: float = 0) -> dict[str, Any]:
    stat = f"anon 7\ninactive_file {int(cache * GIB)}\nactive_file 5"
    return {"memory.max": limit, "memory.current": int(used * GIB), "memory.stat": stat}


def first(limit: int, used: float, cache: float = 0) -> dict[str, Any]:
    stat = f"inactive_file 1\ntotal_inactive_file {int(cache * GIB)}"
    return {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": int(used * GIB), "memory.stat": stat}


@pytest.mark.parametrize(
    ("cgroup", "groups", "left"),
    [
        ("", {}, 8),
        ("0::/\n", {}, 8),
        ("0::/job\n", {"job": second("max", 3)}, 8),
        ("0::/job\n", {"job": second(4 * GIB, 1.5)}, 2.5),
        ("0::/job\n", {"job": second(4 * GIB, 3.5, cache=2)}, 2.5),
        ("0::/slice/job\n", {"slice": second(3 * GIB, 1), "slice/job": second("max", 1)}, 2),
        ("0::/elsewhere/docker\n", {".": second(5 * GIB, 1)}, 4),  # a container sees its own group as the root
        ("9:cpu,cpuacct:/x\n4:memory:/job\n0::/\n", {"memory/job": first(6 * GIB, 5, cache=1), "x": second(1, 0)}, 2),
        ("4:memory:/job\n", {"memory/job": first(2**63 - 4096, 5)}, 8),
    ],
)
def test_available_memory_is_what_the_machine_and_each_limit_leave(
    tmp_path: Path, cgroup: str, groups: dict[str, dict[str, Any]], left: float
) -> None:
    assert available_memory(machine(tmp_path, cgroup, groups)) == left * GIB


def test_available_memory_of_this_machine_is_what_is_not_in_use() -> None:
    found = available_memory()
    assert found is None or 2**26 < found < 2**46
    assert available_memory(Path("/nowhere")) is None


def test_the_bound_is_shared_by_parallel_jobs_after_a_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: 10 * GIB)
    assert [memory_bound(RUN, workers) for workers in (1, 2, 4)] == [8 * GIB, 4 * GIB, 2 * GIB]
    assert memory_bound(replace(RUN, memory=1.5), 4) == 3 * GIB // 2
    monkeypatch.setattr(module, "available_memory", lambda: GIB // 2)
    assert memory_bound(RUN, 2) == 1, "hardly anything: each arm alone"
    monkeypatch.setattr(module, "available_memory", lambda: None)
    assert memory_bound(RUN, 2) is None


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("printf '143771\\n81559\\n'", 81559 * MIB),
        ("echo '[N/A]'", None),
        ("exit 9", None),
        ("true", None),
    ],
)
def test_the_memory_of_a_gpu_is_asked_from_nvidia_smi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: int | None
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\n[ "$1" = "--query-gpu=memory.total" ] || exit 3\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gpu_memory() == found
    assert memory_bound(replace(RUN, device="cuda"), 2) == (found and int(0.9 * found - GIB) // 2)


def test_without_a_driver_the_memory_of_a_gpu_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_memory() is None


def test_the_bound_is_found_without_torch() -> None:
    code = "import sys, fusionlab.sizes.memory_bound; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
