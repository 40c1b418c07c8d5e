import json
import math
import sys

import pytest

from fusionlab.errors import UserError
from fusionlab.records import record as module
from fusionlab.records.environment import LIMITS, changed_arithmetic, describe_environment
from fusionlab.records.files import write_json
from fusionlab.records.predictions import Predictions, float32, read_predictions, write_predictions
from fusionlab.records.record import check, new_record, read_record, read_records, upgrade, write_record


def make(**changes):
    content = {
        "name": "fusion=conv,layer=relu5,seed=0",
        "kind": "fused",
        "axes": {"streams": "both", "fusion": "conv", "layer": "relu5", "seed": 0},
        "signature": "0123456789abcdef",
        "config": {"layer": "relu5", "run": {"device": "cpu"}},
        "stage_one": {"appearance": "a" * 16, "motion": "b" * 16},
        "result": {"accuracy": 0.5, "kinds": {"what": {"correct": 1, "total": 2}}, "val_loss": 1.5},
        "ceilings": {"what": "1", "binding": "1/4"},
    }
    return new_record(**{**content, **changes})


def predictions():
    return Predictions.of(["a,b", "c"], ["v1", 'v"2'], [0, 1], [[0.1, 0.9], [1 / 3, 1 / 3]])


def test_a_record_goes_out_and_in(tmp_path):
    record = make()
    assert record["schema"] == 1
    assert record["config"] == {"layer": "relu5"}
    assert record["circumstances"] == {"run": {"device": "cpu"}}
    written = write_record(tmp_path / "x", record, predictions())
    assert read_record(tmp_path / "x") == written == read_record(tmp_path / "x" / "run.json")
    assert len(written["result"]["predictions"]) == 64
    assert sorted(one.name for one in (tmp_path / "x").iterdir()) == ["predictions.csv", "run.json"]


def test_the_same_record_is_the_same_bytes(tmp_path):
    for name in "ab":
        write_record(tmp_path / name, make(), predictions())
    for file in ("run.json", "predictions.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_failed_arm_has_a_reason_and_infinite_numbers_become_null():
    record = make(
        status="failed", reason="diverged at step 7: loss nan", result={"val_loss": math.nan, "x": [math.inf]}
    )
    assert record["result"] == {"val_loss": None, "x": [None]}
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"kind": "fusion"}, "kind"),
        ({"status": "ok"}, "status"),
        ({"status": "failed"}, "reason"),
        ({"reason": "why"}, "reason"),
        ({"axes": {"seeds": [0, 1]}}, "axes"),
        ({"ceilings": {"what": "one"}}, "ceiling"),
        ({"ceilings": {"what": "5/4"}}, "ceiling"),
        ({"result": {"kinds": {"what": {"correct": 3, "total": 2}}}}, "kind"),
    ],
)
def test_what_is_wrong_is_named(changes, word):
    with pytest.raises(UserError, match=word):
        make(**changes)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"result": {"accuracy": "0.5"}}, "result.accuracy"),
        ({"result": {"accuracy": 1.5}}, "result.accuracy"),
        ({"result": {"accuracy": True}}, "result.accuracy"),
        ({"result": {"correct": 1.0, "total": 2}}, "result.correct"),
        ({"result": {"correct": 1}}, "correct and total are given together"),
        ({"result": {"total": 10**200, "correct": 1}}, "result.total"),
        ({"result": {"kinds": []}}, "result.kinds is a mapping"),
        ({"result": {"kinds": {"what": {"correct": 1.5, "total": 2}}}}, "result.kinds.what.correct"),
        ({"result": {"kinds": {"what": {"correct": -1, "total": 2}}}}, "result.kinds.what.correct"),
        ({"result": {"kinds": {"what": {"correct": True, "total": 2}}}}, "result.kinds.what.correct"),
        ({"result": {"kinds": {"what": {"total": 2}}}}, "result.kinds.what has 'correct'"),
        ({"result": {"classes": {"a": 1}}}, "result.classes.a"),
        ({"result": {"layers": "13"}}, "result.layers"),
        ({"result": {"predictions": ["a"]}}, "result.predictions"),
        ({"result": {"quarantined": {"train": "x"}}}, "result.quarantined.train"),
        ({"result": {"initial_weights": "x"}}, "result.initial_weights is a mapping"),
        ({"config": {"data": {"quarantine": "all"}}}, "config.data.quarantine is a list"),
        ({"config": {"data": {"quarantine": [1]}}}, r"config.data.quarantine\[0\]"),
        ({"config": {"data": 1}}, "config.data is a mapping"),
        ({"config": {"x": {1: 2}}}, "config.x"),
        ({"config": {"x": b"y"}}, "config.x"),
        ({"stage_one": {"motion": 1}}, "stage_one.motion"),
        ({"axes": {"seed": [0]}}, "axes.seed"),
        ({"ceilings": {"what": "1/0"}}, "ceilings.what"),
        ({"ceilings": {"what": "1e-999999999"}}, "ceilings.what"),
        ({"ceilings": {"what": "1." + "0" * 10**5}}, "ceilings.what"),
        ({"circumstances": {"packages": ["torch"]}}, "circumstances.packages is a mapping"),
        ({"circumstances": {"packages": {"torch": 2}}}, "circumstances.packages.torch"),
        ({"circumstances": {"seconds": "2"}}, "circumstances.seconds"),
        ({"circumstances": {"commit": {}}}, "circumstances.commit"),
        ({"log": {}}, "log"),
        ({"name": None}, "name"),
        ({"kind": ["fused"]}, "kind"),
    ],
)
def test_a_wrong_type_is_named_wherever_it_is(changes, word):
    with pytest.raises(UserError, match=f"not a valid record: {word}"):
        make(**changes)


