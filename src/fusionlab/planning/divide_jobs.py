"""The division of work: which jobs the arms of a study come from, and what each needs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fusionlab.planning.naming import arm_name, shown
from fusionlab.planning.point import Point
from fusionlab.records.signature import signature, value
from fusionlab.study.plan import Arm, Job
from fusionlab.study.recipes import STREAMS, arm_recipe, cohort_recipe, data_recipe, stream_recipe


def jobs_of(arms: Sequence[tuple[str, Point]], shared: str) -> tuple[list[Job], list[Arm]]:
    """One job a store, one a stream, one a cohort; in the order in which they can run."""
    jobs: dict[str, Job] = {}
    planned: list[Arm] = []
    cohorts: dict[str, list[tuple[Arm, Point]]] = {}
    for kind, point in arms:
        run = {"run": point.config["run"]}
        store = f"prepare-{signature(data_recipe(point.config))}"
        jobs[store] = _prepare(store, point, jobs.get(store))
        streams = {}
        for stream in STREAMS:
            recipe = stream_recipe(point.config, stream)
            streams[stream] = f"{stream}-{signature(recipe)}"
        if kind in STREAMS:
            recipe = stream_recipe(point.config, kind)
            arm = Arm(
                arm_name({"streams": kind, **shown(point, kind)}), "stream",
                {"streams": kind, **shown(point, kind)}, signature(recipe), recipe, streams[kind],
            )  # fmt: skip
            folder = os.path.join(shared, signature(recipe))
            jobs[streams[kind]] = Job(streams[kind], "stream", folder, (store,), {**recipe, **run}, (arm.name,))
            planned.append(arm)
            continue
        axes = {"streams": "both", **shown(point, kind)}
        recipe = arm_recipe(point.config)
        job = f"cohort-{signature(cohort_recipe(point.config))}"
        arm = Arm(
            arm_name({a: v for a, v in axes.items() if a != "streams"}),
            kind,
            axes,
            signature(recipe),
            recipe,
            job,
        )
        cohorts.setdefault(job, []).append((arm, point))
        planned.append(arm)
    for job, members in cohorts.items():
        config = members[0][1].config
        needs = tuple(f"{stream}-{signature(stream_recipe(config, stream))}" for stream in STREAMS)
        content = {"arms": [arm.config for arm, _ in members], "run": config["run"]}
        jobs[job] = Job(job, "cohort", f"jobs/{job}", needs, content, tuple(arm.name for arm, _ in members))
    return list(jobs.values()), planned


def _prepare(store: str, point: Point, before: Job | None) -> Job:
    """The job of a store. It leaves out what all of its arms leave out; who leaves out more does so when it reads."""
    left_out = set(value(point.config, "data.quarantine"))
    if before is not None:
        left_out &= set(before.config["run"].get("quarantine", ()))
    run = {**point.config["run"], **({"quarantine": sorted(left_out)} if left_out else {})}
    return Job(store, "prepare", f"jobs/{store}", (), {**data_recipe(point.config), "run": run})
