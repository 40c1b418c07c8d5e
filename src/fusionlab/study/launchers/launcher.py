"""What every launcher can do, be the workers processes, a cluster's array or remote tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Worker:
    """A started worker: its name for this launcher (a pid, an array's task), and where its output goes."""

    name: str
    log: Path


class Launcher(Protocol):
    def start(
        self, study: Path, workers: int, *, threads: int | None, session: str, retries: int = 0
    ) -> tuple[Worker, ...]:
        """Start workers on a study's folder and return at once."""

    def list(self, study: Path) -> tuple[Worker, ...]:
        """The study's workers that live, also those that another command started."""

    def cancel(self, study: Path) -> tuple[Worker, ...]:
        """End the study's workers in order: their jobs become ready again. Returns those that were ended."""
