"""Every command on one finished study."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import FAST, LINE, Done, Lab

pytestmark = pytest.mark.slow

Say = Callable[..., Done]


@pytest.fixture(autouse=True)
def where_data_lie(say: Say, study: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the commands that made the study: what else a plan says of its data is not believed."""
    monkeypatch.setenv("FUSIONLAB_DATA", str(study.data))


@pytest.fixture
def runs(study: Lab) -> dict[str, Path]:
    """Arm -> the folder of its record."""
    places = (study.home / "runs").rglob("published/*/run.json")
    return {
        json.loads(place.read_text(encoding="utf-8"))["axes"].get("fusion", place.parent.name): place.parent
        for place in places
    }


def test_status(say: Say, study: Lab) -> None:
    done = say("status", str(study.study))
    assert (done.status, done.err) == (0, "")
    counted, jobs, arms = (part.splitlines() for part in done.out.split("\n\n"))
    assert counted[:4] == [
        "arms     6: 6 done",
        "prepare  1: 1 published",
        "streams  2: 2 published",
        "fusion   1: 1 published",
    ]
    assert counted[4] == "workers  running 0" and counted[5].startswith("best     fusion=")
    assert (jobs[0], arms[0]) == ("4 jobs", "6 arms")
    assert all(line.split()[0] in ("published", "done") for line in jobs[1:] + arms[1:])


def test_status_as_json(say: Say, study: Lab) -> None:
    done = say("status", str(study.study), "--json")
    content = json.loads(done.out)
    losses = {}
    for place in study.study.rglob("published/*/run.json"):
        record = json.loads(place.read_text(encoding="utf-8"))
        if record["kind"] == "fused":
            losses[record["result"]["val_loss"]] = record["name"]
    assert content["best"] == {"arm": losses[min(losses)], "val_loss": min(losses)}
    assert content["stages"] == {"prepare": {"published": 1}, "streams": {"published": 2}, "fusion": {"published": 1}}
    assert content["states"]["arms"] == {"done": 6}


def test_status_of_what_has_not_begun(say: Say, tmp_path: Path) -> None:
    from fusionlab.planning.grid import plan_study

    plan_study(["fusion=sum"]).plan.write(tmp_path / "new")
    done = say("status", str(tmp_path / "new"))
    assert done.status == 1
    assert "  waiting    fusion=sum,layer=relu5" in done.out


def test_plan_of_what_is_done(say: Say, study: Lab) -> None:
    done = say("plan", *LINE, FAST, home=study.home)
    assert done.status == 0
    assert done.out.splitlines()[0] == f"study  runs/{study.study.name}"
    assert "arms   6: 6 done\njobs   4: 4 done\n" in done.out and "  to run  " not in done.out.partition("jobs\n")[2]


def test_diff(say: Say, runs: dict[str, Path]) -> None:
    same = say("diff", str(runs["conv"]), str(runs["conv"] / "run.json"))
    assert (same.status, same.out) == (0, "")
    other = say("diff", str(runs["conv"]), str(runs["sum"]))
    assert other.status == 1
    found = dict(line.split(": ", 1) for line in other.out.splitlines())
    assert found["config.fusion._target_"] == "fusionlab.fusion.conv.Conv → fusionlab.fusion.sum.Sum"
    assert found["config.fusion.init"] == "identity → (absent)"
    assert {"signature", "result.weights", "result.layers"} <= set(found)
    assert not [leaf for leaf in found if "circumstances" in leaf or "seconds" in leaf]


def test_signature(say: Say, study: Lab, runs: dict[str, Path]) -> None:
    record = json.loads((runs["conv"] / "run.json").read_text(encoding="utf-8"))
    assert say("signature", "fusion=conv", "layer=ReLU5", FAST).out == record["signature"] + "\n"
    why = say("signature", "--why", str(runs["conv"]), str(runs["sum"]))
    assert why.status == 0
    assert "fusion._target_: fusionlab.fusion.conv.Conv → fusionlab.fusion.sum.Sum\n" in why.out
    assert why.out.splitlines()[-1].startswith(f"{record['signature']} → ")
    # A run on one side, options on the other.
    mixed = say("signature", "--why", str(runs["conv"]), f"fusion=conv,{FAST},seed.dropout=1")
    assert mixed.out.startswith("seed.dropout: 0 → 1\n")
    typed = say("signature", "--why", "fusion=conv,layer=relu5", "fusion=conv,layer=relu4")
    assert typed.out.splitlines()[0] == "layer: relu5 → relu4"


