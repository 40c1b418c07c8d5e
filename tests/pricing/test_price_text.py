"""What `plan` prints, against the numbers of its JSON; and what both say of hard cases."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from pricing_fakes import Plan, publish

from fusionlab.planning.grid import PlannedStudy
from fusionlab.planning.price_plan import price_of
from fusionlab.preparation.disk_space import size
from fusionlab.pricing.price_json import price_json
from fusionlab.pricing.price_text import MOST_ARMS, duration, price_text
from fusionlab.pricing.study_price import Pricing, StudyPrice
from fusionlab.records.files import to_json
from fusionlab.sizes.sizing import Sizes
from fusionlab.study.plan import Arm


def priced(study: PlannedStudy) -> StudyPrice:
    return Pricing(study.plan, study.folder, study.run, workers=2).price()


def both(study: PlannedStudy, **how: bool) -> tuple[str, dict[str, Any]]:
    price = priced(study)
    return price_text(price, **how), json.loads(to_json(price_json(price)))


def table(text: str) -> dict[str, list[str]]:
    """Stage -> the cells of its row."""
    lines = text.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("stage "))
    rows = [re.split(r"\s{2,}", line) for line in lines[start + 1 : start + 4]]
    return {row[0]: row[1:] for row in rows}


def seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * 3600


@pytest.mark.parametrize("known", [False, True])
def test_text_and_json_have_the_same_numbers(plan: Plan, known: bool) -> None:
    study = plan("fusion=sum,conv", "layer=relu3,relu5", "seed=0,1")
    if known:
        first = plan("fusion=sum")
        for job in first.plan.jobs:
            if job.kind != "prepare":
                publish(first, job, 10)
    text, numbers = both(study)
    rows = table(text)
    assert list(rows) == list(numbers["stages"]) == ["prepare", "streams", "fusion"]
    for name, stage in numbers["stages"].items():
        jobs, to_run, time, wall, memory, macs, disk = rows[name]
        assert (int(jobs), int(to_run)) == (stage["jobs"], stage["to_run"])
        assert (time, wall) == tuple(duration(seconds(stage[key])) for key in ("hours", "hours_on_this_machine"))
        assert memory.split(" … ")[-1] == ("–" if stage["memory"] is None else size(stage["memory"]))
        assert macs == ("–" if stage["macs"] is None else f"{stage['macs']:.1e}")
        assert disk == size(stage["disk"])
    assert (numbers["stages"]["fusion"]["hours"] is not None) is known
    of_jobs = [job for job in numbers["jobs"] if job["kind"] == "cohort"]
    assert numbers["stages"]["fusion"]["macs"] == sum(job["macs"] for job in of_jobs)
    assert f"arms   {len(numbers['arms'])}: " in text and f"jobs   {len(numbers['jobs'])}: " in text
    for arm in numbers["arms"]:
        assert f"{arm['signature']}  {arm['state']:<7} {arm['kind']:<7}  {arm['name']}" in text
    sharing = numbers["sharing"]
    for way in ("this_plan", "cell_by_cell"):
        assert f"{sharing[way]['macs']:.1e}" in text
        assert known == (sharing[way]["hours"] is not None)
        assert not known or duration(seconds(sharing[way]["hours"])) in text
    assert sum(one["arms"] for one in numbers["sizes"]) == len(numbers["arms"])


def test_half_a_stage_that_is_unknown_is_unknown(plan: Plan) -> None:
    first = plan("fusion=sum")
    stream = next(job for job in first.plan.jobs if job.kind == "stream")
    publish(first, stream, 10)
    _, numbers = both(plan("fusion=sum", "seed=3"))
    assert numbers["stages"]["streams"]["hours"] is None
    assert sum(job["hours"] is not None for job in numbers["jobs"]) == 1


def test_lines_fit_into_a_terminal(plan: Plan) -> None:
    for words in (["data=ucf101", "fusion=conv,sum", "layer=relu5"], ["fusion=sum,conv", "seed=0,1"]):
        text, _ = both(plan(*words))
        assert max(map(len, text.splitlines()[1:])) <= 120


def test_what_to_know_before_disks_are_bought(plan: Plan) -> None:
    text, numbers = both(plan("data=ucf101", "fusion=conv,sum", "layer=relu5"))
    for part in (
        "video files of ucf101: 6.5 GiB",
        "packed store: about 103.8 GiB (1010.3 GiB as raw pictures)",
        "unknown: no record of these towers on this machine class; add calibrate=true",
        "unknown: no store with this flow was packed here yet; add calibrate=true",
    ):
        assert part in text
    assert numbers["disk"]["video_files"] == {"ucf101": 6_960_000_000}
    raw, _ = both(plan("data=ucf101", "fusion=sum", "data.store.codec.frames=raw", "data.store.codec.flow=raw"))
    assert "packed store: 1010.3 GiB (about 103.8 GiB by data.store.codec.frames=jpeg data.store.codec.flow=lz4)" in raw


@pytest.mark.parametrize("one_disk", [True, False])
def test_too_little_space_is_said(plan: Plan, one_disk: bool) -> None:
    """On one disk, what data and results need is compared together: each alone may fit."""
    price = replace(priced(plan("data=ucf101", "fusion=sum")), one_disk=one_disk)
    data = sum(price.archives.values()) + sum(job.store.bytes for job in price.of_kind("prepare") if job.store)
    free = data + 2**20
    text = price_text(replace(price, data_free=free, root_free=free))
    assert (f"of {size(free)} free: " in text) == one_disk and text.count(" too little") == one_disk
    assert (f"below run.data and run.root, {size(free)} are free" in text) == one_disk
    text = price_text(replace(price, data_free=2**30, root_free=2**40))
    assert (f"of 1.0 GiB free: {size(data - 2**30)} too little" in text) != one_disk
    assert (f"needs {size(data)} below run.data, 1.0 GiB are free" in text.splitlines()[:6]) != one_disk
    assert "needs " not in price_text(replace(price, data_free=None, root_free=None))


def test_refused_cells_are_grouped_by_reason(plan: Plan) -> None:
    text, numbers = both(plan("fusion=conv,sum", "layer=relu5,fc6,fc7", "temporal=pool2d,pool3d"))
    (group,) = numbers["refused"]
    assert group["cells"] == 4 == numbers["states"]["arms"]["refused"]
    assert f"4 cells refused: {group['reason']}" in text and "layer=fc6,fc7 temporal=pool3d" in text
    assert ", 4 refused" in text


def test_many_arms_are_listed_on_request(plan: Plan) -> None:
    study = plan("fusion=sum,conv,max,cat,product", "layer=relu2,relu3,relu4,relu5", "above=appearance,motion")
    count = len(study.plan.arms)
    assert count > MOST_ARMS
    price = priced(study)
    short, long = price_text(price), price_text(price, arms=True)
    assert short.endswith(f"{count} arms: --arms lists them")
    assert len(long.splitlines()) - len(short.splitlines()) == count


def test_a_part_that_cannot_be_measured_is_unknown_and_no_error(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's part may look into its numbers, which have no values before weights are allocated."""

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no numbers\nhere")

    monkeypatch.setattr("fusionlab.sizes.sizing.measure", fails)
    study = plan("fusion=sum")
    text, numbers = both(study)
    names = {arm.kind: arm.name for arm in reversed(study.plan.arms)}
    why = "unknown: an arm cannot be measured on shapes alone (RuntimeError: no numbers here)"
    assert f"{why}: {names['stream']}" in text and f"{why}: {names['late']}" in text
    assert numbers["sharing"] is None and numbers["sizes"] == []
    for stage in ("streams", "fusion"):
        *_, memory, macs, space = table(text)[stage]
        assert (memory, macs, space) == ("unknown", "–", "unknown")
        assert numbers["stages"][stage]["disk"] is numbers["stages"][stage]["memory"] is None
    assert "weights and predictions: 0 B, and those of 3 jobs unknown" in text


