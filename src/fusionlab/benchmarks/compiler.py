"""What `torch.compile` needs besides torch, and whether it is there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path

# As torch looks for them, where CXX and CC do not say otherwise.
CXX = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
CC = {"darwin": "clang", "win32": "cl"}.get(sys.platform, "gcc")


def why_not(device: str) -> str | None:
    """What is missing to compile for a device; None where nothing is."""
    if device == "cpu" and shutil.which(os.environ.get("CXX", CXX)) is None:
        return "no C++ compiler"
    if device != "cpu" and importlib.util.find_spec("triton") is None:
        return "no triton"
    if device != "cpu" and shutil.which(os.environ.get("CC", CC)) is None:
        return "no C compiler"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "no header files of Python"
    return None
