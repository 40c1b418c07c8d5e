"""Videos that are left out by name: in the identity, in the record, in no list, and never replaced."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import FAST, Done, Lab
from test_sets_on_disk import PACKED, make

from fusionlab.config.compose import tree
from fusionlab.config.quarantine_file import names
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig
from fusionlab.errors import UserError
from fusionlab.jobs.job_data import open_data
from fusionlab.planning.grid import plan_study
from fusionlab.records.signature import signature
from fusionlab.study.recipes import data_recipe

Say = Callable[..., Done]
BAD = """# found by the doctor
Archery/v_Archery_g01_c01.avi # cut

wave/#437_How_To_Ride_A_Bike_wave_f_cm_np1_ri_med_0.avi
  dive/-x_dive_1.avi   # a remark
Archery/v_Archery_g01_c01.avi
"""


def test_a_pipe_is_no_list_of_names(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bad.txt")
    with pytest.raises(UserError, match="a pipe or a device"):
        names(str(tmp_path / "bad.txt"))


def test_a_file_is_its_names(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text(BAD, encoding="utf-8-sig")
    assert names(str(tmp_path / "bad.txt")) == [
        "Archery/v_Archery_g01_c01.avi",
        "dive/-x_dive_1.avi",
        "wave/#437_How_To_Ride_A_Bike_wave_f_cm_np1_ri_med_0.avi",
    ]
    assert names(["b", "a", "b"]) == ["a", "b"] and names(None) == [] and names([]) == []
    with pytest.raises(UserError, match="no such file of quarantined videos"):
        names(str(tmp_path / "absent.txt"))
    for wrong in (3, [3], {"a": 1}):
        with pytest.raises(UserError, match="a file of names, or a list of names"):
            names(wrong)


def test_the_names_and_not_the_file_make_the_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file, text in (("one.txt", "b.avi\na.avi\n"), ("two.txt", "a.avi # cut\nb.avi\n"), ("three.txt", "a.avi\n")):
        Path(file).write_text(text, encoding="utf-8")
    plain = plan_study([])
    one, two, three = (plan_study([f"data.quarantine={n}.txt"]) for n in ("one", "two", "three"))
    typed = plan_study(["data.quarantine=[a.avi,b.avi]"])
    assert one.plan.signature == two.plan.signature == typed.plan.signature
    assert len({study.plan.signature for study in (plain, one, three)}) == 3
    for arm in one.plan.arms:
        assert arm.config["data"]["quarantine"] == ["a.avi", "b.avi"], "the record's config names them"
        assert signature(arm.config) == arm.signature
    # The store holds what it held: nothing is packed again for another quarantine.
    assert (
        one.plan.jobs[0].id == plain.plan.jobs[0].id == f"prepare-{signature(data_recipe(plain.plan.arms[0].config))}"
    )


def test_a_store_leaves_out_what_all_of_its_arms_leave_out() -> None:
    plan = plan_study(["data.quarantine=[a.avi,b.avi],[b.avi,c.avi]"]).plan
    (prepare,) = (job for job in plan.jobs if job.kind == "prepare")
    assert prepare.config["run"]["quarantine"] == ["b.avi"]
    (plain,) = (job for job in plan_study([]).plan.jobs if job.kind == "prepare")
    assert "quarantine" not in plain.config["run"]


def test_an_experiment_may_name_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.txt").write_text("a.avi\n", encoding="utf-8")
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/mine.yaml").write_text(
        "# @package _global_\ndata:\n  quarantine: bad.txt\n", encoding="utf-8"
    )
    assert plan_study(["experiment=mine"]).plan.arms[0].config["data"]["quarantine"] == ["a.avi"]


def test_a_wrong_file_is_told_before_anything_is_made(say: Say, tmp_path: Path) -> None:
    done = say("sweep", "data.quarantine=absent.txt")
    assert done.status == 2 and "no such file of quarantined videos" in done.err and "--quarantine FILE" in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["sweep", "train"])
def test_a_name_in_no_list_is_told_before_anything_is_made(say: Say, tmp_path: Path, verb: str) -> None:
    done = say(verb, "data.quarantine=[nobody.avi,walk/v_walk_g01_c01.avi]")
    assert (done.status, done.out) == (2, "")
    assert "quarantined videos are in no list" in done.err and "2: nobody.avi, walk/" in done.err
    assert not list(tmp_path.iterdir())


def test_nor_is_a_set_of_files_prepared_without_a_video_that_it_does_not_have(say: Say, tmp_path: Path) -> None:
    make(tmp_path / "mine" / "videos" / "ucf101", "ucf101")
    words = ["data=ucf101", "data.dataset.classes=2", *PACKED]
    small = ["backbone=tiny", "data.sampling.crop=32", "data.sampling.fields=4"]
    for verb, more in (("prepare", []), ("sweep", small)):
        done = say(verb, *words, *more, "data.quarantine=[Archery/v_Archery_g08_c02.avi]")
        assert (done.status, done.out) == (2, ""), done.err
        assert "in no list" in done.err and "did you mean Archery/v_Archery_g08_c01.avi ?" in done.err
        assert not (tmp_path / "mine" / "stores").exists()


def test_what_an_arm_may_read_is_the_same_whether_the_store_holds_the_rest_or_not(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So streams that were trained without a video are still those of their data when it is repaired and packed."""
    make(tmp_path / "mine" / "videos" / "hmdb51", "hmdb51")
    words = ["data=hmdb51", "data.dataset.classes=2", *PACKED]
    name, other = "hug/#9_hug_u_0.avi", "clap/x_clap_u_0.avi"

    def content(*left_out: str) -> str:
        leaves = {"data.dataset.classes": 2, "data.store.size": 32, "data.store.flow.finest_scale": 0,
                  "run.data": "mine", "data.quarantine": list(left_out)}  # fmt: skip
        config = tree({"data": "hmdb51"}).with_leaves(leaves)
        data = ArmConfig.of(config).data
        return open_data(data, RunConfig.of(config), lambda line: None).content(data)

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine" / "videos" / "hmdb51" / "hmdb51_org" / name
    whole, file_bytes = content(), file.read_bytes()
    assert say("prepare", *words).status == 0
    with_it = content(name)
    for place in (tmp_path / "mine" / "stores").iterdir():
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    file.write_bytes(b"damaged")
    assert content(name) == with_it, "now it is not packed"
    file.write_bytes(file_bytes)
    assert content() == whole and content(name) == with_it
    assert len({whole, with_it, content(other), content(name, other)}) == 4


