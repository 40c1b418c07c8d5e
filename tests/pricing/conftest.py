"""Small studies below a test's own folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from pricing_fakes import Plan, planned


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Plan a small study below the test's own folder."""
    return partial(planned, tmp_path)
