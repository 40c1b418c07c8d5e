"""Under which circumstances a result came to be: all that should not determine it, and sometimes does."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fusionlab

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
# Variables by which the libraries of torch are held to fewer instructions than the CPU has; torch's own is in the
# capability.
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")


def circumstances() -> dict[str, Any]:
    """Python, packages, commit, machine and the time (UTC); never imports what it names."""
    commit, dirty = _commit()
    return {
        "python": platform.python_version(),
        "packages": _packages(),
        "commit": commit,
        "dirty": dirty,
        "machine": {
            "cpu": _cpu(),
            "capability": _capability(),
            "limits": {name: os.environ[name] for name in LIMITS if os.environ.get(name)},
            "cores": _cores(),
            "memory": _memory(),
        },
        "platform": platform.platform(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def arithmetic(around: Mapping[str, Any]) -> dict[str, str | None]:
    """What the last bits of float32 hang on, of a record's circumstances; None where an older record does not say."""
    machine = around.get("machine") or {}
    found = {"device": around.get("device"), "torch": (around.get("packages") or {}).get("torch")}
    if found["device"] not in (None, "cpu"):
        return found
    limits = "".join(f", {name}={most}" for name, most in (machine.get("limits") or {}).items())
    known = machine.get("capability")
    return {**found, "CPU": machine.get("cpu"), "instruction set": f"{known}{limits}" if known else None}


def elsewhere(recorded: Mapping[str, Any], later: Mapping[str, Any]) -> str:
    """Where the arithmetic of two circumstances differs, in words; "" where it does not, and bits are promised."""
    one, other = arithmetic(recorded), arithmetic(later)
    names = [name for name in one if name in other and one[name] != other[name]]
    return ", ".join(f"{name} {one[name] or 'not recorded'} → {other[name] or 'not recorded'}" for name in names)


def _capability() -> str | None:
    """The instruction set that torch computes with, where it is loaded: the CPU's, or less by ATEN_CPU_CAPABILITY."""
    torch = sys.modules.get("torch")
    return None if torch is None else str(torch.backends.cpu.get_cpu_capability())


def _packages() -> dict[str, str]:
    found = {"fusionlab": fusionlab.__version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git(*words: str) -> str | None:
    here = Path(fusionlab.__file__).parent
    # Without optional locks, so that two jobs never meet over .git/index.lock.
    around = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *words], cwd=here, env=around, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _commit() -> tuple[str | None, bool | None]:
    """The commit of the code that runs, and whether it was changed since.

    Only where git tracks this very package: an installed one may lie in a .venv inside somebody else's
    repository.
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
    """The cores that this process may use, which a scheduler may have made fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _memory() -> int | None:
    """Bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
