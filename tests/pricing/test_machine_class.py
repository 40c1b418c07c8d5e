"""The class of a machine with GPUs: as nvidia-smi names them, without CUDA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from gpu_fakes import NAME, fake_machine, mig

from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.pricing.machine_class import Machine
from fusionlab.study.devices import VARIABLE

RUN = RunConfig.of(tree({}).with_leaves({}))


def test_a_machine_is_named_by_the_gpu_that_its_jobs_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_machine(tmp_path, 2, instances={1: [("1g.10gb", 9728)]})
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv(VARIABLE, raising=False)

    def named(device: str) -> str:
        return Machine.here(replace(RUN, device=device)).device

    assert [named(device) for device in ("auto", "cuda", "cuda:1", "cpu")] == [NAME, NAME, f"{NAME} MIG 1g.10gb", "cpu"]
    assert named("cuda:2") == "cuda:2", "it is not here"
    monkeypatch.setenv(VARIABLE, mig(0))
    assert named("auto") == f"{NAME} MIG 1g.10gb"
    monkeypatch.setenv(VARIABLE, "")
    assert [named(device) for device in ("auto", "cuda")] == ["cpu", "cuda"]
