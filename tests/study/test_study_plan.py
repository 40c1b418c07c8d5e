import json
import multiprocessing
import random
from dataclasses import replace
from pathlib import Path

import pytest
from old_plans import old_plan, write_old_plan

from fusionlab.errors import UserError
from fusionlab.records.files import write_json
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import FILE, Arm, Job, Plan, Refused, common_recipe, expect_own_folders, read
from fusionlab.study.worker import work

SPAWN = multiprocessing.get_context("spawn")

JOBS = {"data": ([], ["publish"]), "a": (["data"], ["publish"]), "b": (["data", "a"], ["publish"])}


def test_a_plan_goes_out_and_in(tmp_path, make_plan):
    plan = make_plan(JOBS)
    assert plan.write(tmp_path) == (plan, True)
    assert read(tmp_path) == plan
    assert (tmp_path / FILE).read_text() == plan.to_json()
    assert plan.job("a").needs == ("data",)
    assert plan.arm("arm-b").job == "b"


def test_the_same_plan_continues_and_its_newer_run_settings_hold(tmp_path, make_plan):
    plan = make_plan(JOBS)
    plan.write(tmp_path)
    assert plan.write(tmp_path) == (plan, False)
    jobs = [replace(job, config={**job.config, "run": {"device": "cuda"}}) for job in plan.jobs]
    again = Plan.of("sweep fusion=conv run.device=cuda", jobs, plan.arms)
    assert again.signature == plan.signature
    assert again.write(tmp_path) == (again, False)
    assert read(tmp_path).job("a").config["run"] == {"device": "cuda"}


def test_a_folder_that_holds_another_study_is_refused_with_both_commands(tmp_path, make_plan):
    first = make_plan(JOBS, command="sweep fusion=conv")
    first.write(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UserError) as caught:
        make_plan({"other": ([], ["publish"])}, command="sweep fusion=sum layer=relu4").write(tmp_path)
    message = str(caught.value)
    assert "another study" in message
    assert str(tmp_path) in message
    assert "sweep fusion=conv" in message
    assert "sweep fusion=sum layer=relu4" in message
    assert "try:" in message
    assert (tmp_path / FILE).read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


def test_a_folder_without_a_study_and_a_damaged_plan_are_told(tmp_path):
    with pytest.raises(UserError, match="no study"):
        read(tmp_path)
    for text in (
        "{",
        "[]",
        '{"schema": 99}',
        '{"schema": 1, "jobs": []}',
        '{"schema":1,"jobs":[{"id":"a"}],"arms":[]}',
    ):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(UserError):
            read(tmp_path)


def job(name, needs=(), arms=(), folder=None, kind="cohort"):
    return Job(name, kind, folder or f"jobs/{name}", tuple(needs), {}, tuple(arms))


def arm(name, owner):
    return Arm(name, "fused", {}, f"sig-{name}", {}, owner)


@pytest.mark.parametrize(
    ("jobs", "arms", "words"),
    [
        ([job("a"), job("a", folder="jobs/b")], [], ["job twice", "a"]),
        ([job("a"), job("b", folder="jobs/./a")], [], ["folder twice"]),
        ([job("a", ["c"])], [], ["a needs c"]),
        ([job("a", ["b"]), job("b", ["c"]), job("c", ["b"])], [], ["cycle", "b needs c needs b"]),
        ([job("a", ["a"])], [], ["cycle", "a needs a"]),
        ([job("a", kind="cook")], [], ["unknown kind", "cook"]),
        ([job("a", arms=["x", "x"])], [arm("x", "a"), arm("x", "a")], ["arm twice"]),
        ([job("a", arms=["x"])], [], ["another job"]),
        ([job("a")], [arm("x", "a")], ["missing in its job's list"]),
        ([job("a/b")], [], ["folder"]),
        ([job("..")], [], ["folder"]),
    ],
)
def test_a_plan_that_does_not_fit_together_is_refused(jobs, arms, words):
    with pytest.raises(UserError) as caught:
        Plan.of("sweep", jobs, arms)
    assert all(word in str(caught.value) for word in words)


def test_a_part_of_a_plan_has_what_its_job_needs(make_plan):
    plan = make_plan({**JOBS, "c": (["data"], ["publish"])})
    part = plan.part("b")
    assert {job.id for job in part.jobs} == {"data", "a", "b"}
    assert {arm.name for arm in part.arms} == {"arm-data", "arm-a", "arm-b"}
    assert all(part.job(job.id) is plan.job(job.id) for job in part.jobs)
    assert [job.id for job in plan.part("data").jobs] == ["data"]
    with pytest.raises(UserError, match="unknown job"):
        plan.part("d")


