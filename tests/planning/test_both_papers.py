"""The tables of 2014 and 2016 as experiments: each plans without any data, and with debug=tiny on brush."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from fusionlab.planning.grid import PlannedStudy, plan_study

CONF = Path(__file__).parents[2] / "conf"
ARMS: dict[str, dict[str, int]] = {}
HEAD = re.compile(r"# @package _global_\n((?:# .*\n)+)defaults:")
VGG = re.compile(r"fusionlab\.backbones\.vgg")


@functools.cache
def planned(*words: str) -> PlannedStudy:
    return plan_study(words)


@pytest.mark.parametrize("experiment", ARMS)
def test_an_experiment_begins_with_what_a_reader_asks(experiment: str) -> None:
    text = (CONF / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")
    found = HEAD.match(text)
    assert found
    lines = found[1]
    for start in ("Paper: ", "Question: ", "Claim: ", "Cost, an estimate: "):
        assert lines.count(f"# {start}") == 1, start
    assert lines.endswith(tuple(f"# python -m fusionlab.sweep experiment={experiment}{end}\n" for end in (
        "", " data=ucf101", " data=hmdb51",
    )))  # fmt: skip
    assert "GPU-hours" in lines and "GiB" in lines
