"""A checkpoint is data: each of its two guards keeps code out by itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from training_fakes import Fused, block, cohort

from fusionlab.backbones.pretrained import tensors
from fusionlab.errors import UserError
from fusionlab.training import checkpoint
from fusionlab.training.cohort import Cohort
from fusionlab.training.recipe import parse_recipe
from fusionlab.training.weights import read_weights
from fusionlab.video import raft_weights


class Hostile:
    """Unpickled by Python's own pickle, this makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


READERS = {
    "checkpoint": (checkpoint, checkpoint.read),
    "weights": (tensors, read_weights),
    "flow weights": (raft_weights, lambda path: raft_weights.read(path, "small")),
}


@pytest.mark.parametrize("guard", ["both", "sizes", "tensors only"])
@pytest.mark.parametrize("name", READERS)
def test_no_reader_runs_code(name: str, guard: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check of sizes torch's own guard refuses the file, and the other way round."""
    module, read = READERS[name]
    mark, path, right = tmp_path / "it ran", tmp_path / "file.pt", torch.load
    torch.save({"format": checkpoint.FORMAT, "w": torch.zeros(2), "more": Hostile(mark)}, path)
    if guard == "tensors only":
        monkeypatch.setattr(module, "refuse_bombs", lambda *_: None)
    elif guard == "sizes":
        monkeypatch.setattr(torch, "load", lambda file, **options: right(file, **{**options, "weights_only": False}))
    with pytest.raises(UserError):
        read(path)
    assert not mark.exists()
    right(path, weights_only=False)
    assert mark.exists(), "the file would have done it"


def written(folder: Path, step: int, **statuses: str) -> Path:
    """A checkpoint as far as the choice among several reads it."""
    folder.mkdir()
    arms = {name: {"status": status} for name, status in statuses.items()}
    torch.save({"format": checkpoint.FORMAT, "step": step, "arms": arms}, folder / checkpoint.FILE)
    return folder


def test_the_checkpoint_with_the_most_steps_is_taken_wherever_it_lies(tmp_path: Path) -> None:
    few = written(tmp_path / "1", 4, a="training", b="training")
    most = written(tmp_path / "2", 20, a="training", b="failed")
    some = written(tmp_path / "3", 12, b="done")
    for folders in ([few, most, some], [some, most, few], [most, some, few]):
        chosen = checkpoint.choose_checkpoints(dict.fromkeys(("a", "b", "new"), folders))
        places = {name: place for names, place in chosen for name in names}
        assert places == {"a": most / checkpoint.FILE, "b": some / checkpoint.FILE, "new": None}


def test_a_checkpoint_of_another_arm_of_the_same_name_is_refused() -> None:
    """Of older checkpoints nobody knows."""

    def signed(signature: str) -> Cohort:
        made = cohort({"sum": Fused("sum")}, parse_recipe(block(epochs=1)))
        made.arms["sum"].signature = signature
        return made

    one = signed("one")
    content = checkpoint.content_of(one, cast(Any, one.configure_optimizers()))
    checkpoint.restore(signed("one"), content)
    with pytest.raises(UserError, match="of another arm named sum") as refused:
        checkpoint.restore(signed("other"), content)
    assert all(part in str(refused.value) for part in ("signature one", "allowed:  other", "remove checkpoint"))
    del content["arms"]["sum"]["signature"]
    checkpoint.restore(signed("other"), content)
