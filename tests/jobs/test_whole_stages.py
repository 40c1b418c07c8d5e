"""Arms that train their towers too, in jobs: what is published, their test again, bfloat16, and weights of classes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from stage_fakes import Trained, found

from fusionlab.data.module import TwoStreamData
from fusionlab.jobs import retest
from fusionlab.records.record import WEIGHTS, read_record
from fusionlab.training.weights import fingerprint, read_weights
from fusionlab.two_stream.net import STREAMS

ALL = ("backprop=all",)


def run(trained: Trained, folder: Path, *words: str) -> Trained:
    """A study above the streams of another one, whose jobs have run."""
    study = Trained.planned(folder / "runs" / "study", trained.data, *words)
    for stream in STREAMS:
        of = next(one for one in study.plan.arms if one.axes["streams"] == stream)
        shutil.copytree(trained.place(trained.arm(stream)).parents[1], study.place(of).parents[1], dirs_exist_ok=True)
    study.plan.write(study.study)
    with found(trained.data):
        for job in (one for one in study.plan.jobs if one.kind == "cohort"):
            study.run(job)
    return study


@pytest.fixture(scope="module")
def whole(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run(trained, tmp_path_factory.mktemp("whole"), *ALL)


def weights(of: Trained, kind: str) -> dict[str, Any]:
    return read_weights(of.place(of.arm(kind)) / WEIGHTS)


@pytest.mark.parametrize("kind", ["fused", "control"])
def test_it_publishes_the_towers_that_it_has_trained(trained: Trained, whole: Trained, kind: str) -> None:
    own, result = weights(whole, kind), whole.result(kind)
    assert result["weights"] == fingerprint(own)
    assert result["trained_parameters"] == result["parameters"] == trained.result(kind)["parameters"]
    for stream in STREAMS:
        before = {name.removeprefix("tower."): one for name, one in weights(trained, stream).items()}
        towers = {name: one for name, one in own.items() if name.startswith(f"towers.{stream}.")}
        moved = {place for name, one in towers.items() if not torch.equal(one, before[place := name.split(".", 2)[2]])}
        assert moved == {f"conv{n}.{leaf}" for n in range(1, 6) for leaf in ("weight", "bias")}
        assert whole.result(stream)["weights"] == trained.result(stream)["weights"], "the stream itself has not"
    assert not any(name.startswith("towers.") for name in weights(trained, kind))
    assert set(result.get("towers", {})) == (set(STREAMS) if kind == "control" else set())


def test_its_late_fusion_is_that_of_the_streams(trained: Trained, whole: Trained) -> None:
    assert whole.arm("late").signature == trained.arm("late").signature
    assert whole.result("late")["predictions"] == trained.result("late")["predictions"]


def test_its_test_again_gives_the_same_predictions(
    whole: Trained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FUSIONLAB_DATA", str(whole.data.run.data))
    with found(whole.data):
        assert retest.retest(str(whole.study), []) == 0
    assert capsys.readouterr().out.count("the same 12 predictions") == len(whole.plan.arms)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [ALL, ("keep_motion=true",), ("fusion=bilinear", "temporal=pool2d"), ("fusion=joint", "temporal=pool2d", *ALL)],
)
def test_in_bfloat16_a_job_publishes_float32(trained: Trained, tmp_path: Path, words: tuple[str, ...]) -> None:
    study = Trained.planned(tmp_path / "runs" / "study", trained.data, "trainer=bf16", *words, without="fusion.init")
    study.run_all()
    for arm in study.plan.arms:
        record = read_record(study.place(arm))
        assert record["status"] == "done" and record["result"]["accuracy"] is not None
        if (place := study.place(arm) / WEIGHTS).is_file():
            assert {one.dtype for one in read_weights(place).values()} <= {torch.float32}


def test_weights_of_classes_follow_from_the_training_list(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("optim.fusion.class_weights=balanced",)
    usual = run(trained, tmp_path / "usual", *words)
    assert usual.arm("fused").signature != trained.arm("fused").signature
    monkeypatch.setattr(TwoStreamData, "class_counts", lambda _: [1, 50, 9])
    odd = run(trained, tmp_path / "odd", *words)
    for kind in ("fused", "control"):
        losses = [one.result(kind)["curves"] for one in (trained, usual, odd)]
        first = [curve[0]["train_loss"] for curve in losses]
        assert first[1] == pytest.approx(first[0], rel=0.05) and first[2] != pytest.approx(first[0], rel=0.05)
