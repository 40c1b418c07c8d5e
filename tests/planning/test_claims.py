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


@pytest.mark.parametrize(
    ("row", "against", "message"),
    [
        ("{layer:relu5}", "late", "2 have these axes"),
        ("{fusion:conv}", "{kind:stream}", "2 have these axes"),
        ("{fusion:conv}", "{layer:relu5,fusion:conv}", "held against another"),
        ("{kind:control}", "control", "not held against its control"),
        ("{kind:late}", "late", "not held against late fusion"),
        ("{kind:stream,streams:motion}", "control", "not held against its control"),
        ("{kind:tower,streams:motion}", "late", "not in this grid"),
        ("{fusion:conv,seed:0}", "late", "not in this grid"),
    ],
)
def test_a_claim_that_can_never_be_decided(row: str, against: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        plan_study([*GRID, "seed=0,1", claim(row, against)])
    assert error.value.got and (error.value.allowed is None or error.value.allowed)


def test_seeds_and_selected_rates_are_no_rows_of_their_own() -> None:
    rates = ["optim.fusion.lr=1e-3,1e-2", "seed=0,1", "run.double=true"]
    assert plan_study([*GRID, *rates, "select=optim.fusion.lr", claim("{fusion:conv}", "{fusion:sum}")]).plan
    with pytest.raises(UserError, match="2 have these axes"):
        plan_study([*GRID, *rates, claim("{fusion:conv}")])


def test_the_question_is_one_of_the_data() -> None:
    with pytest.raises(UserError, match="unknown kind of question") as error:
        plan_study([*GRID, claim("{fusion:conv}").replace("margin:1", "margin:1,question:bindng")])
    assert set(error.value.allowed or ()) == {"all", "what", "binding"} and "binding" in str(error.value.hint)


def test_what_is_no_claim_is_refused_before_the_run() -> None:
    with pytest.raises(UserError, match="no such kind of claim"):
        plan_study([*GRID, "run.claim={row:{fusion:conv},against:late,kind:best,margin:1}"])
