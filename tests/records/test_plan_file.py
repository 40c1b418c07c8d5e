"""The format of plan.json: what is written is read again, and nothing that a stranger writes leads astray."""

import json
import random

import pytest

from fusionlab.errors import UserError
from fusionlab.records.files import DEEPEST
from fusionlab.records.plan_file import FILE, Arm, Job, Refused, plan_text, read_plan_file

NAMES = ["backbone", "data", "optim", "seed", "layer", "run", "ä b", 'quo"te', ""]
LEAVES = [None, True, False, 0, 1, -1, 1.0, 0.0, -0.0, 1e-9, "", "1", "relu5", "é\u2028\x1b[0m", "null", [], {}]


def value(draws, depth=3):
    kind = draws.choice(["leaf", "leaf", "list", "dict"]) if depth else "leaf"
    if kind == "leaf":
        return draws.choice(LEAVES)
    children = [value(draws, depth - 1) for _ in range(draws.randrange(4))]
    return children if kind == "list" else dict(zip(draws.sample(NAMES, len(children)), children, strict=True))


def content(draws):
    """Jobs, arms and refused cells; some of their configs share parts, as the same object or an equal one."""
    pool = [value(draws) for _ in range(6)]

    def config():
        names = draws.sample(NAMES, draws.randrange(len(NAMES)))
        return {name: draws.choice([draws.choice(pool), value(draws)]) for name in names}

    arms = [
        Arm(f"arm {n}", draws.choice(["fused", "late"]), {"seed": n, "x": 1.0}, f"{n:016x}", config(), f"job {n % 3}")
        for n in range(draws.randrange(12))
    ]
    draws.shuffle(arms)
    jobs = []
    for number in range(3):
        own = [arm.name for arm in arms if arm.job == f"job {number}"]
        draws.shuffle(own)
        needs = tuple(f"job {n}" for n in range(number))
        jobs.append(Job(f"job {number}", "cohort", f"jobs/{number}", needs, config(), tuple(own)))
    cells = [Refused(f"cell {n}", "fused", {"x": draws.choice([None, "y", 2])}, "é\u2028") for n in range(3)]
    return f"sweep {value(draws)}", jobs, arms, cells[: draws.randrange(4)]


def exact(value):
    """A text that tells 1 from 1.0 and True, and one order of keys from another."""
    return repr([vars(one) for part in value[1:] for one in part])


@pytest.mark.parametrize("seed", range(100))
def test_what_is_written_is_read_again(tmp_path, seed):
    written = content(random.Random(seed))
    (tmp_path / FILE).write_text(plan_text(*written), encoding="utf-8")
    command, *lists = read_plan_file(tmp_path)
    assert command == written[0]
    assert exact((command, *lists)) == exact(written)
    assert plan_text(command, *lists) == plan_text(*written)


def test_each_distinct_part_is_written_once_and_shared_when_it_is_read(tmp_path):
    def parts(seed):  # equal, but not the same objects
        return {"data": {"frames": [1, 2]}, "trainer": {"threads": 1}, "seed": {"init": seed}}

    arms = [Arm(f"arm {n}", "fused", {}, f"{n}", parts(n), "job") for n in range(50)]
    job = Job("job", "cohort", "job", (), {"run": {"threads": 1}}, tuple(arm.name for arm in arms))
    text = plan_text("sweep", [job], arms, [])
    assert text.count('"frames"') == 1
    assert text.count('{"threads": 1}') == 1
    assert len(json.loads(text)["parts"]) == 2 + 50
    (tmp_path / FILE).write_text(text)
    _, _, read, _ = read_plan_file(tmp_path)
    assert len({id(arm.config["data"]) for arm in read}) == 1
    assert len({id(arm.config["seed"]) for arm in read}) == 50


def plan():
    """A valid file with two jobs and two arms."""
    arms = [Arm(f"arm {n}", "fused", {}, f"{n}", {"x": n}, f"job {n}") for n in range(2)]
    jobs = [Job(f"job {n}", "cohort", f"{n}", (), {"run": {}}, (f"arm {n}",)) for n in range(2)]
    return json.loads(plan_text("sweep", jobs, arms, [Refused("a", "fused", {}, "b")]))


def damage(**changes):
    def change(content):
        for place, one in changes.items():
            items, _, name = place.partition("__")
            content[items] = [{**content[items][0], name: one}, *content[items][1:]] if name else one
        return content

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(damage(**{f"{items}__config": row}) for items in ("jobs", "arms") for row in (
            [], [0], [9, 0], [0, 9], [-1, 0], [0, -1], [True, 0], [0, True], [0.0, 0], ["0", 0], [0, 0, 0], [0, [0]],
            {"x": 0}, "00", 0, [1 << 70, 0], [0, 1 << 70],
        )),
        *(damage(jobs__arms=row) for row in ([], [2], [-1], [1], [0, 0], ["arm 0"], [0, 1], [True], [1 << 70])),
        damage(keys=[]), damage(keys=[["x", 3], ["run"]]), damage(keys={"x": 0}),
        damage(keys=[["x", "y"], ["run", "z"]]),
        damage(parts=[]), damage(parts={}),
        damage(refused={}), damage(refused=None), damage(refused=[3]),
        damage(refused__kind="cook"), damage(refused__axes={"x": []}), damage(refused__reason=None),
        damage(refused__config=[]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_damaged_plan(tmp_path, change):
    (tmp_path / FILE).write_text(json.dumps(plan()))
    read_plan_file(tmp_path)
    (tmp_path / FILE).write_text(json.dumps(change(plan())))
    with pytest.raises(UserError, match="damaged plan"):
        read_plan_file(tmp_path)


@pytest.mark.parametrize("name", ["keys", "parts", "jobs", "arms", "refused", "command"])
def test_a_list_that_is_missing_is_a_damaged_plan(tmp_path, name):
    (tmp_path / FILE).write_text(json.dumps({one: value for one, value in plan().items() if one != name}))
    with pytest.raises(UserError, match=f"damaged plan: it has '{name}'"):
        read_plan_file(tmp_path)


def test_a_part_too_deep_is_told(tmp_path):
    deep: list = []
    for _ in range(DEEPEST):
        deep = [deep]
    (tmp_path / FILE).write_text(json.dumps({**plan(), "parts": [deep, deep, deep]}))
    with pytest.raises(UserError, match=f"more than {DEEPEST} levels"):
        read_plan_file(tmp_path)
