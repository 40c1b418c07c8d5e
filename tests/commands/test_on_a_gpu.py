"""On a GPU: the whole way, the numbers of the CPU, and what is recorded. Skipped where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from terminal import FAST, Lab

from fusionlab.jobs.retest import look_again, open_arm
from fusionlab.study import plan as plans

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

GRIDS = {
    "how": ("fusion=sum,max,cat,conv,bilinear,compact,product", "layer=relu5"),
    "when": ("fusion=conv", "layer=relu5", "temporal=pool3d,conv3d"),
    "bf16": ("fusion=sum", "layer=relu5", "trainer=bf16"),
}
NO_DROPOUT = ("backbone.appearance.dropout=0.0", "backbone.motion.dropout=0.0")


@pytest.fixture(scope="module", params=GRIDS)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A study that was trained on the GPU."""
    found = Lab(tmp_path_factory.mktemp("gpu"), tmp_path_factory.getbasetemp() / "data")
    done = found.run("sweep", *GRIDS[request.param], FAST, "run.device=cuda")
    assert done.status == 0, done.err
    yield found
    found.close()


def scores(study: Path, device: str) -> dict[str, NDArray[Any]]:
    """Each trained arm's scores as a device reckons them from its weights."""
    plan, said = plans.read(study), {}
    for arm in plan.arms:
        of = open_arm(plan, study, arm)
        assert not isinstance(of, str), of
        of = replace(of, run={**of.run, "device": device})
        said[arm.name] = np.array(look_again(of, arm.config["split"]).scores)
    return said


def test_a_cpu_says_the_same_of_what_a_gpu_has_trained(lab: Lab) -> None:
    on_gpu, on_cpu = (scores(lab.study, device) for device in ("cuda", "cpu"))
    assert len(on_gpu) >= 4
    for name, one in on_gpu.items():
        np.testing.assert_allclose(one, on_cpu[name], atol=2e-5, err_msg=name)
        assert np.ptp(one) > 0.01, "and it says something"


def test_records_have_the_memory_of_the_gpu(lab: Lab) -> None:
    """That of its tensors: the libraries of the process alone have more."""
    for place in lab.found("published/*/run.json"):
        job = json.loads(place.read_text(encoding="utf-8"))["circumstances"]["job"]
        assert 2**20 < job["peak"] < 2**28


def test_records_name_the_gpu(lab: Lab) -> None:
    for name, (record, _) in lab.records().items():
        assert record["status"] == "done", name
    for place in (lab.home / "runs").rglob("published/*/run.json"):
        around = json.loads(place.read_text(encoding="utf-8"))["circumstances"]
        assert around["device"] == torch.cuda.get_device_name()


def test_what_was_trained_can_be_tested_again_there(lab: Lab) -> None:
    done = lab.run("test", str(lab.study))
    assert done.status == 0 and "other predictions" not in done.out, done.out + done.err


def test_a_stream_learns_on_a_gpu_what_it_learns_on_a_cpu(tmp_path: Path) -> None:
    """Two epochs from the same draws, batches and dropout's: the losses of both devices lie side by side."""
    losses = {}
    for device in ("cpu", "cuda"):
        lab = Lab(tmp_path / device, tmp_path / "data")
        done = lab.run("sweep", "fusion=sum", "layer=relu5", FAST, f"run.device={device}", *NO_DROPOUT)
        assert done.status == 0, done.err
        losses[device] = {name: record["result"]["val_loss"] for name, (record, _) in lab.records().items()}
        lab.close()
    assert losses["cpu"].keys() == losses["cuda"].keys()
    for name, loss in losses["cpu"].items():
        if loss is not None:  # late fusion is not trained
            assert abs(losses["cuda"][name] - loss) < 2e-3 * loss, (name, losses)
