"""A stream that was trained on one split refuses to be tested on another, unless told to."""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from terminal import FAST, Done, Lab

from fusionlab.backbones.initialise import initialise
from fusionlab.backbones.pretrained import Loaded, load
from fusionlab.backbones.pretrained.tensors import BESIDE, trained_on
from fusionlab.backbones.tiny import Tiny
from fusionlab.config.compose import tree
from fusionlab.config.schema import StreamConfig
from fusionlab.data.ucf101 import UCF101
from fusionlab.errors import UserError
from fusionlab.jobs import other_split
from fusionlab.jobs import provenance as job_provenance
from fusionlab.jobs.provenance import refuse_other_split, seen, splits
from fusionlab.planning.grid import plan_study
from fusionlab.records.record import new_record, write_record
from fusionlab.study.recipes import stream_recipe
from fusionlab.training.weights import fingerprint, read_weights, write_weights
from fusionlab.two_stream.net import StreamNet

Say = Callable[..., Done]
UCF = {"_target_": "fusionlab.data.ucf101.UCF101", "name": "ucf101", "classes": 2}
FOLDER = {"_target_": "fusionlab.data.folder.Folder", "name": "folder", "classes": 2, "group": None, "test": 0.3}
NAMES = [f"{c}/v_{c}_g{group:02d}_c{clip:02d}.avi" for c in ("A", "B") for group in range(1, 7) for clip in (1, 2, 3)]
# Of six groups the first split tests one, the second two, and the third what the second does.
TESTED = {1: (1,), 2: (3, 4), 3: (3, 4)}


PLAIN = stream_recipe(tree({}).with_leaves({}), "motion")


def recipe(split: int, dataset: dict[str, Any] = UCF, **weights: str) -> StreamConfig:
    seed, data = {**PLAIN["seed"], "data": 7}, {**PLAIN["data"], "dataset": dataset}
    return StreamConfig.of(
        {**PLAIN, "data": data, "split": split, "seed": seed, "weights": {"source": "a.pt", **weights}}
    )


def provenance(config: StreamConfig, initial: Loaded | None = None) -> dict[str, Any]:
    return job_provenance.provenance(config, "0123456789abcdef", initial)


def write_lists(home: Path) -> Path:
    """Three splits of twelve groups, six a class; videos of one byte, which nothing here reads."""
    home.mkdir(parents=True)
    (home / "classInd.txt").write_text("1 A\n2 B\n")
    for split, groups in TESTED.items():
        tested = [name for name in NAMES if int(name.partition("_g")[2][:2]) in groups]
        (home / f"testlist{split:02d}.txt").write_text("".join(f"{name}\n" for name in tested))
        rest = [name for name in NAMES if name not in tested]
        (home / f"trainlist{split:02d}.txt").write_text("".join(f"{n} {'AB'.index(n[0]) + 1}\n" for n in rest))
    for name in NAMES:
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_bytes(b"x")
    return home


@pytest.fixture
def ucf(tmp_path: Path) -> UCF101:
    return UCF101(write_lists(tmp_path / "lists"), classes=2, name="ucf101")


def stream(classes: int = 2) -> StreamNet:
    return StreamNet(Tiny(3, classes=classes, size=32, width=8), "appearance", seed=0)


def tower() -> Tiny:
    made = Tiny(3, classes=2, size=32, width=8)
    initialise(made, 0)
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_weights(tmp_path / "a.pt", stream().state_dict(), provenance(recipe(2)))
    return tmp_path / "a.pt"


def after(said: dict[str, Any]) -> Loaded:
    return Loaded("state dict: a.pt", "0" * 64, trained_on=said)


