"""Both stages of a small study in this process, each number held against a loop over the published files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from data_fakes import Drifting
from torch import Tensor

from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.schema import ArmConfig, StreamConfig
from fusionlab.data.dataset import Entry
from fusionlab.errors import UserError
from fusionlab.jobs import retest, stages
from fusionlab.jobs.job_data import Data
from fusionlab.jobs.recorder import WEIGHTS
from fusionlab.planning.grid import plan_study
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import read_predictions
from fusionlab.records.record import FILE as RECORD
from fusionlab.records.record import read_record
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm, Job, Plan
from fusionlab.training.weights import fingerprint, read_weights, write_weights
from fusionlab.two_stream.net import STREAMS, StreamNet
from fusionlab.video.store import Store

EPOCHS = 2
WORDS = [
    "fusion=conv", "fusion.init=he", "layer=relu5", "temporal=conv3d",
    "backbone.appearance.width=8", "backbone.motion.width=8",
    "data.sampling.crop=16", "data.sampling.fields=4", "data.sampling.stride=1", "data.sampling.validation=0.25",
    f"optim.streams.epochs={EPOCHS}", "optim.streams.batch_size=8", "optim.streams.lr=0.01",
    f"optim.fusion.epochs={EPOCHS}", "optim.fusion.batch_size=8", "optim.fusion.lr=0.01",
    "run.device=cpu", "run.loaders=0",
]  # fmt: skip


class Splits(Drifting):
    """The set with two splits, and ceilings that name the system they were asked for."""

    def lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        train, test = super().lists(split)
        return (train, test) if split == 1 else (test + train[8:], train[:8])

    def ceilings(self, system: str) -> dict[str, Fraction]:
        return {system: Fraction(1)}


@dataclass(frozen=True)
class Trained:
    """A study whose jobs have run, and its data."""

    plan: Plan
    study: Path
    data: Data

    def arm(self, kind: str) -> Arm:
        (arm,) = (one for one in self.plan.arms if one.kind == kind or one.axes["streams"] == kind)
        return arm

    def place(self, arm: Arm) -> Path:
        return self.plan.job(arm.job).path(self.study) / "published" / arm.name


def run_job(plan: Plan, study: Path, job: Job) -> None:
    """Without a worker and its processes."""
    attempt = Attempt(job.path(study), 1)
    attempt.claim_file.parent.mkdir(parents=True)
    attempt.open()
    stages.train(plan, study, job, attempt)


@pytest.fixture(scope="module")
def data(store: Store, drifting: Drifting) -> Data:
    run: Any = plan_study(WORDS).run
    return Data(Splits(drifting.root), store.folder, run)


@pytest.fixture(scope="module", autouse=True)
def the_store(data: Data) -> Iterator[None]:
    """Every job finds the small store, whatever its config names."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (stages, retest):
            patch.setattr(module, "open_data", lambda *_: data)
        yield


