"""experiments/statistics/simulate.py as a module."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

PLACE = Path(__file__).resolve().parents[2] / "experiments" / "statistics" / "simulate.py"


@cache
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulate", PLACE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
