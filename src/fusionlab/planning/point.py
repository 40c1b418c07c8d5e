"""A point of the grid: one composed config, and the choices and axes that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Point:
    """`choices`: group -> choice; `axes`: what varies in the grid, with this point's values."""

    config: dict[str, Any]
    choices: Mapping[str, str | None]
    axes: Mapping[str, Any]
