"""The GPUs that this process may use, without torch and without CUDA: a process that forks must not initialise CUDA.

    CUDA_VISIBLE_DEVICES is set   what it lists: indices, or UUIDs of GPUs or of MIG instances; empty: none
    else                          what `nvidia-smi -L` lists, as UUIDs; the MIG instances of a GPU instead of the GPU

Where there is a GPU but no nvidia-smi (some containers), CUDA_VISIBLE_DEVICES has to list it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from xml.etree import ElementTree

from fusionlab.study.launchers import WORKERS_VARIABLE

VARIABLE = "CUDA_VISIBLE_DEVICES"
CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"
MIB = 2**20
TIMEOUT = 60.0  # seconds: without its daemon, nvidia-smi starts the driver of each GPU

_GPU = re.compile(r"GPU (\d+): (.+) \(UUID: (GPU-\S+)\)")
_MIG = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-\S+)\)")
_INDEX = re.compile(r"\s*\+?(\d+)")  # as the driver reads it: 1x is 1


@dataclass(frozen=True)
class Gpu:
    """A GPU that nvidia-smi lists, or a MIG instance: then `gpu` is its GPU's UUID and `place` its number there."""

    id: str
    name: str  # as torch names it
    gpu: str
    place: int | None = None


def visible_devices(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The ids that CUDA_VISIBLE_DEVICES may list here, in the order of CUDA's indices; () without a GPU.

    An invalid entry ends the list, and a repeated one makes it empty, as for CUDA.
    """
    said = environ.get(VARIABLE)
    if said is None:
        return tuple(one.id for one in _listed())
    found: list[str] = []
    for entry in _valid(said):
        if entry in found:
            return ()
        found.append(entry)
    return tuple(found)


def _valid(said: str) -> Iterator[str]:
    if (prefix := said[:4]) in ("GPU-", "MIG-"):
        yield from takewhile(lambda entry: entry.startswith(prefix), said.split(","))
        return
    numbers = takewhile(bool, map(_INDEX.match, said.split(",")))
    indices = [int(number[1]) for number in numbers if number]
    count = len({one.gpu for one in _listed()}) if indices else 0  # 0: no nvidia-smi, so they cannot be checked
    yield from map(str, takewhile(lambda index: not count or index < count, indices))


def keep_forkable() -> None:
    """Let torch.cuda.is_available ask the driver's library in this process and in its children, and not CUDA.

    torch's own optimisers ask it at each step, also on the meta device.
    """
    os.environ[CHECK] = "1"


def workers_here(environ: Mapping[str, str] = os.environ) -> int:
    """The number of workers that share this host's cores and memory, in a worker or its job; else 1."""
    said = environ.get(WORKERS_VARIABLE, "")
    return max(1, int(said)) if said.isdecimal() else 1


def device_name(device: str) -> str | None:
    """The product name of a visible device, as torch gives it; None if unknown."""
    names = {one.name for one in _meant(device)}
    return names.pop() if len(names) == 1 else None


def device_memory(device: str) -> int | None:
    """The bytes of a visible device, the smallest that it can mean; None if unknown."""
    meant = _meant(device)
    sizes = _instance_sizes() if any(one.place is not None for one in meant) else _gpu_sizes()
    found = [sizes.get((one.gpu, one.place)) for one in meant]
    known = [size for size in found if size is not None]
    return min(known) if known and len(known) == len(found) else None


def _meant(device: str) -> list[Gpu]:
    """An index may mean any GPU: CUDA counts the fastest first, nvidia-smi by the bus."""
    listed = _listed()
    if not device.isdecimal():  # a UUID may be shortened
        return [one for one in listed if one.id.startswith(device)]
    if os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        gpu = list(dict.fromkeys(one.gpu for one in listed))[int(device) : int(device) + 1]
        return [one for one in listed if one.gpu in gpu]
    return list(listed)


def _listed() -> tuple[Gpu, ...]:
    return _parsed(_ask("-L"))


@cache
def _parsed(listing: str) -> tuple[Gpu, ...]:
    """`GPU 0: <name> (UUID: GPU-…)`, followed by its instances: `  MIG 1g.5gb  Device  0: (UUID: MIG-…)`."""
    found: list[Gpu] = []
    gpu = None
    for line in listing.splitlines():
        if own := _GPU.match(line):
            gpu = Gpu(own[3], own[2], own[3])
            found.append(gpu)
        elif (own := _MIG.match(line)) and gpu is not None:
            if gpu in found:
                found.remove(gpu)
            found.append(Gpu(own[3], f"{gpu.name} MIG {own[1]}", gpu.id, int(own[2])))
    return tuple(found)


def _gpu_sizes() -> dict[tuple[str, int | None], int]:
    """UUID -> bytes, of whole GPUs."""
    rows = [
        line.split(",") for line in _ask("--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits").split("\n")
    ]
    return {(row[0].strip(), None): MIB * int(row[1]) for row in rows if len(row) == 2 and row[1].strip().isdecimal()}


def _instance_sizes() -> dict[tuple[str, int | None], int]:
    """UUID of the GPU and number of the instance -> bytes; only the report of everything has them."""
    try:
        report = ElementTree.fromstring(_ask("-q", "-x"))
    except ElementTree.ParseError:
        return {}
    found: dict[tuple[str, int | None], int] = {}
    for gpu in report.iter("gpu"):
        for instance in gpu.iter("mig_device"):
            place, size = instance.findtext("index", ""), instance.findtext("fb_memory_usage/total", "")
            if place.isdecimal() and (number := re.fullmatch(r"(\d+) MiB", size)):
                found[gpu.findtext("uuid", ""), int(place)] = MIB * int(number[1])
    return found


def _ask(*words: str) -> str:
    """What nvidia-smi prints; empty if there is none, or if it fails."""
    program = shutil.which("nvidia-smi")
    return "" if program is None else _answer(program, words)


@cache  # GPUs stay while a process runs, and nvidia-smi may take seconds
def _answer(program: str, words: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=TIMEOUT, check=True)
        return done.stdout
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