def test_one_job_that_is_unknown_leaves_the_others_known(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Sizes._measure

    def measure(self: Sizes, arm: Arm) -> Any:
        return 1 / 0 if arm.kind == "fused" and arm.config["optim"]["fusion"]["batch_size"] == 4 else own(self, arm)

    monkeypatch.setattr(Sizes, "_measure", measure)
    text, numbers = both(plan("fusion=sum", "optim.fusion.batch_size=4,8"))
    late, first, second = (job for job in numbers["jobs"] if job["kind"] == "cohort")
    assert (first["memory"], first["weights"], first["checkpoint"]) == (None, None, None)
    *_, memory, _, space = table(text)["fusion"]
    least, most = sorted((late["memory"], second["memory"]))
    assert (memory, space) == (f"{size(least)} … {size(most)}, 1 unknown", "unknown")
    assert ", and those of 1 job unknown" in text


def test_jobs_that_do_not_fit_are_said(plan: Plan) -> None:
    study = plan("fusion=sum,conv", "run.memory=0.1")
    price = price_of(study)
    assert price.too_large is not None and price.too_large.startswith("3 jobs need ")
    assert price.too_large in price_text(price).splitlines()
    assert price_json(price)["machine"]["too_large"] == price.too_large
    assert price_of(plan("fusion=sum,conv", "run.memory=100")).too_large is None


@pytest.mark.parametrize("keep", ["best", "last", "none"])
def test_the_disk_by_what_is_kept(plan: Plan, keep: str) -> None:
    """Weights of fused arms, checkpoints that stay, and checkpoints while two jobs run."""
    price = priced(plan("fusion=sum,conv", "run.checkpoint_every=1", f"run.keep={keep}"))
    usual = priced(plan("fusion=sum,conv", "run.checkpoint_every=1"))
    (fused,), (whole,) = price.of_kind("cohort"), usual.of_kind("cohort")
    assert [job.weights for job in price.of_kind("stream")] == [job.weights for job in usual.of_kind("stream")]
    weights = sum(4 * one.trained_parameters for one in usual.sizes.values() if one.kind == "fused")
    assert whole.weights is not None and fused.weights is not None
    assert (whole.weights - fused.weights >= weights) is (keep == "none") and fused.weights <= whole.weights
    jobs = [job for job in price.jobs if job.kind != "prepare"]
    checkpoints = [job.checkpoint or 0 for job in jobs]
    assert min(checkpoints) > 0 and checkpoints == [job.checkpoint for job in usual.jobs if job.kind != "prepare"]
    stay = sum(checkpoints) if keep == "last" else 0
    assert sum(job.disk or 0 for job in jobs) == sum(job.weights or 0 for job in jobs) + stay
    text, numbers = price_text(price), price_json(price)
    running = (1 if keep == "last" else 2) * sum(sorted(checkpoints)[-2:])
    assert (numbers["disk"]["keep"], numbers["disk"]["checkpoints_running"]) == (keep, running)
    assert {job["checkpoint_stays"] for job in numbers["jobs"] if job["kind"] != "prepare"} == {keep == "last"}
    ends = f"{size(stay)} stay" if stay else "none stay when their jobs are done"
    assert f"checkpoints: {size(running)} while they are written; {ends}" in text and f"(run.keep={keep})" in text


@pytest.mark.parametrize(("every", "writes"), [("0", False), ("30s", True), ("1h", False), ("1", True)])
def test_a_job_that_takes_less_than_the_interval_writes_no_checkpoint(plan: Plan, every: str, writes: bool) -> None:
    study = plan("fusion=sum", f"run.checkpoint_every={every}")
    (cohort,) = priced(study).of_kind("cohort")
    assert bool(cohort.checkpoint) is (every != "0"), "an unknown time may be long"
    for job in study.plan.jobs:
        if job.kind != "prepare":
            publish(study, job, 10)
    (cohort,) = priced(plan("fusion=sum", f"run.checkpoint_every={every}", "seed=1")).of_kind("cohort")
    assert cohort.whole is not None and 30 < cohort.whole < 3600
    assert bool(cohort.checkpoint) is writes
