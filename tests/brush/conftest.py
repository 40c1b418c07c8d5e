import os
from collections.abc import Callable
from pathlib import Path

import pytest
from brush_fakes import Film, film

from fusionlab.records.lock import alone


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run, the same for all its worker processes."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "brush shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def filmed(shared: Path) -> Film:
    """800 clips of the data set, seen once for all tests."""
    return _once(shared / "film.npz", lambda: film(shared, 800))


def _once(path: Path, make: Callable[[], Film]) -> Film:
    with alone(path.with_suffix(".lock"), lambda _: None, "film"):
        if not path.exists():
            made = path.with_suffix(".new.npz")
            make().save(made)
            made.rename(path)
    return Film.load(path)