def test_summary(say: Say, runs: dict[str, Path]) -> None:
    done = say("summary", "fusion=conv,sum", "layer=relu5", FAST)
    assert done.status == 0
    for fusion in ("conv", "sum", "late"):
        result = json.loads((runs[fusion] / "run.json").read_text(encoding="utf-8"))["result"]
        rows = [line.split() for line in done.out.splitlines() if line.strip()]
        row = next(row for row in rows if row[-1].startswith(f"fusion={fusion},"))
        assert row[:3] == [f"{result[what]:,}" for what in ("layers", "parameters", "trained_parameters")]
    assert "T = " in done.out and "L = " in done.out


def test_test_evaluates_every_arm_again(say: Say, study: Lab) -> None:
    done = say("test", str(study.study), home=study.home)
    assert (done.status, done.err) == (0, "")
    assert len(done.out.splitlines()) == 6
    assert all(": the same " in line for line in done.out.splitlines())


def test_test_of_one_arm_from_another_folder(say: Say, study: Lab, tmp_path: Path) -> None:
    conv = "fusion=conv,layer=relu5,temporal=pool2d,seed=0"
    done = say("test", str(study.study), conv)
    assert done.status == 0
    assert done.out.startswith(f"{conv}: the same ") and done.out.count("\n") == 1
    assert not list(tmp_path.iterdir()), "the data are found where they are"
    wrong = say("test", str(study.study), "fusion=cnv")
    assert wrong.status == 2 and "unknown arm" in wrong.err


def test_test_by_other_protocols_prints_a_table(say: Say, study: Lab, fresh: Lab) -> None:
    import shutil

    shutil.copytree(study.study, fresh.home / "runs" / study.study.name)
    before = {file: file.read_bytes() for file in fresh.home.rglob("run.json")}
    words = ["test=middle,frame", "combine=scores,logits", "ablate=motion:mean"]
    done = say("test", str(fresh.study), *words)
    assert (done.status, done.err) == (0, "")
    accuracies, _, sensitivity = done.out.split("\n\n")[1:]
    heads = [cell.strip() for cell in accuracies.splitlines()[0].split("|")[2:-1]]
    assert heads == ["middle, scores", "middle, logits", "frame, scores", "frame, logits"]
    assert len(accuracies.splitlines()) == 2 + 6 and "–" not in accuracies, "each of 6 arms by each test"
    assert len(sensitivity.splitlines()) == 2 + 2 * 6 and sensitivity.count("(") >= 2 * 6
    assert {file: file.read_bytes() for file in before} == before
    again = say("test", str(fresh.study), *words)
    assert again.status == 0 and "videos ×" not in again.out, "all of it is there"
    assert again.out.strip() == done.out.partition("\n\n")[2].strip()


def test_test_finds_weights_that_are_not_the_record_s(say: Say, study: Lab, fresh: Lab) -> None:
    import shutil

    shutil.copytree(study.study, fresh.home / "runs" / study.study.name)
    (conv,), (late,) = (list(fresh.study.rglob(f"published/fusion={f},*/predictions.csv")) for f in ("conv", "late"))
    record = json.loads(conv.with_name("run.json").read_text(encoding="utf-8"))
    record["result"]["predictions"] = "0" * 64
    conv.with_name("run.json").write_text(json.dumps(record), encoding="utf-8")
    done = say("test", str(fresh.study), conv.parent.name, late.parent.name)
    assert done.status == 1
    assert [line.split(": ")[1].split()[0] for line in done.out.splitlines()] == ["the", "other"]