def test_what_is_wrong_is_told_shortly(tmp_path):
    write_json(tmp_path / "run.json", {**make(), "log": [["x"] * 10**5]})
    with pytest.raises(UserError, match="log is text") as caught:
        read_record(tmp_path)
    assert len(str(caught.value)) < 200 + len(str(tmp_path))


def test_missing_surplus_and_mistyped_keys_are_named():
    for wrong in ({"name": 3}, {"surplus": 1}, {"schema": True}, {"config": {"run": {}}}):
        with pytest.raises(UserError, match="not a valid record"):
            check({**make(), **wrong})
    less = make()
    del less["signature"]
    with pytest.raises(UserError, match="signature"):
        check(less)


def test_old_records_load_and_newer_ones_are_refused_with_a_hint(tmp_path, monkeypatch):
    monkeypatch.setitem(module.UPGRADES, -1, lambda old: {**old, "schema": 0, "kind": old["type"]})
    monkeypatch.setitem(
        module.UPGRADES,
        0,
        lambda old: {name: value for name, value in {**old, "schema": 1}.items() if name != "type"},
    )
    old = {**make(), "schema": -1, "type": "late"}
    del old["kind"]
    (tmp_path / "run.json").write_text(json.dumps(old))
    assert read_record(tmp_path)["kind"] == "late"
    with pytest.raises(UserError, match="newer"):
        upgrade({"schema": 99})
    with pytest.raises(UserError, match="schema"):
        check(upgrade({**make(), "schema": -7}))


def test_records_are_found_below_a_folder_but_never_an_unpublished_attempt(tmp_path):
    for place in ("b/published/x", "a/published/y", "a/attempts/002/result/y", "a/.hidden/z"):
        write_record(tmp_path / place, make(name=place))
    assert [record["name"] for record in read_records(tmp_path)] == ["a/published/y", "b/published/x"]
    with pytest.raises(UserError, match="no such folder"):
        read_records(tmp_path / "missing")


