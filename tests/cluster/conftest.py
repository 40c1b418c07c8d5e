"""The cluster of these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import Cluster, missing


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running SLURM; skipped where there can be none, unless FUSIONLAB_CLUSTER says that there must be one."""
    reason = missing()
    if reason and os.environ.get("FUSIONLAB_CLUSTER") != "1":
        pytest.skip(reason)
    assert not reason, reason
    made = Cluster.start(Path(tmp_path_factory.mktemp("slurm")))
    yield made
    made.stop()
