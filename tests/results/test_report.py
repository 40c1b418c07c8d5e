"""A folder in, a report out; and the ways in which a folder can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.results.load import load
from fusionlab.results.report import frame, report

FILES = {"table.md", "table.csv", "table.tex", "table-short.tex", "figures", "index.html"}


def test_it_writes_all_and_returns_the_text(study, spec, tmp_path):
    text = report(study, spec, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert text.startswith(spec["caption"])
    assert "Conv" in text
    assert "85.96" in text
    assert "In all rows: temporal" not in text and "further notes: report/index.html (or --notes)" in text
    assert "In all rows: temporal" in report(study, spec, tmp_path / "out", notes=True)


def test_the_same_records_give_the_same_bytes(study, spec, tmp_path):
    report(study, spec, tmp_path / "one")
    moved = tmp_path / "moved" / study.name
    shutil.copytree(study, moved)
    report(moved, spec, tmp_path / "moved" / "one")
    for name in [*FILES - {"index.html", "figures"}, "figures/accuracy.svg"]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "moved" / "one" / name).read_bytes()


def planned(study: Path, fakes, extra=()):
    """A plan over the records of a study: jobs in folders of their own, streams beside the study."""
    jobs, arms = {}, []
    for number, path in enumerate(sorted(study.rglob("run.json"))):
        record = json.loads(path.read_text())
        if record["kind"] == "stream":
            job, folder = f"stream {number}", f"../streams/{number}"
        else:
            job, folder = f"cohort {record['axes']['seed']}", f"jobs/{record['axes']['seed']}"
        jobs[job] = planned_job(job, record["kind"], folder)
        (study / folder / "published").mkdir(parents=True, exist_ok=True)
        shutil.move(path.parent, study / folder / "published" / str(number))
        keys = ("name", "kind", "axes", "signature", "config")
        arms.append({**{key: record[key] for key in keys}, "job": job})
    for name, axes in extra:
        jobs[name] = planned_job(name, "fused", f"jobs/{name}")
        arms.append({"name": name, "kind": "fused", "axes": axes, "signature": "0" * 16, "config": {}, "job": name})
    plan = {"schema": 1, "command": "sweep", "jobs": list(jobs.values()), "arms": arms}
    fakes["write_json"](study / "plan.json", plan)
    return study


def planned_job(name: str, kind: str, folder: str):
    kind = "stream" if kind == "stream" else "cohort"
    return {"id": name, "kind": kind, "folder": folder, "needs": [], "config": {}, "arms": []}


AXES = {"streams": "both", "fusion": "bilinear", "layer": "relu5", "temporal": "pool2d"}


def test_a_plan_says_what_there_was_to_be(study, spec, tmp_path, fakes):
    extra = [("first", {**AXES, "seed": 0}), ("second", {**AXES, "seed": 1})]
    planned(study, fakes, extra)
    text = report(study, spec, tmp_path / "out", unfinished={"first": ("killed (signal 9)", "jobs/first/log.txt")})
    assert "Appearance alone" in text  # whose record lies beside the study
    assert "failed, seed 0: killed (signal 9) (log: jobs/first/log.txt)" in text
    assert "missing, seed 1: no record of it (yet)" in text


def test_a_shared_stream_goes_by_the_plans_name(study, spec, tmp_path, fakes):
    planned(study, fakes)
    plan = json.loads((study / "plan.json").read_text())
    arm = next(arm for arm in plan["arms"] if arm["kind"] == "stream")
    arm["name"] = "as this study calls it"
    (study / "plan.json").write_text(json.dumps(plan))
    assert "as this study calls it" in {entry.name for entry in load(study)}


def test_a_damaged_record_costs_its_own_row_only(study, spec, tmp_path, fakes):
    planned(study, fakes)
    plan = json.loads((study / "plan.json").read_text())
    arm = next(arm for arm in plan["arms"] if arm["axes"].get("fusion") == "conv")
    mine = [path for path in study.rglob("run.json") if arm["signature"] in path.read_text()]
    mine[0].write_text('{"schema": 1')
    text = report(study, spec, tmp_path / "out")
    assert "its record cannot be read" in text
    assert text.count("failed, seed") == 1


def test_a_cohorts_records_go_to_their_own_arms(study, tmp_path, fakes):
    before = {entry.name: entry.record["signature"] for entry in load(study)}
    planned(study, fakes)
    assert {entry.name: entry.record["signature"] for entry in load(study)} == before


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_records_is_one_clear_message(tmp_path, spec, made):
    if made:
        (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no records|no such"):
        report(tmp_path / "empty", spec, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_plan_is_one_clear_message(study, spec, tmp_path):
    (study / "plan.json").write_text('{"schema": 1}')
    with pytest.raises(UserError, match="damaged plan"):
        report(study, spec, tmp_path / "out")


def test_the_frame_has_a_line_per_arm(study):
    lines = frame(load(study))
    assert len(lines) == 12
    conv = lines[lines["fusion"] == "conv"].sort_values("seed")
    assert conv["binding"].tolist() == [0.96, 0.94]
    assert lines[lines["kind"] == "late"]["binding_ceiling"].tolist() == ["1/2", "1/2"]


def test_no_torch_no_hydra_and_no_pandas_for_a_report():
    code = "import sys, fusionlab.results.report as r; print(sorted(sys.modules))"
    source = str(Path(__file__).parents[2] / "src")
    around = {**os.environ, "PYTHONPATH": source}
    out = subprocess.run([sys.executable, "-c", code], env=around, capture_output=True, text=True, check=True).stdout
    assert "'fusionlab.results.report'" in out
    for heavy in ("torch", "hydra", "omegaconf", "pandas", "scipy", "matplotlib"):
        assert f"'{heavy}'" not in out


def test_figures_of_an_older_report_do_not_stay(study, spec, tmp_path):
    out = tmp_path / "out"
    report(study, spec, out, pdf=True)
    made = {file.stem for file in (out / "figures").glob("*.svg")}
    assert made == {file.stem for file in (out / "figures").glob("*.pdf")}
    assert "figures/accuracy.pdf" in (out / "index.html").read_text("utf-8")
    for name in ("figures/gone.svg", "figures/gone.pdf", "plot.svg", "figures/mine.png"):
        (out / name).write_text("x")
    report(study, spec, out)
    assert {file.name for file in (out / "figures").iterdir()} == {"mine.png", *(f"{name}.svg" for name in made)}
    assert not (out / "plot.svg").exists() and ".pdf" not in (out / "index.html").read_text("utf-8")
