"""Typed configs from plain trees: what an older tree lacks is neutral, all else must be there."""

from __future__ import annotations

import pytest

from fusionlab.config.compose import tree
from fusionlab.config.run_config import OLDER_RUN, RunConfig
from fusionlab.errors import UserError

RUN = tree({}).with_leaves({})["run"]


@pytest.mark.parametrize("leaf", sorted(set(RUN) - {"logger", "launcher"}))
def test_only_a_leaf_that_is_newer_may_be_missing(leaf: str) -> None:
    older = {"run": {name: one for name, one in RUN.items() if name != leaf}}
    if f"run.{leaf}" in OLDER_RUN:
        value = OLDER_RUN[f"run.{leaf}"]
        assert getattr(RunConfig.of(older), leaf) == (tuple(value) if isinstance(value, list) else value)
    else:
        with pytest.raises(UserError, match=f"(?s)a config lacks an option.*run.{leaf}"):
            RunConfig.of(older)


def test_an_older_plan_has_the_local_launcher() -> None:
    older = {"run": {name: one for name, one in RUN.items() if name != "launcher"}}
    assert RunConfig.of(older).launcher == RunConfig.of({"run": RUN}).launcher
    assert RunConfig.of(older).launcher.name == "local"


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("name", "pbs", "unknown launcher"),
        ("time", 14400, "one line"),
        ("partition", "gpu\n#SBATCH --uid=0", "one line"),
        ("setup", ["module load cuda", "a\nb"], "one line"),
        ("setup", "module load cuda", "list of texts"),
        ("directives", ["exclude=n1"], "a word of sbatch"),
        ("gpus", -1, "whole number"),
        ("gpus", True, "whole number"),
        ("memory", 0, "GiB"),
        ("signal", 0, "whole number"),
    ],
)
def test_options_of_a_launcher_that_cannot_be(option: str, value: object, what: str) -> None:
    with pytest.raises(UserError, match=f"(?s){what}"):
        RunConfig.of({"run": {**RUN, "launcher": {"name": "slurm", option: value}}})
