"""The options that --help and completion read as text are those that hydra composes."""

from __future__ import annotations

import re

import pytest
import yaml

from fusionlab.config.catalogue import groups
from fusionlab.config.compose import tree
from fusionlab.config.options import optional_groups, place_of, read_options
from fusionlab.config.overrides import parse_overrides
from fusionlab.config.shorthand import SHORTHAND, expand_shorthand
from fusionlab.errors import UserError
from fusionlab.records.signature import flatten

CHOICES = [(group, name) for group in groups() for name in groups()[group]]
CHOICES = [(group, name) for group, name in CHOICES if group not in ("experiment", "debug", "logger", "table")]


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_names_and_defaults_are_those_of_the_composed_config(group: str, name: str) -> None:
    composed = {
        re.sub(r"\[\d+\]$", "", leaf): value for leaf, value in flatten(tree({group: name}).with_leaves({})).items()
    }
    composed = {leaf: value for leaf, value in composed.items() if "._" not in leaf and "run.table" not in leaf}
    composed.pop("callbacks", None)  # a group that has no option yet
    options = {path: one for path, one in read_options({group: name}).items() if "run.table" not in path}
    assert {path for path, one in options.items() if one.default is not None and path not in SHORTHAND} == set(composed)
    for leaf, value in composed.items():
        default = options[leaf].default
        assert default is not None
        if not default.startswith(("[", "{", "$")):
            assert yaml.safe_load(default) == value or leaf in ("run.data", "run.weights"), leaf


def test_a_shorthand_has_the_default_of_its_options() -> None:
    options = read_options()
    assert options["seed"].default == options["seed.init"].default == "0"
    assert options["weights"].default == "null" and options["weights"].comment
    assert options["run.data"].default == "data", "where FUSIONLAB_DATA does not say otherwise"


def test_where_groups_lie() -> None:
    places = {
        group: place_of(group) for group in ("motion", "flow", "table", "logger", "experiment", "fusion", "layer")
    }
    assert places == {
        "motion": "backbone.motion", "flow": "data.store.flow", "table": "run.table", "logger": "run.logger",
        "experiment": "_global_", "fusion": "fusion", "layer": "layer",
    }  # fmt: skip
    assert optional_groups() == ["experiment", "debug"]


def test_retries_is_a_word_of_its_own() -> None:
    assert parse_overrides(["retries=2"]).typed == {"retries"}
    assert expand_shorthand({"retries": 2, "seed": 1})["run.retries"] == 2
    with pytest.raises(UserError, match=r"retries= has no effect: run\.retries is set"):
        parse_overrides(["retries=2", "run.retries=1"])
    assert read_options()["retries"].default == read_options()["run.retries"].default