@pytest.mark.slow
def test_training_and_testing_do_without_them_and_the_record_says_so(study: Lab, tmp_path: Path) -> None:
    lists = study.videos
    train = [line.split()[0] for line in (lists / "trainlist01.txt").read_text().splitlines()]
    test = [line.split()[0] for line in (lists / "testlist01.txt").read_text().splitlines()]
    lab = Lab(tmp_path, study.data)
    left_out = [*train[:3], *test[:2]]
    (tmp_path / "bad.txt").write_text("".join(f"{name} # planted\n" for name in left_out), encoding="utf-8")
    done = lab.run("sweep", "fusion=sum", "layer=relu5", FAST, "data.quarantine=bad.txt")
    assert done.status == 0, done.err
    for record, predictions in lab.records().values():
        assert record["config"]["data"]["quarantine"] == sorted(left_out)
        assert record["result"]["quarantined"] == {"train": 3, "test": 2}
        assert record["result"]["total"] == len(test) - 2
        assert not [name for name in left_out if name in predictions]
    report = lab.run("report", str(lab.study), "--notes")
    assert "Quarantined: 5 videos (3 of the train list, 2 of the test list)" in report.out
    page = (lab.study / "report" / "index.html").read_text(encoding="utf-8")
    assert "Quarantined: 5 videos" in page
    wrong = lab.run("sweep", "fusion=sum", FAST, f"data.quarantine=[{train[0].replace('_c0', '_c9')}]")
    assert (wrong.status, wrong.out) == (2, "") and "quarantined videos are in no list" in wrong.err
    gone = json.dumps([name for name in test if name.startswith(test[0].partition("/")[0])]).replace(" ", "")
    wrong = lab.run("sweep", "fusion=sum", FAST, f"data.quarantine={gone}")
    assert wrong.status == 1 and "leaves classes without a video in the test list" in wrong.err + wrong.out
