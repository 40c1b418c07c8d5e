"""Where CUDA may be asked for anything: in a job, never in a process that forks (the sweep's driver, a worker).

A process that has asked CUDA, if only whether it is available, cannot fork jobs that use it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from tree import PACKAGE, modules

# Module -> why it runs in no process that forks jobs.
ASKS_CUDA = {
    "benchmarks/loading_rows.py": "bench starts no jobs",
    "benchmarks/networks_rows.py": "bench starts no jobs",
    "config/build.py": "`device` and `device_name`, whose callers are below",
    "jobs/job_cost.py": "in the job",
    "pricing/calibration_child.py": "a process of its own",
    "training/cohort.py": "in the job",
    "training/fit.py": "in the job",
    "two_stream/control.py": "in the job",
    "video/raft.py": "in a job that packs a store",
}
ASKS_BUILD = {
    "jobs/other_tests.py": "in the process of `test`, or a fork of a sweep, which start no jobs",
    "jobs/recorder.py": "in the job",
    "jobs/retest.py": "in the process of `test`, which starts no jobs",
    "jobs/stages.py": "in the job",
}


WORDS = ("cuda", "accelerator", "build.device", "config.build", "config import build")  # others need no parsing


def names(tree: ast.AST) -> Iterator[str]:
    """All dotted names that a module reads, and those that it imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.Import):
            yield from (f"{one.name}." for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{one.name}" for one in node.names)


@cache
def names_by_module() -> dict[str, set[str]]:
    texts = {file: file.read_text(encoding="utf-8") for file in modules().values()}
    trees = {file: ast.parse(text) for file, text in texts.items() if any(word in text for word in WORDS)}
    return {file.relative_to(PACKAGE).as_posix(): {f"{name}." for name in names(tree)} for file, tree in trees.items()}


def readers(*wanted: str) -> set[str]:
    """The modules that read one of these names, or one below it."""
    starts = tuple(f"{one}." for one in wanted)
    return {file for file, read in names_by_module().items() if any(name.startswith(starts) for name in read)}


def test_only_jobs_ask_cuda() -> None:
    assert readers("torch.cuda", "torch.accelerator") == set(ASKS_CUDA)


def test_only_jobs_ask_for_the_device_of_their_process() -> None:
    wanted = [f"{place}.{name}" for place in ("build", "fusionlab.config.build") for name in ("device", "device_name")]
    assert readers(*wanted) == set(ASKS_BUILD)
