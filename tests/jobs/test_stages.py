"""Both stages of a small study in this process, each number held against a loop over the published files."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stage_fakes import EPOCHS, Trained
from torch import Tensor

from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.schema import ArmConfig, StreamConfig
from fusionlab.errors import UserError
from fusionlab.jobs import other_split, retest, stages
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import read_predictions, write_predictions
from fusionlab.records.record import CHECKPOINT, WEIGHTS, read_record
from fusionlab.records.record import FILE as RECORD
from fusionlab.results.head_scores import FILE as HEADS
from fusionlab.study.attempt import Attempt
from fusionlab.study.plan import Arm
from fusionlab.training.weights import fingerprint, read_weights, write_weights
from fusionlab.two_stream.net import STREAMS, StreamNet
from fusionlab.video.store import content_hash

pytestmark = pytest.mark.usefixtures("small_is_found")


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
    losses = [  # of the scores, each the mean over the clip's predictions
        -math.log(sum(logits[:, t].softmax(0)[label].item() for t in range(logits.shape[1])) / logits.shape[1])
        for _, label, logits in logits_by_hand(trained, arm, "validation", 1 if arm.kind == "stream" else None)
    ]
    assert result["val_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    steps = 0 if kind == "late" else EPOCHS * (18 // 8)  # 18 of 24 training videos are left, in batches of 8
    assert result["steps"] == result["best_step"] == steps, "the weights of the last step"
    assert [row["step"] for row in result["curves"]] == ([0] if kind == "late" else [1, 2, 3, 4])
    own = [one for name, one in weights.items() if name not in ("tower.mean", "tower.scale")]
    assert result["trained_parameters"] == sum(one.numel() for one in own)
    assert (result["trained_parameters"] == result["parameters"]) == (arm.kind == "stream")
    assert result["weights"] == fingerprint(weights) and result["data"] == trained.data.store.hash
    layers = {"late": 16, "fused": 5 + 5 + 1 + 1 + 3}  # both towers' convolutions, conv, conv3d, fc6 … fc8
    assert (result["layers"], result["svm_parameters"]) == (layers.get(kind, 8), 0)
    assert result["flow"] == trained.data.store.made["flow"]
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


def test_another_split_is_tested_only_if_it_is_meant(
    copied: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its eight test videos were all in the first split's training list."""
    copied.plan.write(copied.study)
    monkeypatch.setenv("FUSIONLAB_DATA", str(copied.data.run.data))
    monkeypatch.setattr(other_split, "make_dataset", lambda *_: copied.data.dataset)
    with pytest.raises(UserError, match="5 of 5 arms were trained on another split") as refused:
        other_split.test_on(str(copied.study), [], ["2"], allowed=False)
    assert "with groups of 8 of its test videos" in str(refused.value)
    assert other_split.test_on(str(copied.study), [], ["2"], allowed=True) == 0
    for arm, line in zip(copied.plan.arms, capsys.readouterr().out.splitlines(), strict=True):
        of: Any = retest.open_arm(copied.plan, copied.study, arm)
        accuracy = retest.look_again(of, 2).correct / 8
        assert line.endswith(
            f"accuracy {accuracy:.4f} on the 8 test videos of split 2; 8 of them belong to groups in its training list"
        )
    other_split.test_on(str(copied.study), [copied.arm("motion").name], ["1"], allowed=False)
    assert capsys.readouterr().out.endswith("; 0 of them belong to groups in its training list\n")


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


@pytest.mark.parametrize(("apart", "same"), [(5e-5, True), (3e-4, False)])
def test_on_another_cpu_scores_may_be_a_ten_thousandth_apart(
    copied: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, apart: float, same: bool
) -> None:
    copied.plan.write(copied.study)
    monkeypatch.setenv("FUSIONLAB_DATA", str(copied.data.run.data))
    place = copied.place(copied.arm("motion"))
    recorded = read_predictions(place / PREDICTIONS)
    first, *others = recorded.scores
    write_predictions(place / PREDICTIONS, replace(recorded, scores=((first[0] + apart, *first[1:]), *others)))
    record = read_record(place)
    record["result"]["predictions"] = hashlib.sha256((place / PREDICTIONS).read_bytes()).hexdigest()
    record["circumstances"]["machine"]["cpu"] = "another one"
    (place / RECORD).write_text(json.dumps(record))
    assert retest.retest(str(copied.study), [copied.arm("motion").name]) == (not same)
    assert ("the same 12 predictions within 0.0001" in capsys.readouterr().out) == same


# -- each option of a stage turns something

SEEDS = ["seed.init=1", "seed.data=1", "seed.dropout=1"]


