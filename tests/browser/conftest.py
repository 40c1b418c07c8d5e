"""A browser for the tests of pages; where there is none they are skipped, but not in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from chromium import Chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        assert not os.environ.get("CI"), "CI has no chromium: .ci/packages installs it"
        pytest.skip("there is no chromium")
    with Chromium(program) as one:
        yield one
