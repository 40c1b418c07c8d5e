"""A sweep on a machine where nvidia-smi shows GPUs that torch cannot use: who asks CUDA, and what each job sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gpu_fakes import fake_machine, gpu
from terminal import FAST, Done, Lab

from fusionlab.records.activity import read_progress
from fusionlab.records.record import read_record
from fusionlab.study.devices import VARIABLE

FAKES = Path(__file__).parents[1] / "fakes"
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A working directory on a machine with two GPUs; what asks CUDA is written into `calls`."""
    fake_machine(tmp_path / "bin", 2)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(FAKES / "cuda_calls"), prepend=":")
    monkeypatch.setenv("CUDA_CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return Lab(tmp_path / "lab", tmp_path / "data")


@pytest.mark.slow
def test_a_sweep_has_a_worker_for_each_gpu_and_only_its_jobs_ask_cuda(lab: Lab, tmp_path: Path) -> None:
    done = lab.run("sweep", "fusion=conv,sum", FAST, "run.folder=runs/study")
    assert done.status == 0, done.err
    notes = [json.loads(note.read_text()) for note in lab.home.glob("runs/study/workers/*.json")]
    assert sorted(note["device"] for note in notes) == [gpu(0), gpu(1)]
    asked = [line.split("\t") for line in (tmp_path / "calls").read_text().splitlines()]
    assert "init" in {call[2] for call in asked if call[0] == "job"}
    assert [call for call in asked if call[0] == "no job"] == []
    trained = [log.read_text() for log in lab.found("attempts/001/log.txt") if "epoch 1," in log.read_text()]
    line = "run.device=auto is the CPU: there is a GPU, but torch"
    assert len(trained) >= 3 and {log.count(line) for log in trained} == {1}
    around = [read_record(file.parent)["circumstances"] for file in lab.found("published/*/run.json")]
    assert len(around) == 6
    assert {(one["device"], one["job"]["workers"]) for one in around} == {("cpu", 2)}
    progress = [read_progress(file) for file in lab.found("attempts/001/progress")]
    assert {one.get("device") for one in progress if one.get("part") != "prepare"} == {"cpu"}


@pytest.mark.parametrize("verb", ["sweep", "train"])
def test_a_device_with_an_index_is_refused_before_anything_starts(
    lab: Lab, say: Callable[..., Done], tmp_path: Path, verb: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = say(verb, "fusion=sum", FAST, "run.device=cuda:1")
    assert done.status == 2 and f"{VARIABLE}={gpu(1)} python -m fusionlab.… run.device=cuda" in done.err
    assert [file for file in sorted(tmp_path.rglob("*")) if file.name != "calls"] == before
