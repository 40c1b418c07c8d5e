from dataclasses import replace

import pytest

from fusionlab.errors import UserError
from fusionlab.study.plan import FILE, Arm, Job, Plan, read

JOBS = {"data": ([], ["publish"]), "a": (["data"], ["publish"]), "b": (["data", "a"], ["publish"])}


def test_a_plan_goes_out_and_in(tmp_path, make_plan):
    plan = make_plan(JOBS)
    assert plan.write(tmp_path)
    assert read(tmp_path) == plan == Plan.from_json(plan.to_json())
    assert plan.job("a").needs == ("data",)
    assert plan.arm("arm-b").job == "b"


def test_the_same_plan_continues_and_its_newer_run_settings_hold(tmp_path, make_plan):
    plan = make_plan(JOBS)
    plan.write(tmp_path)
    assert not plan.write(tmp_path)
    jobs = [replace(job, config={**job.config, "run": {"device": "cuda"}}) for job in plan.jobs]
    again = Plan.of("sweep fusion=conv run.device=cuda", jobs, plan.arms)
    assert again.signature == plan.signature
    assert not again.write(tmp_path)
    assert read(tmp_path).job("a").config["run"] == {"device": "cuda"}


def test_a_folder_that_holds_another_study_is_refused_with_both_commands(tmp_path, make_plan):
    first = make_plan(JOBS, command="sweep fusion=conv")
    first.write(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UserError) as caught:
        make_plan({"data": ([], ["publish"])}, command="sweep fusion=sum layer=relu4").write(tmp_path)
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
        ([job("a", ["b"]), job("b", ["c"]), job("c", ["b"])], [], ["circle", "b needs c needs b"]),
        ([job("a", ["a"])], [], ["circle", "a needs a"]),
        ([job("a", kind="cook")], [], ["unknown kind", "cook"]),
        ([job("a", arms=["x", "x"])], [arm("x", "a"), arm("x", "a")], ["arm twice"]),
        ([job("a", arms=["x"])], [], ["not its own"]),
        ([job("a")], [arm("x", "a")], ["does not list"]),
        ([job("a/b")], [], ["folder"]),
        ([job("..")], [], ["folder"]),
    ],
)
def test_a_plan_that_does_not_fit_together_is_told(jobs, arms, words):
    with pytest.raises(UserError) as caught:
        Plan.of("sweep", jobs, arms)
    assert all(word in str(caught.value) for word in words)


def test_where_a_job_works(tmp_path):
    study = tmp_path / "runs" / "x"
    assert job("a").path(study) == study / "jobs" / "a"
    assert job("a", folder="../streams/f00d").path(study) == tmp_path / "runs" / "streams" / "f00d"
    assert job("a", folder="/data/brush").path(study).as_posix() == "/data/brush"


def test_a_recipe_is_without_run_also_in_its_arms():
    both = Job("a", "cohort", "a", (), {"run": {}, "seed": 0, "arms": [{"layer": "relu5", "run": {"x": 1}}]})
    assert both.recipe() == {"seed": 0, "arms": [{"layer": "relu5"}]}
