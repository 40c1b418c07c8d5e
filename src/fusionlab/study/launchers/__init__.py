"""A launcher starts, lists and cancels the workers of a study: processes, an array job of a cluster, remote tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

WORKERS_VARIABLE = "FUSIONLAB_WORKERS"  # tells a worker how many were started together


@dataclass(frozen=True)
class Worker:
    """A started worker: its name for the launcher (a pid, a task of an array), and its log."""

    name: str
    log: Path


class Launcher(Protocol):
    def start(
        self, study: Path, workers: int, *, threads: int | None, session: str, retries: int = 0
    ) -> tuple[Worker, ...]:
        """Start workers on a study's folder and return at once."""

    def list(self, study: Path) -> tuple[Worker, ...]:
        """The running workers of the study, also those of other commands."""

    def cancel(self, study: Path) -> tuple[Worker, ...]:
        """Stop the workers of the study gracefully, so that their jobs become ready again; returns them."""
