"""Typed configs from plain trees: what an older tree lacks is neutral, all else must be there."""

from __future__ import annotations

import pytest

from fusionlab.config.compose import tree
from fusionlab.config.run_config import OLDER_RUN, RunConfig
from fusionlab.errors import UserError

RUN = tree({}).with_leaves({})["run"]


@pytest.mark.parametrize("leaf", sorted(set(RUN) - {"logger"}))
def test_only_a_leaf_that_is_newer_may_be_missing(leaf: str) -> None:
    older = {"run": {name: one for name, one in RUN.items() if name != leaf}}
    if f"run.{leaf}" in OLDER_RUN:
        value = OLDER_RUN[f"run.{leaf}"]
        assert getattr(RunConfig.of(older), leaf) == (tuple(value) if isinstance(value, list) else value)
    else:
        with pytest.raises(UserError, match=f"(?s)a config lacks an option.*run.{leaf}"):
            RunConfig.of(older)
