"""The price of a plan, as it is typed: without data, as JSON, calibrated, and after a real sweep."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from terminal import FAST, Done, Lab

from fusionlab.backbones.pretrained import imagenet
from fusionlab.pricing import disk_sizes
from fusionlab.study.launchers.local import Local

Say = Callable[..., Done]


def numbers(done: Done) -> dict[str, Any]:
    assert done.status == 0, done.err
    return json.loads(done.out)


def test_a_price_needs_no_data_and_writes_nothing(say: Say, tmp_path: Path) -> None:
    for words in (["data=ucf101", "backbone=vgg_m"], ["data=folder", "data.dataset.classes=3"], [FAST]):
        done = say("plan", "fusion=sum", *words)
        assert (done.status, done.err) == (0, "")
        assert done.out.startswith("study  runs/") and "unknown" in done.out
    assert not list(tmp_path.iterdir())


PUT = "imagenet-vgg-m-2048.mat, put it into {}/weights, then weights=imagenet weights.head=fresh"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["weights=gone.pt"], "no such weight file (weights=gone.pt); put it at '{}/weights/gone.pt'"),
        (["weights=imagenet"], "no ImageNet weights of Tiny exist (weights=imagenet)"),
        (["data=ucf101", "backbone=vgg_m", "weights=imagenet", "weights.head=fresh"], PUT),
        (["data=ucf101", "backbone=vgg16", "weights=imagenet", "weights.head=fresh"], None),  # a sweep downloads them
    ],
)
def test_weights_that_are_missing_are_said_once(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str | None
) -> None:
    monkeypatch.setattr(imagenet, "_download", lambda *_: pytest.fail("a plan downloads nothing"))
    done = say("plan", "fusion=sum", "layer=relu5_3" if "backbone=vgg16" in words else "layer=relu5", *words)
    assert (done.status, done.err) == (0, "")
    lines = [line for line in done.out.splitlines() if "ImageNet" in line or "weight file" in line]
    assert len(lines) == (told is not None) and (told or "").format(tmp_path) in "".join(lines)


def test_a_disk_that_is_too_small_is_said_by_plan_and_sweep(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code of plan stays; a sweep says it before its workers start, and goes on."""
    monkeypatch.setattr(disk_sizes, "free_bytes", lambda _: 12 << 20)
    done = say("plan", "fusion=sum", FAST)
    assert done.status == 0 and " below run.data and run.root, 12.0 MiB are free" in done.out
    monkeypatch.setattr(Local, "start", lambda *_, **__: None)
    done = say("sweep", "fusion=sum", FAST)
    assert " below run.data and run.root, 12.0 MiB are free: a disk is too small" in done.err
    monkeypatch.setattr(disk_sizes, "free_bytes", lambda _: 12 << 30)
    assert "12.0 GiB are free" not in say("plan", "fusion=sum", FAST).out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_study_for_a_gpu_is_planned_where_there_is_none(say: Say) -> None:
    found = numbers(say("plan", "fusion=sum", FAST, "run.device=cuda:3", "--json"))
    assert found["machine"]["device"] == "cuda:3" and found["stages"]["fusion"]["hours"] is None
    assert all(job["memory"] < 2**30 for job in found["jobs"] if job["memory"]), "of the tensors alone"


def test_json_is_one_object(say: Say) -> None:
    found = numbers(say("plan", "fusion=sum,conv", FAST, "--json"))
    assert set(found) == {
        "study", "signature", "machine", "states", "stages", "disk", "sharing", "sizes", "equal", "missing", "refused",
        "untested",
        "stale", "damaged", "jobs", "arms",
    }  # fmt: skip
    assert found["states"] == {"arms": {"to run": 6}, "jobs": {"to run": 4}}


@pytest.mark.parametrize("word", ["calibrate=maybe", "calibrate=", "calibrate=1", "calibrate"])
def test_calibrate_is_true_or_false(say: Say, tmp_path: Path, word: str) -> None:
    done = say("plan", "fusion=sum", FAST, word)
    assert done.status == 2 and "calibrate" in done.err
    assert not list(tmp_path.iterdir())


