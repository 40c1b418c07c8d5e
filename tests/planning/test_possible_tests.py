"""A test that a net cannot take is refused by the plan and by the sweep, before any training."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.planning.grid import PlannedStudy, plan_study
from fusionlab.planning.possible_tests import check_tests
from fusionlab.planning.preflight import check_files
from fusionlab.planning.price_plan import price_of

CLIPS = ["backbone=r3d", "layer=layer3", "data.sampling.snippets=8", "data.sampling.stream_snippets=8"]
FRAME = ["data.sampling.snippets=1", "data.sampling.stream_snippets=1", "layer=relu5"]
CASES = [
    (["layer=relu5", "data.sampling.crop=128", "test=middle,frame"], "5 of 5", "test=frame", "smaller", "test=middle;"),
    ([*CLIPS, "test=video"], "5 of 5", "test=video", "clips are shorter", "the same without test=;"),
    ([*CLIPS, "data.sampling.test=video"], "5 of 5", "data.sampling.test=video", "shorter", "data.sampling.test="),
    ([*FRAME, "ablate=appearance:freeze,motion:mean"], "4 of 5", "ablate=appearance:freeze", "stands still",
     "ablate=motion:mean;"),
]  # fmt: skip


def planned(folder: Path, *words: str) -> PlannedStudy:
    return plan_study(["debug=fast", "data=brush", "fusion=sum", f"run.root={folder}", f"run.data={folder}", *words])


@pytest.mark.parametrize(("words", "count", "typed", "why", "hint"), CASES)
def test_it_names_the_arms_and_what_to_type(
    tmp_path: Path, words: list[str], count: str, typed: str, why: str, hint: str
) -> None:
    study = planned(tmp_path, *words)
    for check in (check_tests, check_files, price_of):
        with pytest.raises(UserError) as raised:
            check(study)  # type: ignore[operator]
        error = raised.value
        assert error.what.startswith(f"{count} arms cannot be tested with {typed}: ") and why in error.what
        assert str(error.got).startswith(study.plan.arms[0].name) and (error.hint or "").startswith(hint)
    assert not any(tmp_path.iterdir()), "nothing is written"


def test_what_is_possible_passes(tmp_path: Path) -> None:
    check_tests(planned(tmp_path, "layer=relu5", "test=middle,frame,final,simonyan,video", "combine=weighted,svm"))
    check_tests(planned(tmp_path, *FRAME, "ablate=motion:freeze,appearance:shuffle"))
