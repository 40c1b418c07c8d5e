"""Which other tests an arm gets, and its config with the views of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fusionlab.config.schema import ArmConfig, StreamConfig
from fusionlab.records.other_tests import Asked, OtherTest

Config = ArmConfig | StreamConfig


def wanted(asked: Asked, config: Config, heads: Sequence[str]) -> list[OtherTest]:
    """The tests of an arm that its network computes, beside its own. `heads`: those whose scores a test keeps."""
    stream = config.stream if isinstance(config, StreamConfig) else None
    combined = stream is not None or len(heads) > 1  # a stream's head, with the other's in late fusion
    return asked.measured(config.data.sampling.test, stream, heads=combined)


def tested_by(config: Config, test: OtherTest) -> Config:
    """The config, with the views of a test."""
    sampling = replace(config.data.sampling, test=test.views)
    return replace(config, data=replace(config.data, sampling=sampling))
