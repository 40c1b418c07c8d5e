"""A claim is checked when the study is planned: its rows are in the grid."""

from __future__ import annotations

import pytest

from fusionlab.errors import UserError
from fusionlab.planning.grid import plan_study

GRID = ["fusion=sum,conv", "layer=relu5"]


def claim(row: str, against: str = "control") -> str:
    return f"run.claim={{row:{row},against:{against},kind:better,margin:1}}"


def test_a_claim_changes_no_plan() -> None:
    plain = plan_study(GRID).plan
    for against in ("control", "late", "{fusion:sum}", "{kind:stream,streams:motion}"):
        study = plan_study([*GRID, claim("{fusion:conv,layer:relu5}", against)])
        assert study.plan.signature == plain.signature
        assert study.run.claim is not None and study.run.claim["margin"] == 1
    assert plan_study(GRID).run.claim is None


@pytest.mark.parametrize(("row", "against"), [("{fusion:max}", "control"), ("{fusion:conv}", "{fusion:max}")])
def test_a_claim_about_a_row_that_is_not_there(row: str, against: str) -> None:
    with pytest.raises(UserError, match="not in this grid") as error:
        plan_study([*GRID, claim(row, against)])
    assert "fusion=max" in str(error.value) and "fusion=conv layer=relu5" in str(error.value)


def test_what_is_no_claim_is_refused_before_the_run() -> None:
    with pytest.raises(UserError, match="no such kind of claim"):
        plan_study([*GRID, "run.claim={row:{fusion:conv},against:late,kind:best,margin:1}"])
