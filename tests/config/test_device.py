"""The device of a job, on machines whose GPUs are fake: torch cannot use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gpu_fakes import fake_machine

from fusionlab.config import build
from fusionlab.config.compose import tree
from fusionlab.config.run_config import RunConfig
from fusionlab.errors import UserError
from fusionlab.study.devices import VARIABLE

RUN = RunConfig.of(tree({}).with_leaves({}))
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has not asked yet, on a machine without nvidia-smi."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    build._auto_device.cache_clear()
    yield
    build._auto_device.cache_clear()


@pytest.mark.parametrize("variable", [None, "0"])
def test_auto_says_once_why_it_is_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str | None
) -> None:
    if variable is None:
        fake_machine(tmp_path, 2)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    else:
        monkeypatch.setenv(VARIABLE, variable)
    assert [build.device(RUN), build.device(RUN), build.device_name(RUN)] == ["cpu"] * 3
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert f"run.device=auto is the CPU: there is a GPU, but torch {torch.__version__} cannot use it (" in err


def test_a_gpu_that_the_sweep_cannot_count_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else all workers would share it."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert build.device(RUN) == "cpu"
    assert f"no nvidia-smi; {VARIABLE}=0 uses it" in capsys.readouterr().err


def test_without_a_gpu_auto_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.device(RUN) == build.device(replace(RUN, device="cpu")) == "cpu"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("device", "here"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_gpu_that_is_asked_for_must_be_there(monkeypatch: pytest.MonkeyPatch, device: str, here: int) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: here > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: here)
    with pytest.raises(UserError, match=f"(?s)no such CUDA device here.*run.device={device}"):
        build.device(replace(RUN, device=device))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: here + 1)
    assert build.device(replace(RUN, device=device)) == device
