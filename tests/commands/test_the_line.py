"""The line that everything begins with, on paper (fast) and for real (slow)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import FAST, LINE, Done, Lab, lasting

BASELINES = ["streams=appearance,seed=0", "streams=motion,seed=0", "fusion=late,layer=softmax,seed=0"]
CONTROL = "fusion=control,layer=relu5,temporal=pool2d,seed=0"
FUSED = [f"fusion={fusion},layer=relu5,temporal=pool2d,seed=0" for fusion in ("conv", "sum")]
Say = Callable[..., Done]


def arms(done: Done) -> list[str]:
    return [line.split()[-1] for line in done.out.partition(" arms\n")[2].splitlines()]


@pytest.mark.parametrize("flag", [[], ["-m"], ["--multirun"]], ids=["plain", "-m", "--multirun"])
def test_the_line_is_planned_with_its_baselines(say: Say, flag: list[str]) -> None:
    done = say("plan", *flag, *LINE)
    assert (done.status, done.err) == (0, "")
    assert arms(done) == [*BASELINES, CONTROL, *FUSED]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (["fusion=conv,sum", "layer=ReLU5"], list(LINE)),
        (["fusion=Conv,ADD", "layer=relu_5"], list(LINE)),
        (["fusion=concat", "layer=relu5_3"], ["fusion=cat", "layer=relu5"]),
        (["layer=ReLU5,RELU4", "fusion=maximum"], ["layer=relu5,relu4", "fusion=max"]),
        (
            ["fusion=sum,conv", "layer=relu5,fc8", "exclude=[{fusion:add,layer:FC8}]"],
            ["fusion=sum,conv", "layer=relu5,fc8", "exclude=[{fusion:sum,layer:fc8}]"],
        ),
        (["fusion=late,sum"], ["fusion=sum"]),
        (["seed=3"], ["seed.init=3", "seed.data=3", "seed.dropout=3"]),
    ],
)  # fmt: skip
def test_spellings_of_one_study_are_one_study(say: Say, other: list[str], same: list[str]) -> None:
    memory = "run.memory=4"  # what is free may change in between
    first, second = say("plan", *other, memory), say("plan", *same, memory)
    assert first.status == second.status == 0
    if not other[0].startswith(("fusion=late", "seed")):  # the same arms, but what varies was said otherwise
        assert lasting(first.out) == lasting(second.out)
    assert arms(first) == arms(second)
    assert [line.split()[0] for line in first.out.splitlines()[-len(arms(first)) :]] == [
        line.split()[0] for line in second.out.splitlines()[-len(arms(second)) :]
    ]


@pytest.mark.parametrize(
    ("words", "arm"),
    [
        (["streams=appearance"], "streams=appearance,seed=0"),
        (["streams=motion"], "streams=motion,seed=0"),
        (["fusion=late"], "fusion=late,layer=softmax,seed=0"),
        (["fusion=conv", "layer=relu5"], FUSED[0]),
    ],
)
def test_a_signature_is_of_the_arm_that_was_typed(say: Say, words: list[str], arm: str) -> None:
    planned = say("plan", *words).out.splitlines()
    (wanted,) = [line.split()[0] for line in planned if line.split()[-1:] == [arm]]
    assert say("signature", *words).out == wanted + "\n"
    why = say("signature", "--why", ",".join(words), "fusion=sum")
    assert why.out.splitlines()[-1].startswith(f"{wanted} → ")


@pytest.mark.parametrize("words", [["streams=appearance,motion"], ["fusion=late", "seed=0,1"], ["streams=both,motion"]])
@pytest.mark.parametrize("verb", ["signature", "train"])
def test_what_is_of_one_arm_refuses_several(say: Say, verb: str, words: list[str]) -> None:
    done = say(verb, *words)
    assert (done.status, done.out) == (2, "")
    assert "several arms" in done.err or "one arm" in done.err


@pytest.mark.parametrize(
    "words",
    [["fusion=sum"], ["fusion=late"], ["streams=motion"], ["seed=0,1"], ["experiment=demo"], ["experiment=demo_order"]],
)
def test_the_baselines_are_in_every_grid(say: Say, words: list[str]) -> None:
    planned = arms(say("plan", *words))
    wanted = BASELINES[:2] if words == ["streams=motion"] else BASELINES
    assert set(wanted) <= set(planned)


def test_a_study_of_seeds_holds_each_seed_s_own_baselines(say: Say) -> None:
    planned = arms(say("plan", "fusion=sum", "seed=0,1"))
    assert [name for name in planned if "seed=1" in name] == [
        "streams=appearance,seed=1", "streams=motion,seed=1", "fusion=late,layer=softmax,seed=1",
        CONTROL.replace("seed=0", "seed=1"),
        "fusion=sum,layer=relu5,temporal=pool2d,seed=1",
    ]  # fmt: skip


def test_an_arm_is_named_by_all_that_varies_and_the_baselines_are_not_multiplied(say: Say) -> None:
    planned = arms(say("plan", "fusion=conv", "above=appearance,motion", "fusion.init=identity,gaussian"))
    assert planned[:4] == [*BASELINES, CONTROL]
    assert planned[4:] == [
        f"fusion=conv,layer=relu5,temporal=pool2d,above={above},fusion.init={init},seed=0"
        for above in ("appearance", "motion")
        for init in ("identity", "gaussian")
    ]


def test_the_quick_way_is_there_for_every_data_set() -> None:
    """debug=fast makes brush small; of a data set that is as large as it is only the training is short."""
    from fusionlab.config.compose import tree

    plain, brush, other = (tree(chosen) for chosen in ({}, {"debug": "fast"}, {"debug": "fast", "data": "ucf101"}))
    assert brush.get("data.dataset") == {**plain.get("data.dataset"), "what": 1, "binding": 1}
    assert other.get("data.dataset") == tree({"data": "ucf101"}).get("data.dataset")
    assert {one.get(f"optim.{stage}.epochs") for one in (brush, other) for stage in ("streams", "fusion")} == {2}


@pytest.mark.slow
def test_the_layout_of_ucf101_for_real(study: Lab, tmp_path: Path) -> None:
    """The same videos, found by a name: what the lists and the folders say is what comes out."""
    fresh = Lab(tmp_path, study.data)
    videos = tmp_path / "mine" / "videos" / "hands"
    shutil.copytree(study.videos, videos / "UCF-101")
    (videos / "ucfTrainTestlist").mkdir()
    for file in (videos / "UCF-101").glob("*.txt"):
        file.rename(videos / "ucfTrainTestlist" / file.name)
    numbers = ["data.sampling.crop=48", "data.sampling.fields=6", "data.sampling.snippets=3", "data.sampling.stride=4"]
    store = ["data.store.size=56", "data.store.bound=4", "data.store.flow.finest_scale=0"]
    words = ["data=ucf101", "data.dataset.name=hands", *numbers, *store, "run.data=mine", FAST, "fusion=sum"]
    wrong = fresh.run("sweep", *words)
    assert wrong.status == 2 and "data.dataset.classes=15" in wrong.err and not (tmp_path / "mine/stores").exists()
    done = fresh.run("sweep", *words, "data.dataset.classes=15")
    assert done.status == 0, done.err
    records = fresh.records()
    assert {record["result"]["total"] for record, _ in records.values()} == {120}
    assert "action" in json.dumps([record["result"]["kinds"] for record, _ in records.values()])
    shutil.rmtree(videos / "UCF-101")  # they are packed
    assert fresh.run("sweep", *words, "data.dataset.classes=15", "seed=1").status == 0


@pytest.mark.slow
def test_the_line_for_real(study: Lab, first_run: Done) -> None:
    assert first_run.status == 0, first_run.err
    assert first_run.out.startswith("new study: runs/fusion=conv+sum,")
    records = study.records()
    assert sorted(records) == sorted([*BASELINES, CONTROL, *FUSED])
    assert all(record["status"] == "done" for record, _ in records.values())
    assert {file.name for file in (study.study / "report").iterdir()} == {
        "figures", "index.html", "table-short.tex", "table.csv", "table.md", "table.tex",
    }  # fmt: skip
    for method in ("Appearance alone", "Motion alone", "Late fusion", "Trained on, not fused", "Conv", "Sum"):
        assert method in first_run.table
    assert "report: " in first_run.out
    assert "[6/6 arms]" in first_run.err, "plain lines where there is no terminal"
    assert "Traceback" not in first_run.err


@pytest.mark.slow
@pytest.mark.parametrize("flag", [[], ["-m"]], ids=["plain", "-m"])
def test_the_same_line_again_does_nothing_and_prints_the_same(study: Lab, first_run: Done, flag: list[str]) -> None:
    before = {place: place.stat().st_mtime_ns for place in study.study.rglob("published/*/*")}
    again = study.run("sweep", *flag, *LINE, FAST, "run.checkpoint_every=2")
    assert again.status == 0, again.err
    assert again.out.startswith("continued study: ")
    assert again.table == first_run.table
    assert again.err == "", "nothing was started"
    assert before == {place: place.stat().st_mtime_ns for place in study.study.rglob("published/*/*")}


@pytest.mark.slow
def test_a_spelling_is_no_other_study(study: Lab, first_run: Done) -> None:
    again = study.run("sweep", "fusion=CONV,add", "layer=ReLU5", FAST)
    assert (again.status, again.err, again.table) == (0, "", first_run.table)
    assert study.study.is_dir(), "still the only one"
