"""Studies that never ran, filled once; their makers are in tests/fakes/result_fakes.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from result_fakes import arm, fill, table_spec

from fusionlab.records.files import write_json


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("filled") / "study one")


@pytest.fixture
def study(tmp_path: Path, filled: Path) -> Path:
    """A copy of its own for each test: two seeds of three baselines and three fusions."""
    return Path(shutil.copytree(filled, tmp_path / filled.name))


@pytest.fixture
def spec() -> dict[str, Any]:
    return table_spec("how")


@pytest.fixture(scope="session")
def fakes() -> dict[str, Callable[..., Any]]:
    return {"arm": arm, "fill": fill, "table_spec": table_spec, "write_json": write_json}