def test_where_weights_were_trained_goes_with_the_file_and_is_no_weight(file: Path, tmp_path: Path) -> None:
    state = read_weights(file)
    assert set(state) == set(stream().state_dict())
    write_weights(tmp_path / "b.pt", state)
    assert fingerprint(state) == fingerprint(read_weights(tmp_path / "b.pt"))
    moved = shutil.copy(file, tmp_path / "elsewhere.pt")
    said = load(tower(), str(moved)).trained_on
    assert said == trained_on(moved) == provenance(recipe(2))
    assert {leaf: said[leaf] for leaf in ("dataset", "split", "seed", "stream")} == {
        "dataset": UCF, "split": 2, "seed": 7, "stream": "motion",
    }  # fmt: skip
    assert load(tower(), str(tmp_path / "b.pt")).trained_on == {}


def test_who_does_not_know_of_it_reads_the_file_as_ever(file: Path, tmp_path: Path) -> None:
    """Strictly, and only tensors; and what is written again from there still says it."""
    state = torch.load(file, weights_only=True)
    assert all(isinstance(one, torch.Tensor) for one in state.values())
    net = stream()
    with torch.no_grad():
        next(net.parameters()).zero_()
    assert str(net.load_state_dict(state)) == "<All keys matched successfully>"
    assert fingerprint(net.state_dict()) == fingerprint(read_weights(file))
    torch.save(state, tmp_path / "again.pt")
    assert trained_on(tmp_path / "again.pt")["split"] == 2


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "beside", [None, 3, {}, {BESIDE: 3}, {BESIDE: {"trained_on": "{"}}, {BESIDE: {"trained_on": "[1]"}},
               {BESIDE: {"trained_on": 3}}, {BESIDE: {"trained_on": DEEP}}],
)  # fmt: skip
def test_what_says_nothing_says_nothing(beside: Any, tmp_path: Path) -> None:
    state = OrderedDict(a=torch.zeros(1))
    state._metadata = beside  # type: ignore[attr-defined]
    torch.save(state, tmp_path / "a.pt")
    assert trained_on(tmp_path / "a.pt") == {}


@pytest.mark.parametrize(
    "said", [{"before": 3}, {"dataset": 3, "split": 2}, {"dataset": {}, "split": 2}, {"dataset": [UCF], "before": []}]
)
def test_what_a_file_says_may_be_anything(said: dict[str, Any], ucf: UCF101) -> None:
    refuse_other_split(after(said), recipe(1), ucf)
    assert splits(said, UCF) == set()


def test_weights_of_another_split_are_refused_with_numbers_unless_told_otherwise(file: Path, ucf: UCF101) -> None:
    loaded = load(tower(), str(file))
    refuse_other_split(loaded, recipe(2), ucf)
    with pytest.raises(UserError, match="another split of this data set") as error:
        refuse_other_split(loaded, recipe(1), ucf)
    told = str(error.value)
    assert "of split 2, which has trained on groups of 6 of 6 test videos" in told
    assert "weights.other_split=allow" in told and "split=2" in told
    refuse_other_split(loaded, recipe(1, other_split="allow"), ucf)


def test_seen_is_what_an_index_loop_finds(ucf: UCF101) -> None:
    for trained in (1, 2, 3):
        for split in (1, 2, 3):
            loop = []
            for name in NAMES:
                group = int(name.partition("_g")[2][:2])
                if group in TESTED[split] and group not in TESTED[trained]:
                    loop.append(name)
            assert sorted(seen(ucf, [trained], split)) == sorted(loop)
    assert seen(ucf, [1, 2], 3) == seen(ucf, [1], 3) != [] == seen(ucf, [2], 3)


def test_another_split_that_has_not_seen_it_is_taken(ucf: UCF101) -> None:
    """The third split tests what the second one tests. Without the lists nobody knows."""
    loaded = after(provenance(recipe(3)))
    refuse_other_split(loaded, recipe(2), ucf)
    with pytest.raises(UserError, match="another split"):
        refuse_other_split(loaded, recipe(2))


