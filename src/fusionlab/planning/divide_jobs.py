"""The division of a study into jobs, and the jobs that each of them needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionlab.planning.axes import Point
from fusionlab.planning.naming import arm_name, axes_of
from fusionlab.records.signature import value
from fusionlab.study.plan import Arm, Job, chosen_from, needing_first
from fusionlab.study.recipes import STREAMS, data_recipe


@dataclass(frozen=True)
class PlannedArm:
    """An arm that has no job yet. `recipe`: what determines its result, which `signature` is of.

    `store`, `cohort`, `streams`: the signatures of the store that it reads, of what its cohort has in common, and of
    the two streams below it, or of itself.
    """

    kind: str  # late, control, fused, or a stream's name
    point: Point
    recipe: dict[str, Any]
    signature: str
    store: str
    streams: Mapping[str, str]
    cohort: str | None = None
    control: str | None = None  # the signature of the arm that it is compared with
    source: str | None = None  # the signature of the stream that it starts from
    also: str | None = None  # the signature of the store of its second data set


def jobs_of(arms: Sequence[PlannedArm], shared: str) -> tuple[list[Job], list[Arm]]:
    """One job for each store, stream and cohort, in an order in which they can run."""
    jobs: dict[str, Job | None] = {}
    planned: list[Arm] = []
    cohorts: dict[str, list[tuple[Arm, PlannedArm]]] = {}
    quarantine: dict[str, set[str]] = {}  # a store packs every video that one of its arms reads
    stores: dict[str, tuple[Mapping[str, Any], Point]] = {}  # its recipe, and the first point that reads it
    for one in arms:
        needs = [f"prepare-{one.store}"]
        read = [(data_recipe(one.point.tree), value(one.point.tree, "data.quarantine"))]
        if one.also is not None:
            needs.append(f"prepare-{one.also}")
            read.append((one.recipe["multitask"], []))
        for store, (recipe, left_out) in zip(needs, read, strict=True):
            jobs.setdefault(store, None)
            stores.setdefault(store, (recipe, one.point))
            quarantine[store] = quarantine.get(store, set(left_out)) & set(left_out)
        axes = axes_of(one.point, one.kind)
        if one.kind in STREAMS:
            if one.source is not None:
                needs.append(f"{one.kind}-{one.source}")
                jobs.setdefault(needs[-1], None)
            name = arm_name({"streams": one.kind, **axes})
            job = f"{one.kind}-{one.signature}"
            arm = Arm(name, "stream", {"streams": one.kind, **axes}, one.signature, one.recipe, job)
            config = {**one.recipe, "run": one.point.tree["run"]}
            needs += [f"{one.kind}-{signature}" for signature in chosen_from(one.recipe)]
            jobs[job] = Job(job, "stream", os.path.join(shared, one.signature), tuple(needs), config, (name,))
        else:
            job = f"cohort-{one.cohort}"
            both = {"streams": "both", **axes}
            arm = Arm(arm_name(axes), one.kind, both, one.signature, one.recipe, job, one.control)
            cohorts.setdefault(job, []).append((arm, one))
        planned.append(arm)
    for store, (packed, point) in stores.items():
        run = {**point.tree["run"], **({"quarantine": sorted(quarantine[store])} if quarantine[store] else {})}
        jobs[store] = Job(store, "prepare", f"jobs/{store}", (), {**packed, "run": run})
    for job, members in cohorts.items():
        streams = tuple(f"{stream}-{members[0][1].streams[stream]}" for stream in STREAMS)
        run = {"run": members[0][1].point.tree["run"]}
        jobs[job] = Job(job, "cohort", f"jobs/{job}", streams, run, tuple(arm.name for arm, _ in members))
    return needing_first([job for job in jobs.values() if job is not None], planned), planned