@pytest.mark.parametrize("word", [*SEEDS, "trainer=bf16", "optim.fusion.batch_size=4"])
def test_an_option_changes_what_is_trained_above_the_same_streams(trained: Trained, tmp_path: Path, word: str) -> None:
    other = Trained.planned(tmp_path / "runs" / "study", trained.data, word)
    for stream in STREAMS:
        shutil.copytree(trained.place(trained.arm(stream)), other.place(other.arm(stream)))
    assert other.train("fused")["weights"] != trained.result("fused")["weights"]


@pytest.mark.parametrize("word", [*SEEDS, "data.sampling.stream_snippets=2", "data.sampling.validation=0.4"])
def test_an_option_changes_a_stream(trained: Trained, tmp_path: Path, word: str) -> None:
    other = Trained.planned(tmp_path / "runs" / "study", trained.data, word)
    assert other.train("motion")["weights"] != trained.result("motion")["weights"]


def test_a_stream_reads_its_own_pixels_only(trained: Trained) -> None:
    for stream in STREAMS:
        config = StreamConfig.of(trained.arm(stream).config)
        assert set(trained.data.module(config).clips("train")[0, 0]) == {stream, "label", "index"}


def test_torch_is_configured_before_each_stage(
    copied: Trained, trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(stages, "configure_torch", lambda *given: calls.append(given))
    shutil.rmtree(copied.plan.job(copied.arm("fused").job).path(copied.study))
    copied.train("fused")
    Trained.planned(tmp_path / "2" / "study", trained.data).train("motion")
    assert calls == [("32-true", 1)] * 2


def test_a_quarantined_video_is_in_no_list_and_not_in_the_hash_of_the_data(trained: Trained, tmp_path: Path) -> None:
    train, test = trained.data.dataset.lists(1)
    left_out = [train[0][0], test[0][0], test[1][0]]
    other = Trained.planned(tmp_path / "runs" / "study", trained.data, f"data.quarantine=[{','.join(left_out)}]")
    result, store = other.train("motion"), trained.data.store
    assert result["quarantined"] == {"train": 1, "test": 2} and result["total"] == 10
    assert read_predictions(other.place(other.arm("motion")) / PREDICTIONS).videos == tuple(n for n, _ in test[2:])
    rest = {name: one for name, one in store.videos.items() if name not in left_out}
    assert result["data"] == content_hash(rest, store.made, store.coding) != store.hash


def test_a_stream_starts_from_the_weights_that_it_names(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    shutil.copy(trained.place(trained.arm("motion")) / WEIGHTS, file)
    other = Trained.planned(tmp_path / "runs" / "study", trained.data, f"weights.motion={file}")
    result, before = other.train("motion"), trained.result("motion")
    assert result["weights"] != before["weights"]
    assert result["initial_weights"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    refused = Trained.planned(tmp_path / "2" / "study", trained.data, f"weights.motion={file}", "split=2")
    with pytest.raises(UserError, match="trained on another split of this data set"):
        refused.train("motion")


@pytest.mark.parametrize("kind", ["motion", "fused"])
def test_the_next_attempt_goes_on_from_the_checkpoint(
    copied: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    other = Trained.planned(tmp_path / "2" / "study", copied.data, "run.checkpoint_every=3", "run.keep=last")
    for stream in STREAMS if kind == "fused" else ():
        shutil.copytree(copied.place(copied.arm(stream)), other.place(other.arm(stream)))
    job = other.plan.job(other.arm(kind).job)
    other.run(job)
    assert "continuing" not in capsys.readouterr().out
    other.run(job, number=2)
    said = capsys.readouterr().out
    assert "continuing at step 3" in said and "differs" not in said


def test_each_arm_of_a_cohort_has_its_own_net(trained: Trained, tmp_path: Path) -> None:
    """Also its own counts: a descriptor has a classifier that the papers do not count."""
    words = ["fusion=sum,bilinear", "temporal=pool2d"]
    other = Trained.planned(tmp_path / "runs" / "study", trained.data, *words, without="fusion.init")
    for stream in STREAMS:
        shutil.copytree(trained.place(trained.arm(stream)), other.place(other.arm(stream)))
    fused = [one for one in other.plan.arms if one.kind == "fused"]
    other.run(other.plan.job(fused[0].job))
    results = {str(one.axes["fusion"]): read_record(other.place(one))["result"] for one in fused}
    assert [results[name]["layers"] for name in ("sum", "bilinear")] == [5 + 5 + 3, 5 + 5]
    machine = 8 * 8 * 3 + 3
    assert [results[name]["svm_parameters"] for name in ("sum", "bilinear")] == [0, machine]
    assert results["bilinear"]["trained_parameters"] == machine


def test_an_attempt_trains_the_arms_of_its_claim(trained: Trained, tmp_path: Path) -> None:
    other = Trained.planned(tmp_path / "runs" / "study", trained.data)
    for stream in STREAMS:
        shutil.copytree(trained.place(trained.arm(stream)), other.place(other.arm(stream)))
    job, late = other.plan.job(other.arm("fused").job), other.arm("late").name
    claim = Attempt(job.path(other.study), 1).claim_file
    claim.parent.mkdir(parents=True)
    claim.write_text(json.dumps({"arms": [late]}))
    other.run(job)
    assert [place.name for place in (job.path(other.study) / "published").iterdir()] == [late]


def test_an_arm_that_diverges_is_published_nowhere(trained: Trained, tmp_path: Path) -> None:
    """Of a cohort it fails alone; a stream ends its job, since all that stands on it would be wrong."""
    other = Trained.planned(tmp_path / "runs" / "study", trained.data, "optim.fusion.lr=1e30", "optim.streams.lr=1e30")
    with pytest.raises(UserError, match="the motion stream has failed"):
        other.train("motion")
    for stream in STREAMS:
        job = other.plan.job(other.arm(stream).job).path(other.study)
        assert not (job / "published").exists()
        shutil.copytree(trained.place(trained.arm(stream)), other.place(other.arm(stream)))
    job, fused = other.plan.job(other.arm("fused").job), other.arm("fused")
    other.run(job)
    assert other.place(other.arm("late")).is_dir() and not other.place(fused).exists()
    record = read_record(Attempt(job.path(other.study), 1).failed / fused.name)
    assert record["status"] == "failed" and record["reason"].startswith("diverged")


def test_a_record_names_its_arm(trained: Trained) -> None:
    for arm in trained.plan.arms:
        record = read_record(trained.place(arm))
        for leaf in ("name", "kind", "axes", "signature", "config"):
            assert record[leaf] == getattr(arm, leaf), leaf
        streams = {stream: trained.arm(stream).signature for stream in STREAMS}
        assert record["stage_one"] == ({} if arm.kind == "stream" else streams)


# -- run.keep


def with_streams(trained: Trained, folder: Path, *words: str) -> Trained:
    """The same study before its fused arms, with other options of its run."""
    other = Trained.planned(folder / "runs" / "study", trained.data, *words)
    for stream in STREAMS:
        shutil.copytree(trained.place(trained.arm(stream)), other.place(other.arm(stream)))
    return other


@pytest.mark.parametrize(("keep", "kept"), [("best", False), ("last", True), ("none", False)])
def test_checkpoints_are_deleted_when_each_arm_is_published(
    trained: Trained, tmp_path: Path, keep: str, kept: bool
) -> None:
    """Also those of earlier attempts that have ended; one that may still run keeps its own."""
    other = with_streams(trained, tmp_path, "run.checkpoint_every=3", f"run.keep={keep}")
    job = other.plan.job(other.arm("fused").job)
    ended, unknown, first, _ = attempts = [Attempt(job.path(other.study), number) for number in (1, 2, 3, 4)]
    for attempt in (ended, unknown):
        attempt.claim_file.parent.mkdir(parents=True, exist_ok=True)
        attempt.open()
        (attempt.folder / CHECKPOINT).touch()
    for arm in job.arms:  # so that the next attempts do not read the files above
        (unknown.failed / arm).mkdir(parents=True)
    ended.end_file.write_text("{}")

    def there() -> list[bool]:
        return [(attempt.folder / CHECKPOINT).is_file() for attempt in attempts]

    first.claim_file.write_text(json.dumps({"arms": [other.arm("late").name]}))
    other.run(job, number=3)
    assert there() == [True, True, False, False], "an arm is left"
    other.run(job, number=4)
    assert there() == [kept, True, False, kept]


def test_without_weights_the_record_is_the_same_and_test_says_what_to_do(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = with_streams(trained, tmp_path, "run.keep=none")
    assert other.train("fused")["weights"] == trained.result("fused")["weights"]
    arm = other.arm("fused")
    assert sorted(place.name for place in other.place(arm).iterdir()) == [HEADS, PREDICTIONS, RECORD]
    other.plan.write(other.study)
    monkeypatch.setenv("FUSIONLAB_DATA", str(other.data.run.data))
    capsys.readouterr()
    assert retest.retest(str(other.study), [arm.name]) == 1
    said = capsys.readouterr().out
    assert f"remove {other.place(arm)} and train it again with run.keep=best" in said
    shutil.rmtree(other.place(other.arm("motion")))
    other.train("motion")
    assert (other.place(other.arm("motion")) / WEIGHTS).is_file(), "later studies start from it"
