"""The environment of a result. It should not determine the result, but can change its last bits."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import fusionlab

GIB = 2**30
PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "numpy",
    "decord",
    "av",
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)
# Variables that limit the instruction set of torch's libraries; torch's own limit shows in the capability.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")


def describe_environment() -> dict[str, Any]:
    """Python, packages, commit, machine and the time (UTC), without importing a package."""
    commit, dirty = _commit()
    return {
        "python": platform.python_version(),
        "packages": _packages(),
        "commit": commit,
        "code": code_version(),
        "dirty": dirty,
        "machine": machine(),
        "platform": platform.platform(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def machine() -> dict[str, Any]:
    """The machine that this process runs on."""
    return {
        "cpu": _cpu(),
        "capability": _capability(),
        "limits": {name: os.environ[name] for name in LIMITS if os.environ.get(name)},
        "cores": _cores(),
        "memory": _memory(),
    }


def arithmetic(environment: Mapping[str, Any]) -> dict[str, str | None]:
    """The environment that determines the last bits of float32, from a record's circumstances.

    It is None if an older record lacks it.
    """
    machine = environment.get("machine") or {}
    device = environment.get("device")
    common = {"device": device, "torch": (environment.get("packages") or {}).get("torch")}
    if device not in (None, "cpu"):
        return common
    limits = "".join(f", {name}={most}" for name, most in (machine.get("limits") or {}).items())
    known = machine.get("capability")
    return {**common, "CPU": machine.get("cpu"), "instruction set": f"{known}{limits}" if known else None}


def changed_arithmetic(recorded: Mapping[str, Any], later: Mapping[str, Any]) -> str:
    """How the arithmetic of two environments differs, as text; "" if it does not, and equal bits are promised."""
    one, other = arithmetic(recorded), arithmetic(later)
    names = [name for name in one if name in other and one[name] != other[name]]
    return ", ".join(f"{name} {one[name] or 'not recorded'} → {other[name] or 'not recorded'}" for name in names)


def peak_memory() -> int | None:
    """The bytes that this process has had in memory at most, without mapped files and children; None if unknown.

    It is Linux's VmHWM, which starts anew in a forked process and in a started program. ru_maxrss does not: a program
    inherits that of the process which started it. Mapped files (libraries, a packed store) are left out: processes
    share them, and the kernel drops them when memory is short. It is exact if nothing was freed since the peak.
    """
    try:
        lines = (line.split() for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
        found = {line[0]: 1024 * int(line[1]) for line in lines if line[0] in ("VmHWM:", "RssFile:")}
        return found["VmHWM:"] - found["RssFile:"]
    except (OSError, ValueError, LookupError):
        return None


def memory_text() -> str:
    """The memory of this machine and process, for an error that it was too little; "" if unknown."""
    whole, peak = _memory(), peak_memory()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return ""
    if whole is None or peak is None:
        return ""
    return f"{free / GIB:.1f} of {whole / GIB:.1f} GiB are free, this process had {peak / GIB:.1f} GiB at most"


def _capability() -> str | None:
    """The instruction set that torch uses, if it is loaded: the CPU's, or less by ATEN_CPU_CAPABILITY."""
    torch = sys.modules.get("torch")
    return None if torch is None else str(torch.backends.cpu.get_cpu_capability())


@cache
def code_version() -> str:
    """fusionlab's version and a hash of its source files, which identify its code also without git."""
    package = Path(fusionlab.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package)} {len(content)}\n".encode() + content)
    return f"{fusionlab.__version__}+{digest.hexdigest()[:12]}"


def _packages() -> dict[str, str]:
    from importlib import metadata  # takes longer than all that `status` needs

    versions = {"fusionlab": fusionlab.__version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(*words: str) -> str | None:
    here = Path(fusionlab.__file__).parent
    # Without optional locks, so that two jobs never meet over .git/index.lock.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *words], cwd=here, env=environment, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _commit() -> tuple[str | None, bool | None]:
    """The commit of this code, and whether it has changes.

    Only if git tracks this package: an installed one may lie in a .venv inside another repository.
    """
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    return commit, None if commit is None or changed is None else bool(changed)


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cores() -> int:
    """The cores that this process may use; a scheduler may allow fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _memory() -> int | None:
    """The memory of the machine in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
