"""The format of plan.json: what is written is read again, and nothing that a stranger writes leads astray."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusionlab.errors import UserError
from fusionlab.records.files import DEEPEST
from fusionlab.records.plan_file import FILE, Arm, Job, Refused, plan_text, read_plan_file

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["relu5", "\x1b[0m", "\u2028", "1", "null"]),
)
NAMES = st.one_of(st.sampled_from(["layer", "into", "seed", "fusion"]), st.text(max_size=4))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)


@st.composite
def contents(draw):
    """Jobs, arms and refused cells; some configs share parts, as the same object or an equal one."""
    pool = draw(st.lists(VALUES, min_size=1, max_size=4))
    parts = st.one_of(st.sampled_from(pool), st.sampled_from(pool).map(copy.deepcopy), VALUES)
    configs, axes = st.dictionaries(NAMES, parts, max_size=4), st.dictionaries(NAMES, LEAVES, max_size=2)
    kinds = st.sampled_from(["fused", "late", "stream"])
    owners = draw(st.lists(st.integers(0, 2), max_size=6))
    arms = [
        Arm(f"arm {n}", draw(kinds), draw(axes), f"{n}", draw(configs), f"job {job}") for n, job in enumerate(owners)
    ]
    jobs = []
    for number in range(3):
        own = draw(st.permutations([arm.name for arm in arms if arm.job == f"job {number}"]))
        needs = tuple(f"job {n}" for n in range(number))
        jobs.append(Job(f"job {number}", "cohort", f"jobs/{number}", needs, draw(configs), tuple(own)))
    cells = [Refused(f"cell {n}", draw(kinds), draw(axes), draw(st.text())) for n in range(draw(st.integers(0, 2)))]
    return draw(st.text()), jobs, arms, cells


def exact(content):
    """A text that tells 1 from 1.0 and True, and one order of keys from another."""
    return repr([content[0], *(vars(one) for part in content[1:] for one in part)])


@settings(max_examples=50, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=contents())
def test_what_is_written_is_read_again(tmp_path, written):
    (tmp_path / FILE).write_bytes(plan_text(*written).encode())
    read = read_plan_file(tmp_path)
    assert exact(read) == exact(written)
    assert plan_text(*read) == plan_text(*written)


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
        damage(parts=[]), damage(parts={}), damage(parts=[None, None, None]),
        damage(keys=[["x"], ["trainer"]]), damage(keys=[["stage_one"], ["run"]]),
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
