"""Tests on whole videos, with clips of one snippet a segment and a consensus of logits: trained, recorded, retested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from slow_tower import write_conf
from stage_fakes import Trained, found

from fusionlab.config import build
from fusionlab.config.compose import tree
from fusionlab.config.schema import ArmConfig, StreamConfig
from fusionlab.errors import UserError
from fusionlab.jobs import retest
from fusionlab.jobs.job_data import Data
from fusionlab.planning.grid import plan_study
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import read_predictions
from fusionlab.records.record import WEIGHTS, read_record
from fusionlab.training.weights import read_weights
from fusionlab.two_stream.net import STREAMS, StreamNet

WORDS = [
    "data.sampling.test=video",
    "data.sampling.times=segments",
    "consensus=logits",
    "data.sampling.stream_snippets=2",
]


@pytest.fixture(scope="module")
def whole(small: Data, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained.planned(tmp_path_factory.mktemp("whole") / "runs" / "study", small, *WORDS).run_all()


def net_of(of: Trained, arm: Any) -> Any:
    """batch -> logits (C, T'), from the published files; of a consensus of scores, so that each T' is there."""
    towers: dict[Any, Any] = {}
    for stream in STREAMS:
        config = StreamConfig.of(of.arm(stream).config)
        towers[stream] = build.tower(config.tower, stream, config.data, 3)
        StreamNet(towers[stream], stream).load_state_dict(read_weights(of.place(of.arm(stream)) / WEIGHTS))
        towers[stream].eval()
    if arm.kind == "stream":
        return lambda batch: towers[arm.axes["streams"]](batch[arm.axes["streams"]]).flatten(2)[0]
    plain = {name: one for name, one in arm.config.items() if name != "consensus"}
    net = build.net(ArmConfig.of(plain), *towers.values()).eval()
    net.load_state_dict(read_weights(of.place(arm) / WEIGHTS))
    assert net.consensus == "scores"
    return lambda batch: net({one: towers[one].collect(batch[one], net.needs[one]) for one in towers})[0]


@pytest.mark.parametrize("kind", ["appearance", "motion", "fused"])
@torch.no_grad()
def test_a_record_holds_the_softmax_of_the_mean_over_the_whole_video(whole: Trained, kind: str) -> None:
    arm = whole.arm(kind)
    recorded, logits = read_predictions(whole.place(arm) / PREDICTIONS), net_of(whole, arm)
    clips, seen = whole.data.module(StreamConfig.of(whole.arm("motion").config)).clips("test"), set()
    assert [name for name, _ in clips.entries] == list(recorded.videos)
    both = whole.data.module(ArmConfig.of(whole.arm("fused").config)).clips("test")
    for index, row in enumerate(recorded.scores):
        batch = both[0, index]
        frames = whole.data.store.video(recorded.videos[index]).frames
        assert batch["motion"].shape[2] == frames - 4, "every frame that has its four fields, at τ = 1"
        expected = logits(batch).double().mean(dim=1).softmax(dim=0)
        torch.testing.assert_close(torch.tensor(row, dtype=torch.float64), expected, atol=1e-5, rtol=0)
        seen.add(frames)
    assert len(seen) > 2


def test_late_fusion_weighs_the_two_agreed_predictions(whole: Trained) -> None:
    rows = {kind: read_predictions(whole.place(whole.arm(kind)) / PREDICTIONS).scores
            for kind in ("appearance", "motion", "late")}  # fmt: skip
    a, b, late = (torch.tensor(rows[kind]) for kind in ("appearance", "motion", "late"))
    torch.testing.assert_close(late, (a + b) / 2, atol=1e-6, rtol=0)


def test_a_retest_sees_the_same(whole: Trained, small: Data, capsys: pytest.CaptureFixture[str]) -> None:
    with found(small):
        for arm in whole.plan.arms:
            of: Any = retest.open_arm(whole.plan, whole.study, arm)
            assert retest.look_again(of, 1) == read_predictions(whole.place(arm) / PREDICTIONS)


def test_it_is_trained_on_clips_as_long_as_usual(whole: Trained) -> None:
    """The validation loss is of `middle`, with the snippets in the middle of their segments, and of the mean logits."""
    arm = whole.arm("fused")
    net, losses = net_of(whole, arm), []
    clips = whole.data.module(ArmConfig.of(arm.config)).clips("validation")
    with torch.no_grad():
        for index, (_, label) in enumerate(clips.entries):
            for view in range(2):
                batch = clips[view, index]
                assert batch["motion"].shape[2] == 3
                losses.append(-net(batch).double().mean(dim=1).log_softmax(dim=0)[label].item())
    assert read_record(whole.place(arm))["result"]["val_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)


# --- videos that are too short for a tower ---


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a study with a tower that leaves a time step every four frames."""
    monkeypatch.chdir(tmp_path)
    write_conf(tmp_path)
    return ["backbone=slow", "fusion=sum", "layer=relu2", "data.sampling.snippets=4", "data.sampling.stream_snippets=4"]


def test_a_video_shorter_than_the_time_stride_is_told_before_training(slow: list[str]) -> None:
    plan = plan_study([*slow, "data.sampling.test=video", "data.sampling.stride=[2,3]"]).plan
    for arm in plan.arms:
        config: Any = (StreamConfig if arm.kind == "stream" else ArmConfig).of(arm.config)
        build.Blueprint().expect_views(config, [(9, 48, 48), (4, 48, 48), (200, 48, 48)])
        with pytest.raises(UserError, match="a time step every 4 frames") as refused:
            build.Blueprint().expect_views(config, [(9, 48, 48), (3, 48, 48)])
        assert "3 frames at τ = 2" in str(refused.value) and "data.quarantine=FILE" in str(refused.value)


def test_the_usual_view_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ArmConfig.of(tree({"fusion": "sum"}).with_leaves({}))
    monkeypatch.setattr(build.Blueprint, "net", lambda *_: pytest.fail("built"))
    build.Blueprint().expect_views(config, [(3, 48, 48)])


@pytest.mark.usefixtures("slow")
def test_a_length_between_the_shortest_and_the_longest_is_compared_too() -> None:
    """Two paddings leave as many steps of a multiple of four frames, and unlike numbers of 13."""
    made = tree({"backbone": "slow", "fusion": "sum"})
    words = {"layer": "relu2", "backbone.motion.padding": 0, "data.sampling.snippets": 16,
             "data.sampling.stream_snippets": 16, "data.sampling.test": "video"}  # fmt: skip
    refused, aligned = (ArmConfig.of(made.with_leaves({**words, "align": align})) for align in ("refuse", "pool"))
    blueprint, ends = build.Blueprint(), [(8, 48, 48), (32, 48, 48)]
    blueprint.expect_views(refused, ends)
    with pytest.raises(UserError, match="cannot be tested on views of this shape") as told:
        blueprint.expect_views(refused, [*ends, (13, 48, 48)])
    assert "4 of appearance, 3 of motion, in clips of 13 frames" in str(told.value.got)
    blueprint.expect_views(aligned, [*ends, (13, 48, 48)])
    one_kind = ArmConfig.of(made.with_leaves({**words, "backbone.motion.padding": 1}))
    blueprint.expect_views(one_kind, [*ends, (13, 48, 48)])


@pytest.mark.usefixtures("slow")
def test_the_shortest_video_is_tried_on_the_net() -> None:
    """A pooling over four steps, of 16 frames; a video of four frames has one."""
    words = {"layer": "relu2", "data.sampling.snippets": 16, "data.sampling.stream_snippets": 16,
             "data.sampling.test": "video", "backbone.appearance.mean": 4, "backbone.motion.mean": 4}  # fmt: skip
    config = ArmConfig.of(tree({"backbone": "slow", "fusion": "sum"}).with_leaves(words))
    build.Blueprint().expect_views(config, [(16, 48, 48), (64, 48, 48)])
    with pytest.raises(UserError, match="cannot be tested on views of this shape") as told:
        build.Blueprint().expect_views(config, [(4, 48, 48), (64, 48, 48)])
    assert "4 frames of 48×48" in str(told.value.got)
