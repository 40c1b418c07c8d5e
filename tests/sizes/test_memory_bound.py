"""The memory of a job on machines that are made of files: free memory, limits of cgroups, GPUs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gpu_fakes import fake_machine, gpu, mig

from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.sizes import memory_bound as module
from fusionlab.sizes.memory_bound import available_memory, gpu_memory, memory_bound
from fusionlab.study.devices import VARIABLE

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


ON_GPU = replace(RUN, device="cuda")


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


def own(mib: int, jobs: int) -> int:
    return int(0.9 * mib * MIB - GIB) // jobs


def test_each_gpu_has_its_own_memory(gpus: Path) -> None:
    fake_machine(gpus, 4)
    assert [memory_bound(ON_GPU, jobs) for jobs in (1, 4, 5, 8, 9)] == [own(81559, at) for at in (1, 1, 2, 2, 3)]
    assert memory_bound(replace(ON_GPU, device="auto"), 8) == own(81559, 2)
    assert memory_bound(replace(ON_GPU, memory=2), 8) == 2 * GIB
    assert memory_bound(RUN, 1) != own(81559, 1), "of the CPU"


def test_a_job_may_get_the_smallest_visible_gpu(gpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_machine(gpus, 3, mib=[40000, 24000, 80000], instances={2: [("3g.40gb", 40448), ("1g.10gb", 9728)]})
    assert memory_bound(ON_GPU, 4) == own(9728, 1)
    monkeypatch.setenv(VARIABLE, f"{gpu(0)},{gpu(1)}")
    assert memory_bound(ON_GPU, 4) == own(24000, 2)
    monkeypatch.setenv(VARIABLE, mig(0))
    assert memory_bound(ON_GPU, 4) == own(40448, 4)


@pytest.mark.parametrize("workers", [1, 64])
def test_elsewhere_a_job_has_what_its_worker_requests(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: 10 * GIB)  # of the login node
    slurm = replace(RUN.launcher, name="slurm", memory=20)
    found = [replace(RUN, device=device, launcher=slurm) for device in ("cpu", "cuda", "auto")]
    assert [memory_bound(run, workers) for run in found] == [17 * GIB, None, None]
    assert memory_bound(replace(RUN, launcher=replace(slurm, memory=None)), workers) is None


@pytest.mark.parametrize("script", ["exit 9", "echo '[N/A]'", "[ $1 = -L ] && echo 'GPU 0: A (UUID: GPU-1)'", "true"])
def test_the_memory_of_a_gpu_that_nvidia_smi_does_not_tell_is_unknown(
    gpus: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    (gpus / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (gpus / "nvidia-smi").chmod(0o755)
    assert memory_bound(ON_GPU, 2) is None
    monkeypatch.setenv(VARIABLE, "0,1")
    assert memory_bound(ON_GPU, 2) is None


def test_without_a_driver_the_memory_of_a_gpu_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_memory(["0"]) is None and gpu_memory([]) is None


def test_the_bound_is_found_without_torch() -> None:
    code = "import sys, fusionlab.sizes.memory_bound; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
