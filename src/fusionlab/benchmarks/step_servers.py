"""Processes that train on request: each runs some steps of its own cohort, with its own loader."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from fusionlab.benchmarks.cohort_case import CohortCase, stepper
from fusionlab.data.processes import keep_memory
from fusionlab.training.recipe import FLOAT32, configure_torch


class StepServers:
    """A process for each piece, a list of arms; they live as long as the context."""

    def __init__(self, case: CohortCase, pieces: Sequence[Sequence[str]]) -> None:
        self.stack = ExitStack()
        self.ends: list[Connection] = []
        context = get_context("spawn")
        for names in pieces:
            here, there = context.Pipe()
            process = context.Process(target=serve, args=(there, case.folder, case.options, list(names)), daemon=True)
            process.start()
            there.close()
            self.stack.callback(process.join)
            self.stack.enter_context(here)  # closed first: its process then ends
            self.ends.append(here)

    def train(self, steps: int) -> None:
        """All of them at the same time; returns when the last one has done its steps."""
        for end in self.ends:
            end.send(steps)
        for end in self.ends:
            assert end.recv() == steps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        self.stack.close()


def serve(end: Connection, folder: Path, options: Sequence[str], names: Sequence[str]) -> None:
    """Take as many steps as each message says, and answer it, until the other end is closed."""
    configure_torch(FLOAT32, threads=1)
    keep_memory()
    case = CohortCase(folder, options)
    step = stepper(case.cohort(names), case.batches())
    try:
        while True:
            steps = end.recv()
            for _ in range(steps):
                step()
            end.send(steps)
    except EOFError:
        return