def test_test_on_another_instruction_set_is_within_a_tolerance(study: Lab) -> None:
    lower = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
    done = study.run("test", str(study.study), **lower)
    assert (done.status, done.err) == (0, "")
    assert all(": the same " in line for line in done.out.splitlines())


@pytest.mark.parametrize(
    ("moved", "capability", "weights", "said"),
    [
        (5e-5, "an older one", "", "the same 120 predictions within 0.0001 (at most 5.0e-05 apart)"),
        (5e-5, None, "", "the same 120 predictions within 0.0001"),
        (5e-4, "an older one", "", "other predictions"),
        (5e-5, "", "", "other predictions"),
        (5e-5, "an older one", "0" * 64, "other predictions"),
    ],
    ids=["another set", "an old record", "too far", "the same set", "other weights"],
)
def test_test_asks_for_bits_where_they_are_promised(
    say: Say, study: Lab, fresh: Lab, moved: float, capability: str | None, weights: str, said: str
) -> None:
    """A record whose scores were a little others, made with an instruction set that is named ("": this one)."""
    import shutil

    from fusionlab.records.predictions import Predictions, read_predictions
    from fusionlab.records.record import write_record

    shutil.copytree(study.study, fresh.home / "runs" / study.study.name)
    (place,) = (found.parent for found in fresh.study.rglob("published/fusion=conv,*/run.json"))
    record = json.loads((place / "run.json").read_text(encoding="utf-8"))
    was = read_predictions(place / "predictions.csv")
    first = (was.scores[0][0] + moved, *was.scores[0][1:])
    now = Predictions.of(was.classes, was.videos, was.labels, [first, *was.scores[1:]])
    if capability != "":
        record["circumstances"]["machine"]["capability"] = capability
    record["result"]["weights"] = weights or record["result"]["weights"]
    write_record(place, record, now)
    done = say("test", str(fresh.study), place.name)
    assert said in done.out
    assert done.status == (0 if said.startswith("the same") else 1)
    assert ("no equal bits: instruction set" in done.out) == (done.status == 0)


def test_prepare_recognises_what_is_there(say: Say, study: Lab) -> None:
    done = say("prepare", FAST, f"run.data={study.data}")
    assert (done.status, done.err) == (0, "")
    stores = (study.data / "stores").glob("[!.]*")  # other tests have theirs beside it
    assert any(done.out.splitlines()[-1].endswith(f"videos in {store}") for store in stores)
    assert len(done.out.splitlines()) == 1, "nothing was made"


def test_cancel_where_nothing_runs(say: Say, study: Lab) -> None:
    assert say("cancel", str(study.study)).out == "no workers are running here\n"


@pytest.mark.parametrize("table", ["how", "where", "when", "all"])
def test_report(say: Say, study: Lab, tmp_path: Path, table: str) -> None:
    import shutil

    shutil.copytree(study.home / "runs", tmp_path / "runs")
    folder = tmp_path / "runs" / study.study.name
    shutil.rmtree(folder / "report")
    done = say("report", str(folder), f"table={table}")
    assert (done.status, done.err) == (0, "")
    assert "Late fusion" in done.out and "Conv" in done.out
    names = {"figures", "index.html", "table-short.tex", "table.csv", "table.md", "table.tex"}
    assert {file.name for file in (folder / "report").iterdir()} == names
    assert ("paper" in done.out) == (table != "all")
    assert "\\toprule" in (folder / "report" / "table.tex").read_text(encoding="utf-8")


def test_work_where_everything_is_done(say: Say, study: Lab) -> None:
    assert say("work", str(study.study)) == Done(0, "", "")


def test_train_is_a_sweep_of_one(say: Say, study: Lab) -> None:
    """The streams and the store of the shared study are found again: only the fusion is to do."""
    from fusionlab.planning.grid import plan_study
    from fusionlab.study.ledger import Ledger

    planned = plan_study(["fusion=product", FAST, f"run.root={study.home / 'runs'}"], verb="train")
    found = Ledger(planned.folder, planned.plan).states()
    assert sorted(state.name for state in found.values()) == ["published", "published", "ready", "ready"]
    assert planned.plan.command.startswith("python -m fusionlab.train fusion=product")