def test_calibrate_is_no_option_of_a_sweep(say: Say) -> None:
    assert "only plan measures" in say("sweep", "fusion=sum", FAST, "calibrate=true").err


def test_calibrate_false_is_no_calibration(say: Say, tmp_path: Path) -> None:
    assert say("plan", "fusion=sum", FAST, "calibrate=false").status == 0
    assert not list(tmp_path.iterdir())


def test_damaged_records_and_a_foreign_root_do_not_stop_a_plan(say: Say, tmp_path: Path) -> None:
    place = tmp_path / "runs" / "streams" / "x" / "published" / "arm"
    place.mkdir(parents=True)
    for text in ("{", '{"circumstances": {"seconds": 1e309}}', "[1]"):
        (place / "run.json").write_text(text)
        assert numbers(say("plan", "fusion=sum", FAST, "--json"))["stages"]["streams"]["hours"] is None


LOOKS = """
from fusionlab.fusion.fusion import Fusion

class Looks(Fusion):
    def forward(self, x_a, x_b):
        return x_a if float(x_a.sum()) > 1e30 else x_a + x_b
"""


def test_a_part_that_looks_at_its_numbers_is_planned_without_a_price(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has none before weights are allocated; a sweep could still train it."""
    (tmp_path / "conf" / "fusion").mkdir(parents=True)
    (tmp_path / "conf" / "fusion" / "looks.yaml").write_text("_target_: looking.Looks\n_partial_: true\n")
    (tmp_path / "looking.py").write_text(LOOKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = numbers(say("plan", "fusion=looks", FAST, "--json"))
    (job,) = [job for job in found["jobs"] if job["kind"] == "cohort"]
    assert job["from"].startswith("unknown: an arm cannot be measured on shapes alone (RuntimeError: ")
    assert job["memory"] is None and found["stages"]["streams"]["memory"] > 0


@pytest.mark.slow
def test_after_a_sweep_another_grid_is_priced_within_a_factor(study: Lab, tmp_path: Path) -> None:
    """Jobs of the first sweep give the price of a second grid above the same towers; then it runs."""
    lab = Lab(tmp_path, study.data)
    first = lab.run("sweep", "fusion=sum", "layer=relu5", FAST)
    assert first.status == 0, first.err
    words = ("fusion=conv,cat,max", "layer=relu3,relu5", "seed=0,1", FAST)
    planned = numbers(lab.run("plan", *words, "--json"))
    for stage in ("streams", "fusion"):
        assert planned["stages"][stage]["hours"] > 0
    done = lab.run("sweep", *words)
    assert done.status == 0, done.err
    (line,) = [line for line in done.out.splitlines() if line.startswith("planned ")]
    ratios = [float(ratio) for ratio in re.findall(r"\(× ([\d.]+)\)", line)]
    assert len(ratios) == 2 and all(ratio > 0 for ratio in ratios), line  # how wrong they are depends on the machine
    again = numbers(lab.run("plan", *words, "--json"))
    assert again["states"]["arms"] == {"done": len(again["arms"])}
    assert again["stages"]["fusion"]["hours"] == 0


@pytest.mark.slow
def test_a_calibration_prices_what_has_never_run(study: Lab, tmp_path: Path) -> None:
    """Without a record; the report then says how wrong the prices were."""
    lab = Lab(tmp_path, study.data)
    words = ("fusion=sum", "layer=relu5", FAST)
    done = lab.run("plan", *words, "calibrate=true", "--json")
    assert "calibrating 1 of 3: " in done.err
    planned = numbers(done)
    assert all(planned["stages"][stage]["hours"] is not None for stage in ("prepare", "streams", "fusion"))
    assert {job["from"][:10] for job in planned["jobs"] if job["kind"] != "prepare"} == {"calibrated"}
    assert all(job["hours"] > 0 for job in planned["jobs"] if job["kind"] == "stream")
    swept = lab.run("sweep", *words)
    assert swept.status == 0 and "\nplanned " in swept.out
