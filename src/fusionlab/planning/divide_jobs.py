"""The division of a study into jobs, and the jobs that each of them needs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fusionlab.config.run_config import RunConfig
from fusionlab.planning.axes import Point
from fusionlab.planning.naming import arm_name, axes_of
from fusionlab.records.signature import signature
from fusionlab.study.plan import Arm, Job
from fusionlab.study.recipes import STREAMS, arm_recipe, cohort_recipe, data_recipe, stream_recipe


def jobs_of(arms: Sequence[tuple[str, Point]], shared: str) -> tuple[list[Job], list[Arm]]:
    """One job for each store, stream and cohort, in an order in which they can run."""
    jobs: dict[str, Job] = {}
    planned: list[Arm] = []
    cohorts: dict[str, list[tuple[Arm, Point]]] = {}
    for kind, point in arms:
        run = {"run": point.tree["run"]}
        store = f"prepare-{signature(data_recipe(point.tree))}"
        jobs[store] = _prepare(store, point, jobs.get(store))
        streams = {}
        for stream in STREAMS:
            recipe = stream_recipe(point.tree, stream)
            streams[stream] = f"{stream}-{signature(recipe)}"
        if kind in STREAMS:
            recipe = stream_recipe(point.tree, kind)
            axes = {"streams": kind, **axes_of(point, kind)}
            arm = Arm(arm_name(axes), "stream", axes, signature(recipe), recipe, streams[kind])
            folder = os.path.join(shared, signature(recipe))
            jobs[streams[kind]] = Job(streams[kind], "stream", folder, (store,), {**recipe, **run}, (arm.name,))
            planned.append(arm)
            continue
        axes = {"streams": "both", **axes_of(point, kind)}
        recipe = arm_recipe(point.tree)
        job = f"cohort-{signature(cohort_recipe(point.tree))}"
        name = arm_name({axis: one for axis, one in axes.items() if axis != "streams"})
        arm = Arm(name, kind, axes, signature(recipe), recipe, job)
        cohorts.setdefault(job, []).append((arm, point))
        planned.append(arm)
    for job, members in cohorts.items():
        tree = members[0][1].tree
        needs = tuple(f"{stream}-{signature(stream_recipe(tree, stream))}" for stream in STREAMS)
        content = {"arms": [arm.config for arm, _ in members], "run": tree["run"]}
        jobs[job] = Job(job, "cohort", f"jobs/{job}", needs, content, tuple(arm.name for arm, _ in members))
    return list(jobs.values()), planned


def _prepare(store: str, point: Point, before: Job | None) -> Job:
    """The job of a store: it packs every video that one of its arms reads.

    Each arm reads no video of its own quarantine.
    """
    quarantine = set(point.config.data.quarantine)
    if before is not None:
        quarantine &= set(RunConfig.of(before.config).quarantine)
    run = {**point.tree["run"], **({"quarantine": sorted(quarantine)} if quarantine else {})}
    return Job(store, "prepare", f"jobs/{store}", (), {**data_recipe(point.tree), "run": run})