def test_where_a_job_works(tmp_path):
    study = tmp_path / "runs" / "x"
    assert job("a").path(study) == study / "jobs" / "a"
    shared = job("a", folder="../streams/0123456789abcdef", kind="stream")
    assert shared.path(study) == tmp_path / "runs" / "streams" / "0123456789abcdef"


@pytest.mark.parametrize(
    "folder",
    ["/abs", "../../x", "..", "jobs/../../x", "", ".", "../streams/0123456789abcdef", "jobs/\0", "../streams/abc"],
)
def test_a_job_s_folder_lies_in_its_study(tmp_path, folder):
    with pytest.raises(UserError, match="outside its study"):
        Plan.of("sweep", [job("a", folder=folder)] if folder else [Job("a", "cohort", "", (), {})], [])


def elsewhere(study, **changes):
    """A plan as a stranger may write it."""
    made = replace(job("a", folder="../streams/0123456789abcdef", kind="stream"), **changes)
    Plan.of("sweep", [made], []).write(study)
    return read(study)


def test_a_shared_stream_lies_beside_the_study_or_where_the_user_says(tmp_path, monkeypatch):
    study, other = tmp_path / "runs" / "x", tmp_path / "other" / "streams"
    expect_own_folders(elsewhere(study), study)
    for folder in ("../../other/streams/0123456789abcdef", str(other / "0123456789abcdef")):
        plan = elsewhere(tmp_path / "runs" / str(len(folder)), folder=folder)
        with pytest.raises(UserError, match="neither in the study nor beside it") as caught:
            expect_own_folders(plan, study)
        assert f"export FUSIONLAB_STREAMS={other}" in str(caught.value)
        monkeypatch.setenv("FUSIONLAB_STREAMS", str(other))
        expect_own_folders(plan, study)
        monkeypatch.delenv("FUSIONLAB_STREAMS")


def test_a_link_does_not_lead_a_job_out_of_its_study(tmp_path):
    study = tmp_path / "runs" / "x"
    plan = elsewhere(study, folder="jobs/a")
    (tmp_path / "victim").mkdir()
    (study / "jobs").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="neither in the study"):
        expect_own_folders(plan, study)


def test_data_lie_where_commands_typed_here_have_them(tmp_path, monkeypatch):
    study = tmp_path / "runs" / "x"
    plan = elsewhere(study, config={"run": {"data": str(tmp_path / "victim")}})
    monkeypatch.delenv("FUSIONLAB_DATA", raising=False)
    with pytest.raises(UserError, match="the data folder of the study") as caught:
        expect_own_folders(plan, study)
    assert f"export FUSIONLAB_DATA={tmp_path / 'victim'}" in str(caught.value)
    monkeypatch.setenv("FUSIONLAB_DATA", str(tmp_path / "victim"))
    expect_own_folders(plan, study)
    monkeypatch.delenv("FUSIONLAB_DATA")
    expect_own_folders(elsewhere(tmp_path / "runs" / "y", config={"run": {"data": str(tmp_path / "data")}}), study)


@pytest.mark.parametrize(
    "change",
    [
        {"jobs": [{"id": "a"}]},
        {"jobs": {}},
        {"arms": [3]},
        {"command": None},
        *(
            {"job": {name: wrong}}
            for name in ("id", "kind", "folder", "needs", "config", "arms")
            for wrong in (3, None)
        ),
        {"job": {"needs": [1]}},
        *({"arm": {name: wrong}} for name in ("name", "kind", "axes", "signature", "config") for wrong in (3, None)),
    ],
)
def test_wrong_types_in_a_plan_are_told(tmp_path, make_plan, change):
    for plan in (json.loads(make_plan(JOBS).to_json()), old_plan(make_plan(JOBS))):
        plan["jobs"][0].update(change.get("job", {}))
        plan["arms"][0].update(change.get("arm", {}))
        (tmp_path / FILE).write_text(json.dumps({**plan, **change}))
        with pytest.raises(UserError, match="damaged plan"):
            read(tmp_path)


def cohort(**arms):
    """A plan of two cohorts: cohort(sum="x", conv="y")."""
    made = [Arm(f"{one}-arm", "fused", {}, f"sig-{one}", {"fusion": one, "lr": 1}, name) for one, name in arms.items()]
    jobs = []
    for name in dict.fromkeys(arms.values()):
        own = [arm for arm in made if arm.job == name]
        jobs.append(Job(name, "cohort", f"jobs/{name}", (), {"run": {"device": "cpu"}}, tuple(arm.name for arm in own)))
    return Plan.of("sweep fusion=" + ",".join(arms), jobs, made)