def test_lists_of_the_other_split_that_are_not_there(ucf: UCF101) -> None:
    for one in ("trainlist02.txt", "testlist02.txt"):
        (ucf.folder / one).unlink()
    with pytest.raises(UserError, match="another split") as error:
        refuse_other_split(after(provenance(recipe(2))), recipe(1), ucf)
    assert "on groups of some test videos" in str(error.value)
    with pytest.raises(UserError, match="another split"):
        refuse_other_split(after({"dataset": UCF, "split": "two"}), recipe(1), ucf)
    assert splits({"dataset": UCF, "split": "two", "before": {"dataset": UCF, "split": 3}}, UCF) == {3}


def test_what_came_before_is_not_forgotten(ucf: UCF101) -> None:
    """From split 2 to split 1, allowed; and from there on to split 1 again."""
    first = after(provenance(recipe(2)))
    second = after(provenance(recipe(1, other_split="allow"), first))
    assert second.trained_on["split"] == 1 and second.trained_on["before"] == first.trained_on
    with pytest.raises(UserError, match="of split 2"):
        refuse_other_split(second, recipe(1), ucf)
    assert splits(second.trained_on, UCF) == {1, 2}


def test_what_is_the_same_set() -> None:
    before = after(provenance(recipe(2)))
    # Another data set is another matter; one that is counted otherwise is the same.
    refuse_other_split(before, recipe(1, {**UCF, "name": "mine"}))
    refuse_other_split(before, recipe(1, {"_target_": "fusionlab.data.hmdb51.HMDB51", "name": "ucf101"}))
    refuse_other_split(before, recipe(2, {**UCF, "counts": False}))
    with pytest.raises(UserError, match="another split"):
        refuse_other_split(before, recipe(1, {**UCF, "counts": False}))
    brush = {"_target_": "fusionlab.data.brush.Brush", "seed": 0}
    refuse_other_split(after(provenance(recipe(2, brush))), recipe(1, {**brush, "seed": 1}))
    with pytest.raises(UserError, match="another split"):
        refuse_other_split(after(provenance(recipe(2, brush))), recipe(1, brush))


def test_a_folder_that_is_cut_otherwise_is_another_split() -> None:
    before = after(provenance(recipe(1, FOLDER)))
    refuse_other_split(before, recipe(1, FOLDER))
    with pytest.raises(UserError, match="another split") as error:
        refuse_other_split(before, recipe(1, {**FOLDER, "test": 0.2}))
    assert "split 1, cut otherwise" in str(error.value) and "split=1" not in str(error.value)


def test_a_file_that_does_not_say_is_taken(tmp_path: Path, ucf: UCF101) -> None:
    write_weights(tmp_path / "b.pt", stream().state_dict())
    refuse_other_split(load(tower(), str(tmp_path / "b.pt")), recipe(1), ucf)


def test_allowed_is_another_arm_and_idle_without_weights(say: Say) -> None:
    done = say("plan", "weights.other_split=allow")
    assert done.status == 2 and "no weights are loaded" in done.err
    done = say("plan", "weights=a.pt", "weights.other_split=maybe")
    assert done.status == 2 and "refuse, allow" in done.err


@pytest.mark.parametrize("verb", ["sweep", "train"])
def test_it_is_said_before_anything_is_made(say: Say, tmp_path: Path, verb: str) -> None:
    """Of a set whose lists lie on the disk: with numbers."""
    write_lists(tmp_path / "data" / "videos" / "ucf101")
    dataset = {"_target_": "fusionlab.data.ucf101.UCF101", "name": "ucf101", "classes": 2, "counts": True}
    write_weights(
        tmp_path / "mine.pt",
        StreamNet(Tiny(3, classes=2, size=48, width=24), "appearance", seed=0).state_dict(),
        provenance(recipe(2, dataset)),
    )
    words = ["data=ucf101", "data.dataset.classes=2", "backbone=tiny", "fusion=sum", "data.sampling.crop=48",
             "weights.appearance=mine.pt"]  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    done = say(verb, *words)
    assert (done.status, done.out) == (2, ""), done.err
    assert "trained on another split" in done.err and "groups of 6 of 6 test videos" in done.err
    assert sorted(tmp_path.rglob("*")) == before


