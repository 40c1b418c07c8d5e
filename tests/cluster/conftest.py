"""The cluster of these tests, and working directories whose commands are typed on its machine `login`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disturbed_parts import write_parts
from slurm_cluster import Cluster, missing
from slurm_studies import PACED, on_login, results
from terminal import Lab

from fusionlab.records.lock import alone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)


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


@pytest.fixture
def lab(cluster: Cluster, study: Lab, tmp_path: Path) -> Iterator[Lab]:
    """A working directory on `login` with the trained streams of the shared study, and the parts of disturbed_parts."""
    shutil.copytree(study.home / "runs" / "streams", tmp_path / "runs" / "streams")
    write_parts(tmp_path)
    made = on_login(cluster, tmp_path, study.data)
    yield made
    made.close()
    cluster.repair()


@pytest.fixture(scope="session")
def undisturbed(study: Lab, together: Path) -> dict[str, Any]:
    """The records and weights of `PACED`, which was swept without a cluster and without disturbance."""
    home = together / "paced"
    made = Lab(home, study.data)
    with alone(together / "paced.lock", lambda _: None, "the undisturbed study"):
        if not home.exists():
            shutil.copytree(study.home / "runs" / "streams", home / "runs" / "streams")
            write_parts(home)
            done = made.run(*PACED)
            assert done.status == 0, done.err
    return results(made)
