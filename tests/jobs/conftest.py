"""A small study, trained once for all tests of this folder, and its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from data_fakes import Drifting
from stage_fakes import Trained, found, small_data

from fusionlab.jobs.job_data import Data
from fusionlab.video.store import Store


@pytest.fixture(scope="session")
def small(store: Store, drifting: Drifting) -> Data:
    return small_data(store, drifting)


@pytest.fixture
def small_is_found(small: Data) -> Iterator[None]:
    with found(small):
        yield


@pytest.fixture(scope="session")
def trained(small: Data, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained.planned(tmp_path_factory.mktemp("stages") / "runs" / "study", small).run_all()


@pytest.fixture
def copied(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """The study in a folder of its own, whose files a test may change."""
    return trained.copied(tmp_path, monkeypatch)
