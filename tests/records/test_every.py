"""When a checkpoint is due, by steps or by time."""

from __future__ import annotations

import math

import pytest

from fusionlab.errors import UserError
from fusionlab.records.every import Every


@pytest.mark.parametrize(
    ("typed", "steps", "seconds"),
    [(0, 0, math.inf), (50, 50, math.inf), ("30s", 0, 30), ("5min", 0, 300), ("1h", 0, 3600)],
)
def test_what_may_be_typed(typed: int | str, steps: int, seconds: float) -> None:
    assert Every.parse("run.x", typed) == Every(steps, seconds)


@pytest.mark.parametrize("typed", [-1, 1.5, True, "", "5", "min", "0s", "-1s", "5 min", "5m", "1e3s", "1h30min"])
def test_what_may_not(typed: object) -> None:
    with pytest.raises(UserError, match="a number of steps or a time") as told:
        Every.parse("run.x", typed)  # type: ignore[arg-type]
    assert told.value.got == f"run.x={typed}" and told.value.hint == "run.x=5min"


def test_when_it_is_due() -> None:
    assert [step for step in range(1, 10) if Every(3).is_due(step, 1e9)] == [3, 6, 9]
    assert [s for s in (0, 299, 300, 301) if Every(seconds=300).is_due(1, s)] == [300, 301]
    assert not Every().is_due(1, 1e9)


def test_whether_a_job_is_expected_to_write_one() -> None:
    assert [Every(5).expected(steps, 1e9) for steps in (4, 5, None)] == [False, True, True]
    assert [Every(seconds=60).expected(10**9, seconds) for seconds in (59, 60, None)] == [False, True, True]
    assert not Every().expected(None, None)