def test_what_initial_weights_have_seen_counts_for_the_arms_above(tmp_path: Path) -> None:
    study, plan = tmp_path / "runs" / "x", plan_study(["fusion=sum", "split=2"]).plan
    motion = next(job for job in plan.jobs if job.id.startswith("motion-"))
    arm = plan.arm(motion.arms[0])
    said = {"dataset": arm.config["data"]["dataset"], "split": 3}
    record = new_record(
        name=arm.name, kind=arm.kind, axes=arm.axes, signature=arm.signature, config=arm.config,
        result={"initial_weights": {"origin": "mine.pt", "trained_on": said}},
    )  # fmt: skip
    assert [other_split._trained(plan, study, one) for one in plan.arms] == [{2}] * 5
    write_record(motion.published(study) / arm.name, record)
    assert {one.name: other_split._trained(plan, study, one) for one in plan.arms} == {
        one.name: {2} if one.axes["streams"] == "appearance" else {2, 3} for one in plan.arms
    }


@pytest.mark.slow
def test_a_sweep_that_would_start_from_another_split(study: Lab, tmp_path: Path) -> None:
    lab = Lab(tmp_path, study.data)
    places = list((study.home / "runs" / "streams").glob("*/published/*/weights.pt"))
    (motion,) = (p for p in places if json.loads(p.with_name("run.json").read_text())["axes"]["streams"] == "motion")
    said, record = trained_on(motion), json.loads(motion.with_name("run.json").read_text())
    assert said["split"] == 1 and said["stream"] == "motion" and said["signature"] == record["signature"]
    shutil.copy(motion, tmp_path / "mine.pt")
    line = ("sweep", "fusion=sum", FAST, "weights.motion=mine.pt", "split=2")
    done = lab.run(*line)
    assert (done.status, done.out) == (2, "") and "trained on another split of this data set" in done.err
    assert not (tmp_path / "runs").exists()
    told = lab.run(*line, "weights.other_split=allow")
    assert told.status == 0, told.err
    (record,) = (one for name, (one, _) in lab.records().items() if "motion" in name)
    assert record["result"]["initial_weights"]["trained_on"] == said
    assert record["config"]["weights"]["other_split"] == "allow"
    report = lab.run("report", str(lab.study)).out
    assert "weights.other_split=allow: initial weights may come from another split" in " ".join(report.split())
    (made,) = (p for p in (tmp_path / "runs" / "streams").glob("*/published/*motion*/weights.pt"))
    assert trained_on(made)["split"] == 2 and trained_on(made)["before"] == said
    # Split 1's training list is in the motion stream and in what stands on it, though their own split is 2.
    refused = lab.run("test", str(lab.study), "split=2")
    assert refused.status == 2 and "4 of 5 arms were trained on another split" in refused.err


@pytest.mark.slow
def test_testing_on_another_split(say: Say, study: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONLAB_DATA", str(study.data))
    before = {file: file.read_bytes() for file in (study.home / "runs").rglob("published/*/*") if file.is_file()}
    refused = say("test", str(study.study), "split=2", home=study.home)
    assert (refused.status, refused.out) == (2, "")
    assert "6 of 6 arms were trained on another split" in refused.err and "--other-split" in refused.err
    done = say("test", str(study.study), "split=2", "--other-split", home=study.home)
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert len(lines) == 6 and all("test videos of split 2; " in line for line in lines)
    # Brush's third of the groups that split 2 tests is all in split 1's training list.
    for line in lines:
        count, known = line.partition("on the ")[2].split()[0], line.rpartition("; ")[2].split()[0]
        assert count == known != "0"
        assert f"with groups of {count} of its test videos" in refused.err
    same = say("test", str(study.study), "split=1", home=study.home)
    assert same.status == 0 and "on the" in same.out and "; 0 of them" in same.out
    for words in (["split=two"], ["split=1", "split=2"], ["--other-split"], ["split=4"]):
        assert say("test", str(study.study), *words, home=study.home).status == 2
    assert before == {file: file.read_bytes() for file in before}
