"""A sweep whose streams start from another data set and have a second task, from the command line to its table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import FAST, Lab

WORDS = [FAST, "data=brush2", "weights.motion=from:brush", "multitask.appearance=brush", "fusion=sum", "layer=relu5"]
SOURCE = "streams=motion,trained_on=brush,seed=0"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, tmp_path / "data")
    yield made
    made.close()


@pytest.mark.slow
def test_a_study_with_other_data_and_one_of_the_other_data(lab: Lab) -> None:
    done = lab.run("sweep", *WORDS)
    assert done.status == 0, done.err
    assert "Motion alone" in done.out and "trained_on" not in done.out.partition("All arms")[2]
    study = lab.study
    status = lab.run("status", str(study))
    assert status.status == 0 and f"done       {SOURCE}" in status.out
    again = lab.run("plan", *WORDS)
    assert "6: 6 done" in again.out, "nothing is to be trained again"
    other = lab.run("plan", FAST, "data=brush", "fusion=sum", "layer=relu5")
    assert re.search(r"done +stream +motion-", other.out), "a study of the other data has its stream already"
