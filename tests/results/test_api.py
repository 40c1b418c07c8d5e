"""The public surface: what a notebook uses."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from result_fakes import fill

import fusionlab
from fusionlab.api import option
from fusionlab.errors import UserError
from fusionlab.records.predictions import FILE
from fusionlab.results.load import load as load_entries
from fusionlab.study.plan import Refused

LAZY = """
import sys
import fusionlab
assert {"Study", "load", "functional"} <= set(dir(fusionlab))
print(*sorted(name for name in sys.modules if name.startswith("fusionlab")))
"""


def test_importing_loads_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["fusionlab"]
    with pytest.raises(AttributeError, match="sweeep"):
        _ = fusionlab.sweeep


def test_a_loaded_study_is_a_table_and_a_picture(study: Path) -> None:
    loaded = fusionlab.load(study)
    assert len(loaded.arms) == 12
    assert set(loaded.arms.columns) >= {"name", "fusion", "accuracy", "binding", "signature"}
    table = loaded.table("how")
    assert "Conv" in str(table) and table._repr_markdown_().count("\n|") > 6
    assert loaded.plot()._repr_svg_().startswith("<svg")
    assert loaded.plot("confusion").alt.startswith("Conv") or loaded.plot("confusion").alt
    with pytest.raises(UserError, match="unknown figure"):
        loaded.plot("how")


def test_a_comparison_is_the_mean_of_paired_differences(study: Path) -> None:
    loaded = fusionlab.load(study)
    found = loaded.compare("conv", "late")["binding"]
    entries = {entry.name: entry for entry in load_entries(study)}

    def share(fusion: str, seed: int) -> float:
        (entry,) = (e for e in entries.values() if e.axes.get("fusion") == fusion and e.axes["seed"] == seed)
        answers = entry.answers.right[[kind == "binding" for kind in entry.answers.of.kinds]].tolist()
        return sum(answers) / len(answers)

    by_hand = [share("conv", seed) - share("late", seed) for seed in (0, 1)]
    assert found.mean == pytest.approx(sum(by_hand) / 2)
    assert found.per_seed == pytest.approx(by_hand)
    assert found.networks.low < found.mean < found.networks.high and found.method is None
    back = loaded.compare("fusion=late", "fusion=conv,layer=relu5")["binding"]
    assert back.mean == pytest.approx(-found.mean)


def test_rows_are_those_of_the_table_with_their_gains(tmp_path: Path) -> None:
    named = {"row": {"fusion": "conv"}, "against": "control", "kind": "better", "margin": 1, "question": "binding"}
    loaded = fusionlab.load(fill(tmp_path, seeds=(0, 1, 2), control=True, claim=named))
    rows = loaded.rows().set_index("method")
    assert [*rows.index] == [row.method for row in loaded.table().rows]
    found = loaded.compare("conv", "control")["binding"]
    assert rows.loc["Conv", "binding_gain"] == pytest.approx(100 * found.mean, abs=1e-4)
    assert rows.loc["Conv", "binding_gain_low"] == pytest.approx(100 * found.method.low, abs=1e-4)
    late = loaded.compare("conv", "late")["binding"]
    assert rows.loc["Conv", "binding_late"] == pytest.approx(100 * late.mean, abs=1e-4)
    assert loaded.claim.startswith("Claim, named before the run: Conv is better than its control by more than 1 point")


def test_without_a_claim_there_is_none(study: Path) -> None:
    assert fusionlab.load(study).claim is None


def test_a_method_that_is_not_there_is_answered(study: Path) -> None:
    loaded = fusionlab.load(study)
    with pytest.raises(UserError, match="convolution") as refused:
        loaded.compare("convolution", "late")
    assert "conv" in str(refused.value)
    with pytest.raises(UserError, match="no such study folder"):
        fusionlab.load(study / "nowhere")
    for file in study.rglob(FILE):
        file.unlink()
    counted = fusionlab.load(study).compare("conv", "late")["binding"]
    assert counted.networks is None and counted.why.startswith("there are no predictions")
    assert counted.per_seed == pytest.approx((0.46, 0.46))


def test_options_are_written_as_they_are_typed() -> None:
    assert option("exclude", [{"fusion": "sum", "layer": "fc8"}]) == "exclude=[{fusion:sum,layer:fc8}]"
    assert option("run.folder", "runs/a b") == 'run.folder="runs/a b"'
    assert option("layer", ["relu3+relu5", "layer3:relu5"]) == "layer=relu3+relu5,layer3:relu5"
    assert option("run.folder", "null") == 'run.folder="null"'
    assert option("keep_motion", True) == "keep_motion=true"
    assert option("data.quarantine", ()) == "data.quarantine=[]"


def test_a_plan_writes_nothing_and_says_what_it_would_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    planned = fusionlab.Study.plan(fusion=["conv", "sum"], layer="relu5", **{"optim.fusion.lr": 1e-3})
    assert list(planned.arms["status"].unique()) == ["planned"]
    assert set(planned.arms["fusion"].dropna()) == {"late", "control", "conv", "sum"}
    assert not list(tmp_path.iterdir())
    cell = Refused("x", "fused", {"fusion": "max"}, "no map")
    plan = replace(planned._planned.plan, refused=(cell,))
    arms = fusionlab.Study(planned.folder, replace(planned._planned, plan=plan)).arms
    assert list(arms.iloc[-1][["name", "kind", "status", "fusion", "reason"]]) == [
        "x",
        "fused",
        "refused",
        "max",
        "no map",
    ]
    assert len(arms) == len(planned.arms) + 1
    with pytest.raises(UserError, match="fusion"):
        fusionlab.Study.plan(fusion="convv")