def test_a_plan_is_signed_by_its_arms_alone():
    plan = cohort(sum="x", conv="x", max="x")
    assert cohort(max="z", conv="y", sum="x").signature == plan.signature
    assert cohort(sum="x", conv="x").signature != plan.signature
    renamed = [replace(arm, name=f"{arm.name}-again") for arm in plan.arms]
    job = replace(plan.jobs[0], arms=tuple(arm.name for arm in renamed))
    assert Plan.of("other", [job], renamed).signature == plan.signature


def test_refused_cells_are_kept_outside_the_signature_and_follow_the_new_command(tmp_path):
    plan = cohort(sum="x")
    cells = [Refused(f"cell-{n}", "fused", {"layer": "fc7", "n": n}, "pool3d needs a map") for n in range(2)]
    refusing = Plan.of(plan.command, plan.jobs, plan.arms, cells)
    assert refusing.signature == plan.signature
    assert plan.refused == ()
    assert refusing.write(tmp_path) == (refusing, True)
    assert read(tmp_path).refused == tuple(cells)
    fewer = Plan.of(plan.command, plan.jobs, plan.arms, cells[:1])
    assert fewer.write(tmp_path) == (fewer, False)
    assert read(tmp_path).refused == tuple(cells[:1])


def begin(study, name):
    Ledger(study, read(study), session="s").claim(name)


def test_a_larger_grid_adds_its_arms_and_a_smaller_one_is_another_study(tmp_path):
    small = cohort(sum="x", conv="x")
    small.write(tmp_path)
    begin(tmp_path, "x")
    large, new = cohort(sum="x", conv="x", max="x").write(tmp_path)
    assert not new
    assert large == read(tmp_path) == cohort(sum="x", conv="x", max="x")
    assert begin(tmp_path, "x") is None  # the folder is still this job's
    with pytest.raises(UserError, match="another study") as caught:
        small.write(tmp_path)
    assert "max-arm" in str(caught.value)


def test_a_folder_that_an_older_version_began_is_the_same_job_s(tmp_path):
    """Its job.json holds the configs of all of its arms."""
    plan, _ = cohort(sum="x", conv="x").write(tmp_path)
    job = {"id": "x", "kind": "cohort", "config": {"arms": [arm.config for arm in plan.arms]}}
    write_json(tmp_path / "jobs" / "x" / "job.json", job)
    assert Ledger(tmp_path, plan, session="s").claim("x").arms == ("sum-arm", "conv-arm")
    job["config"]["arms"] = [{**arm.config, "lr": 2} for arm in plan.arms]
    write_json(tmp_path / "jobs" / "x" / "job.json", job)
    with pytest.raises(UserError, match="belongs to another job"):
        Ledger(tmp_path, plan, session="s").state("x")


def test_a_study_that_an_older_version_planned_is_continued(tmp_path):
    write_old_plan(cohort(sum="x", conv="x"), tmp_path)
    assert read(tmp_path) == cohort(sum="x", conv="x")
    begin(tmp_path, "x")
    large, new = cohort(sum="y", conv="y", max="y").write(tmp_path)
    assert not new
    assert read(tmp_path) == large
    assert {job.id: job.arms for job in large.jobs} == {"y": ("max-arm",), "x": ("sum-arm", "conv-arm")}
    assert json.loads((tmp_path / FILE).read_text())["schema"] == 2
    assert begin(tmp_path, "x") is None  # its folder is still this job's


@pytest.mark.parametrize("begun", [True, False])
def test_repacked_arms_keep_their_job_where_it_was_begun(tmp_path, begun):
    cohort(sum="x", conv="x", max="y").write(tmp_path)
    if begun:
        begin(tmp_path, "x")
    plan, _ = cohort(sum="a", conv="b", max="b", product="a").write(tmp_path)
    jobs = {job.id: set(job.arms) for job in plan.jobs}
    if begun:
        assert jobs == {"x": {"sum-arm", "conv-arm"}, "a": {"product-arm"}, "b": {"max-arm"}}
    else:
        assert jobs == {"a": {"sum-arm", "product-arm"}, "b": {"conv-arm", "max-arm"}}
    for job in plan.jobs:  # what is said of `run` now
        assert job.config == {"run": {"device": "cpu"}}