@pytest.fixture(scope="module")
def trained(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    plan, study = plan_study(WORDS).plan, tmp_path_factory.mktemp("stages") / "runs" / "study"
    for kind in ("stream", "cohort"):
        for job in (one for one in plan.jobs if one.kind == kind):
            run_job(plan, study, job)
    return Trained(plan, study, data)


def logits_by_hand(of: Trained, arm: Arm, which: Any, snippets: int | None = None) -> list[tuple[str, int, Tensor]]:
    """(video, label, logits (C, T')) of each view, from towers and a net that are loaded from the published files."""
    towers: dict[Any, Tower] = {}
    for stream in STREAMS:
        config: Any = StreamConfig.of(of.arm(stream).config)
        own = build.tower(config.tower, stream, config.data, 3)
        StreamNet(own, stream).load_state_dict(torch.load(of.place(of.arm(stream)) / WEIGHTS, weights_only=True))
        towers[stream] = own.eval()
    if arm.kind == "stream":
        config, stream = StreamConfig.of(arm.config), arm.axes["streams"]
        net: Any = lambda batch: towers[stream].collect(batch[stream], ("fc8",))["fc8"].flatten(2)  # noqa: E731
    else:
        config = ArmConfig.of(arm.config)
        above: Any = build.net(config, *towers.values()).eval()
        above.load_state_dict(torch.load(of.place(arm) / WEIGHTS, weights_only=True))
        net = lambda batch: above({one: towers[one].collect(batch[one], above.needs[one]) for one in towers})  # noqa: E731
    clips = of.data.module(config, snippets).clips(which)
    with torch.no_grad():
        return [
            (name, label, net(clips[view, n])[0].double())
            for n, (name, label) in enumerate(clips.entries)
            for view in range(2)
        ]


@pytest.mark.parametrize("kind", ["appearance", "motion", "late", "fused"])
def test_an_arm_is_recorded_with_its_scores_on_the_test_list(trained: Trained, kind: str) -> None:
    """The means over both views and all time steps."""
    arm = trained.arm(kind)
    recorded = read_predictions(trained.place(arm) / PREDICTIONS)
    tested = trained.data.dataset.lists(1)[1]
    assert list(zip(recorded.videos, recorded.labels, strict=True)) == tested
    scores = {name: torch.zeros(3, dtype=torch.float64) for name, _ in tested}
    for name, _, logits in logits_by_hand(trained, arm, "test"):
        for t in range(logits.shape[1]):
            scores[name] += logits[:, t].softmax(0) / logits.shape[1] / 2
    by_hand = torch.stack(list(scores.values()))
    torch.testing.assert_close(torch.tensor(recorded.scores, dtype=torch.float64), by_hand, atol=1e-5, rtol=0)
    result = read_record(trained.place(arm))["result"]
    right = sum(int(scores[name].argmax()) == label for name, label in tested)
    assert (result["correct"], result["total"], result["accuracy"]) == (right, 12, right / 12)


@pytest.mark.parametrize("kind", ["appearance", "motion", "late", "fused"])
def test_the_record_of_a_training(trained: Trained, kind: str) -> None:
    """Its loss is that of its weights on the validation list: for a stream, of the snippets of its training."""
    arm = trained.arm(kind)
    result, weights = read_record(trained.place(arm))["result"], read_weights(trained.place(arm) / WEIGHTS)
    losses = [
        -logits[:, t].log_softmax(0)[label].item()
        for _, label, logits in logits_by_hand(trained, arm, "validation", 1 if arm.kind == "stream" else None)
        for t in range(logits.shape[1])
    ]
    assert result["val_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    steps = 0 if kind == "late" else EPOCHS * (18 // 8)  # 18 of 24 training videos are left, in batches of 8
    assert result["steps"] == steps and result["best_step"] in range(0, steps + 1, 18 // 8)
    assert [row["step"] for row in result["curves"]] == ([0] if kind == "late" else [2, 4])
    own = [one for name, one in weights.items() if name not in ("tower.mean", "tower.scale")]
    assert result["trained_parameters"] == sum(one.numel() for one in own)
    assert (result["trained_parameters"] == result["parameters"]) == (arm.kind == "stream")
    assert result["weights"] == fingerprint(weights) and result["data"] == trained.data.store.hash
    assert result["kinds"] == {"action": {"correct": result["correct"], "total": 12}}


def test_the_ceilings_are_those_of_the_arms_own_system(trained: Trained) -> None:
    for kind, system in (("appearance", "appearance"), ("motion", "motion"), ("late", "late"), ("fused", "ordered")):
        assert read_record(trained.place(trained.arm(kind)))["ceilings"] == {system: "1"}


def test_a_test_of_trained_arms_has_the_recorded_predictions_and_the_other_splits_list(trained: Trained) -> None:
    for arm in trained.plan.arms:
        of: Any = retest.open_arm(trained.plan, trained.study, arm)
        assert retest.look_again(of, 1) == read_predictions(trained.place(arm) / PREDICTIONS)
        other = retest.look_again(of, 2)
        assert list(zip(other.videos, other.labels, strict=True)) == trained.data.dataset.lists(2)[1]


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Trained:
    """The same study in a folder of its own, whose files a test may change."""
    shutil.copytree(trained.study.parent, tmp_path / "runs")
    return replace(trained, study=tmp_path / "runs" / trained.study.name)


def open_fused(of: Trained) -> tuple[Tower, Tower]:
    arm = of.arm("fused")
    config, content = ArmConfig.of(arm.config), of.data.store.hash
    return stages.trained_streams(of.plan, of.study, of.plan.job(arm.job), config, 3, content)


@pytest.mark.parametrize("stream", ["appearance", "motion"])
def test_a_stream_whose_weights_are_not_those_of_its_record_is_refused(copied: Trained, stream: str) -> None:
    open_fused(copied)
    file = copied.place(copied.arm(stream)) / WEIGHTS
    changed = read_weights(file)
    changed["tower.fc8.bias"] = changed["tower.fc8.bias"] + 1e-7
    write_weights(file, changed)
    with pytest.raises(UserError, match=f"the weights of the {stream} stream are not those of its record"):
        open_fused(copied)


@pytest.mark.parametrize("stream", ["appearance", "motion"])
def test_a_stream_of_other_data_is_refused(copied: Trained, stream: str) -> None:
    place = copied.place(copied.arm(stream))
    record = read_record(place)
    record["result"]["data"] = "0" * 64
    (place / RECORD).write_text(json.dumps(record))
    with pytest.raises(UserError, match=f"the {stream} stream was trained on other data"):
        open_fused(copied)


def test_an_arm_of_weights_that_were_changed_has_other_predictions(
    copied: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied.plan.write(copied.study)
    monkeypatch.setenv("FUSIONLAB_DATA", str(copied.data.run.data))
    arm = copied.arm("fused")
    assert retest.retest(str(copied.study), [arm.name]) == 0
    assert "the same 12 predictions, accuracy" in capsys.readouterr().out
    file = copied.place(arm) / WEIGHTS
    write_weights(file, {name: -one if one.is_floating_point() else one for name, one in read_weights(file).items()})
    assert retest.retest(str(copied.study), [arm.name]) == 1
    assert "other predictions: accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["seed.init=1", "seed.data=1", "seed.dropout=1"])
def test_each_seed_is_used_above_the_same_streams(data: Data, trained: Trained, tmp_path: Path, word: str) -> None:
    other = Trained(plan_study([*WORDS, word]).plan, tmp_path / "runs" / "study", data)
    for stream in ("appearance", "motion"):
        shutil.copytree(trained.place(trained.arm(stream)), other.place(other.arm(stream)))
    assert mark_after_training(other, "fused") != mark(trained, "fused")


@pytest.mark.parametrize("word", ["seed.init=1", "seed.data=1", "seed.dropout=1", "data.sampling.stream_snippets=2"])
def test_each_seed_and_the_number_of_snippets_are_used_by_a_stream(
    data: Data, trained: Trained, tmp_path: Path, word: str
) -> None:
    other = Trained(plan_study([*WORDS, word]).plan, tmp_path / "runs" / "study", data)
    assert mark_after_training(other, "motion") != mark(trained, "motion")


def mark_after_training(of: Trained, kind: str) -> str:
    run_job(of.plan, of.study, of.plan.job(of.arm(kind).job))
    return mark(of, kind)


def mark(of: Trained, kind: str) -> str:
    """The fingerprint of an arm's weights."""
    return str(read_record(of.place(of.arm(kind)))["result"]["weights"])
