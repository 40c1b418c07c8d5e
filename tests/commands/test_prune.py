"""What is typed wrong for prune; what it finds is tested with `study.leftovers`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Done

Say = Callable[..., Done]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["a=b/c=d"], ["the folders of studies"]),
        ([], ["the folders of studies"]),
        (["keep=none"], ["the folders of studies"]),
        (["nowhere"], ["no study in this folder", "nowhere"]),
        (["nowhere", "nothing"], ["no study in this folder", "nowhere"]),
        (["nowhere", "keep=some"], ["unknown option of prune", "keep=best, keep=last, keep=none"]),
        (["nowhere", "kep=none"], ["unknown option of prune", "did you mean keep=none ?"]),
        (["nowhere", "--no"], ["unknown flag", "--yes"]),
    ],
)
def test_each_mistake_is_answered(say: Say, tmp_path: Path, words: list[str], parts: list[str]) -> None:
    done = say("prune", *words)
    assert (done.status, done.out) == (2, "")
    assert not [part for part in parts if part not in done.err], done.err
    assert not list(tmp_path.iterdir())