@pytest.mark.parametrize("seed", range(40))
def test_however_arms_are_packed_each_is_in_one_job(tmp_path, seed):
    """Against a model: an arm of a begun job keeps it, every other arm has the job of the new command."""
    draws = random.Random(seed)
    old = {f"fusion{n}": draws.choice("uvw") for n in range(draws.randrange(1, 8))}
    cohort(**old).write(tmp_path)
    begun = {job for job in sorted(set(old.values())) if draws.random() < 0.5}
    for job in begun:
        begin(tmp_path, job)
    new = {name: draws.choice("uvwxyz") for name in [*old, *(f"more{n}" for n in range(draws.randrange(4)))]}
    names = draws.sample(list(new), len(new))
    asked = cohort(**{name: new[name] for name in names})
    plan, _ = asked.write(tmp_path)
    assert read(tmp_path) == plan
    assert plan.signature == asked.signature
    kept = {name: job for name, job in old.items() if job in begun}
    assert {arm.name.removesuffix("-arm"): arm.job for arm in plan.arms} == {**new, **kept}
    assert sorted(arm for job in plan.jobs for arm in job.arms) == sorted(f"{name}-arm" for name in new)
    for job in plan.jobs:
        assert all(plan.arm(name).job == job.id for name in job.arms)
        assert plan.part(job.id).job(job.id) == job


def test_an_arm_keeps_the_name_that_its_folder_has(tmp_path):
    cohort(sum="x").write(tmp_path)
    large = cohort(sum="x", conv="x")
    arms = [replace(arm, name=f"{arm.name},lr=1", axes={"lr": 1}) for arm in large.arms]
    jobs = [replace(large.jobs[0], arms=tuple(arm.name for arm in arms))]
    plan, _ = Plan.of("sweep", jobs, arms).write(tmp_path)
    assert [arm.name for arm in plan.arms] == list(plan.jobs[0].arms) == ["sum-arm", "conv-arm,lr=1"]
    assert [arm.axes for arm in plan.arms] == [{"lr": 1}, {"lr": 1}]


def test_two_commands_that_add_arms_at_once_lose_none(tmp_path):
    cohort(sum="x").write(tmp_path)
    racers = [SPAWN.Process(target=add, args=(tmp_path, f"fusion{number}")) for number in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert {arm.name for arm in read(tmp_path).arms} == {"sum-arm", *(f"fusion{number}-arm" for number in range(4))}


def add(study, fusion):
    """Each knows what is there, and one more."""
    while True:
        names = [arm.name.removesuffix("-arm") for arm in read(study).arms]
        try:
            cohort(**dict.fromkeys([*names, fusion], "x")).write(study)
        except UserError:  # another has added an arm in between, which this one does not have
            continue
        return


def test_a_recipe_is_without_run_also_in_its_arms():
    both = Job("a", "cohort", "a", (), {"run": {}, "seed": 0, "arms": [{"layer": "relu5", "run": {"x": 1}}]})
    assert common_recipe(both.config) == {}
    both = replace(both, config={"run": {}, "arms": [{"layer": "relu5", "run": {"x": 1}, "seed": 0}, {"seed": 0}]})
    assert common_recipe(both.config) == {"seed": 0}  # what its arms have in common


def test_a_new_plan_and_a_worker_try_their_folder(tmp_path, monkeypatch, make_plan):
    plan = make_plan({"a": ([], ["publish"])})
    plan.write(tmp_path / "good")

    def full(*_):
        raise UserError("cannot hold a study")

    monkeypatch.setattr("fusionlab.study.plan.probe", full)
    monkeypatch.setattr("fusionlab.study.worker.probe", full)
    with pytest.raises(UserError, match="cannot hold a study"):
        plan.write(tmp_path / "new")
    assert not (tmp_path / "new" / "plan.json").exists()
    with pytest.raises(UserError, match="cannot hold a study"):
        work(tmp_path / "good")


def test_the_folder_of_shared_streams_is_tried_too(tmp_path, monkeypatch, make_plan):
    tried = []
    monkeypatch.setattr("fusionlab.study.plan.probe", lambda folder: tried.append(Path(folder)))
    plan = make_plan({"5": ([], ["publish"])}, folder="../streams/000000000000000{}")
    plan.write(tmp_path / "x")
    assert set(tried) == {tmp_path / "x", tmp_path / "streams"}
    (tmp_path / "streams" / "0000000000000005" / "published").mkdir(parents=True)
    tried.clear()
    plan.write(tmp_path / "x")
    assert tried == [tmp_path / "x"]  # streams that are there need not be written


def test_the_folders_of_a_group_are_shared_before_anything_is_written(tmp_path, monkeypatch):
    shared = []
    monkeypatch.setattr("fusionlab.study.plan.share", lambda folder, name: shared.append((Path(folder), name)))
    run = {"root": str(tmp_path / "runs"), "group": "lab"}
    plan = Plan.of("c", [Job("a", "cohort", "jobs/a", (), {"run": run}, ())], [])
    assert plan.group == "lab"
    plan.write(tmp_path / "runs" / "x")
    assert shared == [(tmp_path / "runs" / one, "lab") for one in ("", "streams", "x")]
    assert Plan.of("c", [Job("a", "cohort", "jobs/a", (), {"run": {"root": "runs"}}, ())], []).group is None
