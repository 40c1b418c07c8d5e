"""The price of a plan as text: states, a table by stage, disk, sharing, refused cells; then jobs and arms."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from fusionlab.errors import one_line
from fusionlab.monitor.time_left import duration as duration
from fusionlab.preparation.disk_space import size
from fusionlab.pricing.arm_states import TO_RUN
from fusionlab.pricing.disk_need import Need, needs, too_small
from fusionlab.pricing.disk_sizes import StoreSize
from fusionlab.pricing.store_time import NO_FRAMES
from fusionlab.pricing.study_price import JobPrice, StudyPrice, left_seconds, running_checkpoints, wall_seconds
from fusionlab.records.plan_file import KEEP, PUBLISHED, RETRAIN, THEN, Refused
from fusionlab.study.plan import STAGES, Plan

MOST_ARMS = 40  # that are listed without --arms
LARGE = 4 << 30  # bytes of a store from which on a smaller one is named
SHOWN = 3  # names in a group
CHAINS = {KEEP: "chooses, on a part of the training list", RETRAIN: "trained anew on all of it, at most"}
HEADS = ("stage", "jobs", "to run", "time", "on this machine", "memory a job", "multiply-adds", "disk")


def price_text(price: StudyPrice, arms: bool = False) -> str:
    """`arms`: list every arm, however many there are."""
    plan, states = price.plan, price.states
    parts = [
        [
            f"study  {price.folder}",
            f"here   {price.machine}; {price.workers} job{'s' * (price.workers > 1)} at a time{_bound(price)}",
            f"arms   {len(plan.arms)}: {_counts(price.arm_counts)}",
            f"jobs   {len(plan.jobs)}: {_counts(states.job_counts)}",
            *([f"tests  {' '.join(price.asked.words)}: of each net, without training again"] if price.asked else []),
            *_untested(price),
            *([price.too_large] if price.too_large else []),
            *too_small(price),
            *price.missing,
        ],
        [*_table([HEADS, *_stages(price)]), *_sources(price)],
        _lengths(price),
        _chains(price),
        _sizes(price),
        _disk(price),
        _sharing(price),
        _again(price, "failed", price.states.damaged),
        _again(price, "stale", price.states.stale),
        _refused(plan),
        [repeated(price.equal)] if price.equal else [],
        _jobs(price) if len(plan.jobs) <= MOST_ARMS or arms else [],
        _arms(price) if len(plan.arms) <= MOST_ARMS or arms else [f"{len(plan.arms)} arms: --arms lists them"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _untested(price: StudyPrice) -> list[str]:
    """What the sweep adds to arms that are done."""
    if (one := price.untested) is None:
        return []
    work = f"{'unknown' if one.macs is None else f'{one.macs:.1e}'} multiply-adds, {duration(one.seconds)}"
    return [f"       missing of {one.arms} arms that are done: {one.tests} tests, {work}"]


def _bound(price: StudyPrice) -> str:
    return "" if price.bound is None else f", with {size(price.bound)} for each"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"


def _stages(price: StudyPrice) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for kind, title in STAGES.items():
        jobs = price.of_kind(kind)
        if not jobs:
            continue
        left = [job for job in jobs if job.state in TO_RUN]
        works = [job.work for job in jobs if job.work is not None]
        rows.append((
            title, str(len(jobs)), str(len(left)), duration(left_seconds(jobs)),
            duration(wall_seconds(jobs, price.workers)), _memory(jobs),
            f"{sum(work.macs for work in works):.1e}" if works else "–", _stage_disk(jobs),
        ))  # fmt: skip
    return rows


def _memory(jobs: Sequence[JobPrice]) -> str:
    """The least and the most of a job."""
    if jobs[0].kind == "prepare":
        return "–"
    known = [job.memory for job in jobs if job.memory is not None]
    if not known:
        return "unknown"
    least, most = size(min(known)), size(max(known))
    text = most if least == most else f"{least} … {most}"
    return text if len(known) == len(jobs) else f"{text}, {len(jobs) - len(known)} unknown"


def _stage_disk(jobs: Sequence[JobPrice]) -> str:
    if jobs[0].kind != "prepare":
        known = [job.disk for job in jobs if job.disk is not None]
        return size(sum(known)) if len(known) == len(jobs) else "unknown"
    stores = [job.store for job in jobs if job.store is not None]
    if len(stores) < len(jobs):
        return "unknown"
    about = "about " * any(store.about for store in stores)
    return about + size(sum(store.bytes for store in stores))


def _sources(price: StudyPrice) -> list[str]:
    """Where the times come from, for each stage that has some left."""
    lines = []
    for kind, title in STAGES.items():
        groups: dict[str, int] = {}
        for job in price.of_kind(kind):
            if job.state in TO_RUN:
                groups[job.source] = groups.get(job.source, 0) + 1
        for source, count in groups.items():
            of = f"{title}" if len(groups) == 1 else f"{title}, {count} jobs"
            lines.append(f"  {of}: {source}")
    return lines


def _chains(price: StudyPrice) -> list[str]:
    """What the chain that chooses costs, and the one that is trained anew on the whole list."""
    rows: list[Sequence[str]] = []
    for then, text in CHAINS.items():
        jobs = [job for job in price.jobs if _then(price.plan, job.id) == then]
        works = [job.work for job in jobs if job.work is not None]
        macs = f"{sum(work.macs for work in works):.1e}" if works else "–"
        rows.append((then, text, str(len(jobs)), duration(left_seconds(jobs)), macs))
    return _table([(THEN, "", "jobs", "time", "multiply-adds"), *rows]) if any(row[2] != "0" for row in rows) else []


def _then(plan: Plan, job: str) -> object:
    arms = plan.job(job).arms
    return plan.arm(arms[0]).axes.get(THEN) if arms else None


def _lengths(price: StudyPrice) -> list[str]:
    """The steps of the trainings, by stage."""
    rows = dict.fromkeys(
        (STAGES[job.kind], f"{job.work.batch:,}", f"{job.work.epoch:,}", f"{job.work.steps:,}")
        for job in price.jobs
        if job.work is not None and job.work.epoch
    )
    return _table([("training", "clips a step", "steps an epoch", "steps, at most"), *rows]) if rows else []


def _sizes(price: StudyPrice) -> list[str]:
    """Parameters and multiply-adds of the arms, by kind."""
    rows = []
    for kind in ("stream", "late", "control", "fused"):
        own = [one for one in price.sizes.values() if one.kind == kind]
        if own:
            numbers = (
                _range(getattr(one, name) for one in own) for name in ("parameters", "trained_parameters", "macs")
            )
            rows.append((kind, str(sum(one.arms for one in own)), *numbers))
    return _table([("arms", "", "parameters", "trained", "multiply-adds a clip"), *rows]) if rows else []


def _range(numbers: Iterable[int]) -> str:
    known = sorted(numbers)
    return f"{known[0]:,}" if known[0] == known[-1] else f"{known[0]:,} … {known[-1]:,}"


def _disk(price: StudyPrice) -> list[str]:
    data = [f"  run.data  video files of {name}: {size(files)}" for name, files in price.archives.items()]
    data += [f"  run.data  {_store(job, price.compact.get(job.id))}" for job in price.of_kind("prepare")]
    known = [job for job in price.jobs if job.kind != "prepare" and job.disk is not None]
    unknown = sum(job.kind != "prepare" for job in price.jobs) - len(known)
    weights, stay = sum(job.weights or 0 for job in known), sum(job.stays * (job.checkpoint or 0) for job in known)
    running = running_checkpoints(known, price.workers)
    more = f", and those of {unknown} job{'s' * (unknown > 1)} unknown" if unknown else ""
    left = "predictions, and weights of the streams" if price.keep == "none" else "weights and predictions"
    root = [f"  run.root  {left}: {size(weights)}{more} (run.keep={price.keep})"]
    if running:
        end = f"{size(stay)} stay" if stay else "none stay when their jobs are done"
        root.append(f"  run.root  checkpoints: {size(running)} while they are written; {end}")
    if price.one_disk:
        (both,) = needs(price)
        return ["disk", *data, *root, f"  both are on one disk, and need {size(both.bytes)} {_fits(both)}"]
    own, other = (f"            {_fits(need)}" for need in needs(price))
    return ["disk", *data, own, *root, other]


def _store(job: JobPrice, compact: StoreSize | None) -> str:
    if job.store is None:
        return f"packed store: {NO_FRAMES}"
    text = f"packed store: {'about ' * job.store.about}{size(job.store.bytes)}"
    if job.store.raw is not None:
        text += f" ({size(job.store.raw)} as raw pictures)"
    if compact is not None and compact.raw is not None and compact.raw > LARGE:
        text += f" (about {size(compact.bytes)} by data.store.codec.frames=jpeg data.store.codec.flow=lz4)"
    return text


def _fits(need: Need) -> str:
    if need.free is None:
        return "free space unknown"
    return f"of {size(need.free)} free" + (f": {size(need.lacking)} too little" if need.lacking else "")


def _sharing(price: StudyPrice) -> list[str]:
    one = price.sharing
    if one is None:
        return []
    lines = [f"sharing, against one process for each of {one.cells} cells that trains its own streams"]
    if one.seconds is not None and one.shared_seconds is not None:
        times = one.seconds / max(one.shared_seconds, 1e-9)
        lines.append(
            f"  time           {duration(one.shared_seconds)} instead of {duration(one.seconds)}: {times:.1f} ×"
        )
    times = one.macs / max(one.shared_macs, 1)
    return [*lines, f"  multiply-adds  {one.shared_macs:.1e} instead of {one.macs:.1e}: {times:.1f} ×"]


def repeated(cells: int) -> str:
    """A line on cells that are the same arm as another one."""
    return f"{cells} cells repeat other arms" if cells > 1 else "1 cell repeats another arm"


def _again(price: StudyPrice, state: str, reasons: Mapping[str, str]) -> list[str]:
    """Published arms that no command trains again as long as their folders are there, by reason."""
    groups: dict[str, list[str]] = {}
    for arm, why in reasons.items():
        groups.setdefault(why, []).append(arm)
    lines = []
    for why, arms in groups.items():
        lines.append(one_line(f"{len(arms)} {state}: {why}: {_some(arms)}"))
        lines.append(f"  to train {'it' if len(arms) == 1 else 'them'} again, remove")
        lines += [f"    {_place(price, arm)}" for arm in arms[:SHOWN]]
        lines += [f"    … and the folders of {len(arms) - SHOWN} more"] if len(arms) > SHOWN else []
    return lines


def _place(price: StudyPrice, name: str) -> str:
    """The folder that says that an arm is published."""
    job = price.plan.job(price.plan.arm(name).job)
    own = name if job.kind == "cohort" else ""
    return one_line(os.path.normpath(price.folder / job.folder / PUBLISHED / own))


def _refused(plan: Plan) -> list[str]:
    """Refused cells by their reason, with what they have in common."""
    groups: dict[str, list[Refused]] = {}
    for cell in plan.refused:
        groups.setdefault(cell.reason, []).append(cell)
    return [
        f"{one_line(line)}\n  {one_line(_common(own))}"
        for line, own in zip(plan.refusals, groups.values(), strict=True)
    ]


def _common(cells: Sequence[Refused]) -> str:
    """The axes of some cells: `layer=fc6,fc7 temporal=pool3d`."""
    axes: dict[str, dict[str, None]] = {}
    for cell in cells:
        for axis, value in cell.axes.items():
            axes.setdefault(axis, {})[str(value)] = None
    return " ".join(f"{axis}={','.join(values)}" for axis, values in axes.items())


def _jobs(price: StudyPrice) -> list[str]:
    lines = [f"{len(price.jobs)} jobs"]
    for job in price.jobs:
        count = f"  ({job.arms} arms)" if job.arms > 1 else ""
        lines.append(f"  {job.state:<10} {job.kind:<8} {job.id}{count}")
    return lines


def _arms(price: StudyPrice) -> list[str]:
    lines = [f"{len(price.plan.arms)} arms"]
    for arm in price.plan.arms:
        lines.append(f"  {arm.signature}  {price.states.arms[arm.name]:<7} {arm.kind:<7}  {one_line(arm.name)}")
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(one_line, names[:SHOWN])) + (" …" if len(names) > SHOWN else "")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{one:<{width}}" for one, width in zip(row, widths, strict=True)).rstrip() for row in rows]