@pytest.mark.parametrize("text", ["", "[1]", '{"schema": 1}', "\x00"])
def test_a_damaged_record_is_named_with_its_path(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json"):
        read_record(tmp_path)


def test_predictions_give_the_same_float32_back(tmp_path):
    values = [0.1, 1 / 3, 1e-38, 3.4e38, 1.17549435e-38, 1e-45, 0.999999940395, -7.0, 16777217.0]
    made = Predictions.of([f"c{k}" for k in range(9)], ["v"], [4], [values])
    write_predictions(tmp_path / "p.csv", made)
    again = read_predictions(tmp_path / "p.csv")
    assert again == made
    assert again.scores[0] == float32(*values) == tuple(float32(value)[0] for value in values)
    assert again.to_csv() == made.to_csv()


def test_predictions_read_as_a_person_would(tmp_path):
    made = predictions()
    write_predictions(tmp_path / "p.csv", made)
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[0] == 'video,label,predicted,"score_a,b",score_c'
    assert lines[1] == 'v1,"a,b",c,0.100000001,0.899999976'
    assert lines[2] == '"v""2",c,"a,b",0.333333343,0.333333343'
    assert read_predictions(tmp_path / "p.csv") == made
    assert made.predicted == (1, 0)
    assert made.correct == 0


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n", "video,label,predicted,score_a\nv,b,a,1\n", "video,label,predicted,score_a\nv,a,a,x\n"],
)
def test_damaged_predictions_are_named(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(UserError, match=r"p\.csv"):
        read_predictions(tmp_path / "p.csv")


def test_circumstances_are_plain_and_name_the_versions():
    environment = describe_environment()
    json.dumps(environment, allow_nan=False)
    assert {"python", "packages", "commit", "code", "dirty", "machine", "platform", "started"} == set(environment)
    assert "fusionlab" in environment["packages"]
    assert environment["machine"]["cores"] >= 1


def test_circumstances_keep_the_instruction_set_of_a_torch_that_is_loaded(monkeypatch):
    import torch

    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    machine = describe_environment()["machine"]
    assert machine["cpu"]
    assert machine["capability"] == torch.backends.cpu.get_cpu_capability()
    assert machine["limits"] == {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    monkeypatch.delitem(sys.modules, "torch")
    assert describe_environment()["machine"]["capability"] is None
    assert "torch" not in sys.modules, "nothing is imported for it"


HERE = {"device": "cpu", "torch": "2.15.0", "CPU": "A", "instruction set": "AVX2"}


def around(device="cpu", torch="2.15.0", **machine):
    return {"device": device, "packages": {"torch": torch}, "machine": {"cpu": "A", "capability": "AVX2", **machine}}


@pytest.mark.parametrize(
    "recorded, text",
    [
        (around(), ""),
        (around(cores=2, memory=1), ""),
        (around(capability="AVX512"), "instruction set AVX512 → AVX2"),
        (around(limits={"MKL_CBWR": "AVX"}), "instruction set AVX2, MKL_CBWR=AVX → AVX2"),
        (around(capability=None), "instruction set not recorded → AVX2"),
        (around(cpu="B", torch="2.16.0"), "torch 2.16.0 → 2.15.0, CPU B → A"),
        (around(device="NVIDIA H200"), "device NVIDIA H200 → cpu"),
        ({}, ", ".join(f"{one} not recorded → {here}" for one, here in HERE.items())),
    ],
)  # fmt: skip
def test_changes_that_end_the_promise_of_equal_bits(recorded, text):
    assert changed_arithmetic(recorded, around()) == text


def test_on_a_gpu_the_cpu_s_instructions_do_not_matter():
    assert changed_arithmetic(around("H200", capability="AVX512"), around("H200", cpu="B")) == ""


def test_how_far_predictions_are_apart():
    one = Predictions.of("ab", ["v", "w"], [0, 1], [[0.75, 0.25], [0.5, 0.5]])
    assert one.largest_difference(one) == 0
    assert one.largest_difference(Predictions.of("ab", ["v", "w"], [0, 1], [[0.75, 0.25], [0.5, 0.375]])) == 0.125
    for other in (
        Predictions.of("ac", ["v", "w"], [0, 1], one.scores),
        Predictions.of("ab", ["v", "x"], [0, 1], one.scores),
        Predictions.of("ab", ["v", "w"], [0, 0], one.scores),
        Predictions.of("ab", ["v"], [0], one.scores[:1]),
        Predictions.of("ab", ["v", "w"], [0, 1], [[0.75, 0.25], [0.5, math.nan]]),
    ):
        assert one.largest_difference(other) == math.inf
