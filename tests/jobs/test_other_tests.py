"""Other tests of trained arms: within training and added later, from weights and from stored scores."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stage_fakes import Trained

from fusionlab.config.build import Blueprint
from fusionlab.errors import UserError
from fusionlab.jobs.job_data import Data
from fusionlab.jobs.other_tests import add_tests
from fusionlab.planning.grid import plan_study
from fusionlab.records.files import read_json
from fusionlab.records.other_tests import FILE, FOLDER, Asked
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import read_predictions
from fusionlab.records.record import FILE as RECORD
from fusionlab.records.record import WEIGHTS, read_record
from fusionlab.results.head_scores import Heads, read_heads, write_heads

pytestmark = pytest.mark.usefixtures("small_is_found")
KINDS = ("appearance", "motion", "late", "control", "fused")
WORDS = ["test=middle,frame", "combine=scores,logits,svm", "ablate=motion:shuffle"]
ASKED, _ = Asked.typed(WORDS)


@pytest.fixture(scope="module")
def within(small: Data, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The same study, whose jobs made the tests."""
    return Trained.planned(tmp_path_factory.mktemp("within") / "runs" / "study", small, *WORDS).run_all()


def names(made: Trained, kind: str) -> set[str]:
    place = made.place(made.arm(kind)) / FOLDER
    return {folder.name for folder in place.iterdir()} if place.is_dir() else set()


def heads(folder: Path) -> dict[str, Heads]:
    own = read_predictions(folder / PREDICTIONS)
    return read_heads(folder / "heads.npz", videos=len(own.videos), classes=len(own.classes))


def test_how_a_net_is_tested_is_no_part_of_the_plan() -> None:
    from stage_fakes import WORDS as STUDY

    plain, asked = plan_study(STUDY), plan_study([*STUDY, "test=simonyan,final,frame", *WORDS[1:]])
    assert asked.plan.signature == plain.plan.signature and asked.folder == plain.folder and not asked.axes
    assert [(job.id, job.kind) for job in asked.plan.jobs] == [(job.id, job.kind) for job in plain.plan.jobs]
    assert sorted(job.kind for job in asked.plan.jobs) == ["cohort", "prepare", "stream", "stream"]
    assert asked.run.asked.tests == ("simonyan", "final", "frame")


def test_a_test_added_later_equals_the_same_within_training(within: Trained, copied: Trained) -> None:
    records = {kind: (copied.place(copied.arm(kind)) / RECORD).read_bytes() for kind in KINDS}
    assert not any(names(copied, kind) for kind in KINDS)
    assert add_tests(copied.study, [], ASKED) == 0
    for kind in KINDS:
        assert (copied.place(copied.arm(kind)) / RECORD).read_bytes() == records[kind], "records do not change"
        one, other = (made.place(made.arm(kind)) for made in (within, copied))
        assert read_record(one)["result"]["weights"] == read_record(other)["result"]["weights"], "the same net"
        of_network = {name for name in names(copied, kind) if "combine" not in name}
        assert of_network == names(within, kind)
        for name in of_network:
            first, second = one / FOLDER / name, other / FOLDER / name
            assert {file.name for file in first.iterdir()} == {file.name for file in second.iterdir()}
            for file in first.iterdir():
                if file.name == FILE:
                    tests = [{**read_json(where / FILE), "circumstances": {}} for where in (first, second)]
                    assert tests[0] == tests[1]
                else:
                    assert file.read_bytes() == (second / file.name).read_bytes(), f"{kind} {name} {file.name}"


def test_each_arm_has_the_tests_that_suit_it(within: Trained) -> None:
    ablated = {"middle,ablate=motion-shuffle", "frame,ablate=motion-shuffle"}
    lists = {"middle,list=train", "frame,list=train"}
    assert names(within, "appearance") == {"frame", *lists}, "it does not read motion"
    assert names(within, "motion") == {"frame", *lists, *ablated}
    assert names(within, "late") == names(within, "fused") == {"frame", *ablated}
    assert names(within, "control") == {"frame", *lists, *ablated}, "its two heads are combined, as those of streams"


