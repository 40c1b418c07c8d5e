"""Writes a state of MIB by `save` in a process of its own, and prints by how much its memory rose: writing_child.py."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from fusionlab.training.weights import save

MIB = 256


def memory(what: str) -> int:
    """VmRSS or VmHWM (its peak), in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


if __name__ == "__main__":
    state = {f"layer {number}": torch.ones(MIB << 14) for number in range(16)}
    save(Path(sys.argv[1], "small.pt"), {"some": torch.ones(8)})  # what torch loads for its first file
    before = memory("VmRSS")
    save(Path(sys.argv[1], "large.pt"), state)
    print(max(0, memory("VmHWM") - before))
