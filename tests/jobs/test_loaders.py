"""How many processes read ahead of a job, where nobody says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig, build_dataset
from fusionlab.jobs import job_data
from fusionlab.jobs.job_data import LOADERS_MOST, Data, loaders
from fusionlab.study.launchers import WORKERS_VARIABLE
from fusionlab.video.codecs import JPEG, LZ4
from fusionlab.video.store import Coding

PLAIN = tree({"data": "brush"}).with_leaves({})
RUN = RunConfig.of(PLAIN)
CODED, RAW = Coding(JPEG, LZ4), Coding()


def run(loaders: Any = "auto", device: str = "cuda") -> RunConfig:
    return replace(RUN, loaders=loaders, device=device)


@pytest.fixture
def share(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], int]:
    """Loaders of a job on a GPU beside so many workers of this host."""

    def shared(workers: int) -> int:
        monkeypatch.setenv(WORKERS_VARIABLE, str(workers))
        return loaders(run(), CODED)

    return shared


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKERS_VARIABLE, raising=False)
    monkeypatch.setattr(job_data.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(job_data.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**40))


@pytest.mark.parametrize("coding", [CODED, RAW])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_is_asked_for_is_done(device: str, coding: Coding) -> None:
    assert [loaders(run(asked, device), coding) for asked in (0, 1, 20)] == [0, 1, 20]


def test_on_a_gpu_its_share_of_the_cores_decodes(share: Callable[[int], int]) -> None:
    assert loaders(run(), CODED) == loaders(replace(run(), workers=4), CODED) == LOADERS_MOST
    assert [share(workers) for workers in (1, 4, 16, 40)] == [LOADERS_MOST, 3, 0, 0]


def test_nothing_is_read_ahead_where_that_would_not_help() -> None:
    assert loaders(run(device="cpu"), CODED) == 0
    assert loaders(run(), RAW) == 0


def test_a_study_from_before_there_was_the_option_has_the_default() -> None:
    old = {name: one for name, one in PLAIN["run"].items() if name not in ("loaders", "flow", "timeout")}
    assert loaders(replace(RunConfig.of({"run": old}), device="cuda"), CODED) == LOADERS_MOST
    assert RunConfig.of({"run": old}).timeout == 0


def test_no_more_than_fit_into_shared_memory(monkeypatch: pytest.MonkeyPatch, share: Callable[[int], int]) -> None:
    monkeypatch.setattr(job_data.shutil, "disk_usage", lambda _: SimpleNamespace(free=64 * 2**20))
    assert loaders(run(), CODED) == 0 and loaders(run(3), CODED) == 3
    monkeypatch.setattr(job_data.shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 2**30))
    assert [share(workers) for workers in (1, 2)] == [5, 2]


def test_a_job_reads_by_as_many(tmp_path: Path) -> None:
    config = ArmConfig.of(PLAIN)
    for asked in (0, 2):
        there = Data(build_dataset(config.data), tmp_path, run(asked))
        assert there.module(config).workers == asked


def test_a_job_reads_what_its_config_names(tmp_path: Path) -> None:
    leaves = {"data.quarantine": ["b.avi", "a.avi"], "split": 2, "seed.data": 7, "data.sampling.validation": 0.3,
              "optim.fusion.batch_size": 5, "data.sampling.snippets": 4}  # fmt: skip
    config = ArmConfig.of(tree({"data": "brush"}).with_leaves(leaves))
    of = Data(build_dataset(config.data), tmp_path, run(0))
    made, alone = of.module(config), of.module(config, snippets=1)
    assert made.quarantine == {"a.avi", "b.avi"} and made.streams == ("appearance", "motion")
    assert (made.split, made.seed, made.validation, made.batch_size) == (2, 7, 0.3, 5)
    assert (made.sampling.snippets, alone.sampling.snippets) == (4, 1)