def test_combinations_need_no_network(within: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(within.study.parent, tmp_path / "runs")
    made = replace(within, study=tmp_path / "runs" / within.study.name)
    made.plan.write(made.study)
    monkeypatch.setenv("FUSIONLAB_DATA", str(made.data.run.data))
    for file in (tmp_path / "runs").rglob(WEIGHTS):
        file.unlink()
    said: list[str] = []
    assert add_tests(made.study, [], ASKED, said.append) == 0 and said == []
    control, late = made.place(made.arm("control")), made.place(made.arm("late"))
    streams = [made.place(made.arm(kind)) for kind in ("appearance", "motion")]
    for views, at in (("frame", lambda place: place / FOLDER / "frame"), ("middle", lambda place: place)):
        of_streams = [next(iter(heads(at(place)).values())) for place in streams]
        for place, pair in ((control, list(heads(at(control)).values())), (late, of_streams)):
            own = read_predictions(at(place) / PREDICTIONS)
            np.testing.assert_allclose((pair[0].softmax + pair[1].softmax) / 2, own.scores, atol=1e-6)
            mean = sum(np.asarray(one.logits, np.float64) for one in pair) / 2
            powers = np.exp(mean - mean.max(1, keepdims=True))
            made_of_logits = read_predictions(place / FOLDER / f"{views},combine=logits" / PREDICTIONS)
            np.testing.assert_allclose(made_of_logits.scores, powers / powers.sum(1, keepdims=True), atol=1e-6)
            assert made_of_logits.videos == own.videos and made_of_logits.groups == own.groups
    chosen = read_json(late / FOLDER / "frame,combine=svm" / FILE)["result"]["chosen"]
    assert chosen["C"] > 0 and "over-confident" in chosen["note"]
    assert not names(made, "fused") & {"frame,combine=svm", "middle,combine=logits"}, "it has one head"


def test_the_first_test_stays(copied: Trained) -> None:
    frame, arm = Asked(("frame",)), copied.arm("fused")
    assert add_tests(copied.study, [arm.name], frame) == 0
    file = copied.place(arm) / FOLDER / "frame" / PREDICTIONS
    before = file.stat().st_mtime_ns, file.read_bytes()
    assert add_tests(copied.study, [], frame) == 0
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before
    assert all(names(copied, kind) == {"frame"} for kind in KINDS)


@pytest.mark.parametrize(
    "file, told",
    [(FILE, "not a readable JSON file"), ("heads.npz", "not that of its test"), (PREDICTIONS, "not that of its test")],
)
def test_a_damaged_test_is_told_and_stays(copied: Trained, file: str, told: str) -> None:
    frame, arm, said = Asked(("frame",)), copied.arm("control"), list[str]()
    assert add_tests(copied.study, [arm.name], frame) == 0
    damaged = copied.place(arm) / FOLDER / "frame" / file
    damaged.write_bytes(content := damaged.read_bytes()[:-9])
    assert add_tests(copied.study, [arm.name], frame, said.append) == 1
    assert len(said) == 1 and told in said[0] and f"rm -r '{damaged.parent}'" in said[0]
    assert damaged.read_bytes() == content


@pytest.mark.parametrize(
    "damage, told",
    [("gone", "its weights were not kept"), ("another's", "its weights are not those of its record")],
)
def test_an_arm_that_cannot_be_tested_stops_no_other(copied: Trained, damage: str, told: str) -> None:
    place, said = copied.place(copied.arm("fused")) / WEIGHTS, list[str]()
    place.unlink()
    if damage == "another's":
        shutil.copy(copied.place(copied.arm("control")) / WEIGHTS, place)
    assert add_tests(copied.study, [], Asked(("frame",)), said.append) == 1
    lines = [line for line in said if line.startswith(copied.arm("fused").name)]
    assert len(lines) == 1 and "by frame" in lines[0] and told in lines[0]
    assert names(copied, "control") == names(copied, "late") == {"frame"} and not names(copied, "fused")


def test_other_data_are_told(copied: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Data, "content", lambda self, source: "other")
    said: list[str] = []
    assert add_tests(copied.study, [copied.arm("motion").name], Asked(("frame",)), said.append) == 1
    assert len(said) == 1 and "other data" in said[0] and not names(copied, "motion")


def test_a_weight_is_chosen_on_the_validation_list(copied: Trained) -> None:
    said: list[str] = []
    assert add_tests(copied.study, [copied.arm("late").name], Asked(combine=("weighted",)), said.append) == 0
    assert names(copied, "appearance") == names(copied, "motion") == {"middle,list=validation"}
    late = copied.place(copied.arm("late"))
    chosen = read_json(late / FOLDER / "middle,combine=weighted" / FILE)["result"]["chosen"]
    on = [copied.place(copied.arm(kind)) / FOLDER / "middle,list=validation" for kind in ("appearance", "motion")]
    held = read_predictions(on[0] / PREDICTIONS)
    train = {name for name, _ in copied.data.dataset.lists(1)[0]}
    assert set(held.videos) < train, "of the training list"
    a, b = (next(iter(heads(folder).values())).softmax for folder in on)
    curve = {w: float(np.mean((w * a + (1 - w) * b).argmax(1) == held.labels)) for w, _ in chosen["curve"]}
    assert curve == pytest.approx(dict(chosen["curve"])) and curve[chosen["weight"]] == max(curve.values())


def test_a_network_that_cannot_see_such_views_is_told(copied: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Blueprint, "expect_views", refuse)
        assert add_tests(copied.study, [], Asked(("frame", "middle")), said.append) == 1
    assert [line for line in said if "not of this size" in line] == said and len(said) == len(KINDS)


def refuse(*_: object) -> None:
    raise UserError("not of this size", got="16x16")


def test_scores_that_are_not_those_of_their_test_are_not_combined(copied: Trained) -> None:
    arm = copied.arm("control")
    moved = {name: Heads(*(x[::-1] for x in one if x is not None)) for name, one in heads(copied.place(arm)).items()}
    write_heads(copied.place(arm) / "heads.npz", moved)
    said: list[str] = []
    assert add_tests(copied.study, [arm.name], Asked(combine=("logits",)), said.append) == 1
    assert "a file is not that of its test" in said[-1]
