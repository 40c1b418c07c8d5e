"""The memory that a job may use: `run.memory` in GiB, or what this machine has, divided by the jobs in parallel.

    on a CPU   what is available now, also within the limits of the process's cgroups
    on a GPU   the whole memory of the smallest visible device, from nvidia-smi: no process of CUDA is started here;
               jobs on other devices have their own
    elsewhere  what the launcher requests for a worker

A tenth and 1 GiB are kept in reserve: for the sweep, its workers, and what an estimate leaves out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from fusionlab.config.run_config import AUTO, RunConfig
from fusionlab.study.devices import device_memory

GIB = 2**30
SHARE, FIXED = 0.1, GIB  # the reserve
# (the controllers' field in /proc/self/cgroup, folder, limit, used, cache that is freed first): versions 2 and 1
CGROUPS = (
    ("", "", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def memory_bound(run: RunConfig, workers: int) -> int | None:
    """The bytes that one of so many jobs at a time may use; None: unknown."""
    if run.memory != AUTO:
        return int(float(run.memory) * GIB)
    whole = _of_a_node(run) if run.remote else gpu_memory(run.devices) if run.on_gpu else available_memory()
    shared = -(-workers // count_memories(run))
    return None if whole is None else max(1, int((1 - SHARE) * whole - FIXED) // shared)


def count_memories(run: RunConfig) -> int:
    """The number of memories over which jobs are spread: one of each device, 1 on a CPU, as many as jobs elsewhere."""
    return sys.maxsize if run.remote else max(1, len(run.devices))


def _of_a_node(run: RunConfig) -> int | None:
    """Bytes of a worker elsewhere, as they are requested; nothing here tells the memory of its GPU."""
    asked = None if run.launcher.gpus_with(run.device) else run.launcher.memory
    return None if asked is None else int(asked * GIB)


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that new processes here can have; None if unknown."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        return min([free, *_left_in_cgroups(root)])
    except (OSError, ValueError, StopIteration):
        return None


def _left_in_cgroups(root: Path) -> Iterator[int]:
    """The bytes that each limit leaves: of the process's cgroup and of those around it."""
    try:
        own = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return
    for controllers, folder, limit, used, cache in CGROUPS:
        for path in (path for _, names, path in own if controllers in names.split(",")):
            place = Path(path.lstrip("/"))
            for group in (place, *place.parents):  # in a container the path may be one outside it, and the last is "."
                at = root / "sys/fs/cgroup" / folder / group
                try:
                    most = int((at / limit).read_text(encoding="ascii"))  # a `ValueError` for "max"
                    stat = dict(line.split() for line in (at / "memory.stat").read_text(encoding="ascii").splitlines())
                    yield most - int((at / used).read_text(encoding="ascii")) + int(stat.get(cache, 0))
                except (OSError, ValueError):
                    continue


def gpu_memory(devices: Iterable[str]) -> int | None:
    """Bytes of the smallest of these devices, since a job may get any; None if one is unknown, or there is none."""
    sizes = [device_memory(one) for one in devices]
    known = [size for size in sizes if size is not None]
    return min(known) if known and len(known) == len(sizes) else None
