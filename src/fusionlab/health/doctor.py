"""A data set and its flow, looked at from the door: composed, walked through on all cores, and reported."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig, build_dataset, build_flow
from fusionlab.data.brush.brush import Brush
from fusionlab.data.dataset import Dataset, Entry
from fusionlab.data.processes import in_processes
from fusionlab.data.progress import Progress
from fusionlab.errors import UserError, show
from fusionlab.health import brush_page, copies, field_checks, flow_checks, list_checks, video_checks
from fusionlab.health.finding import NOTE, WRONG, Finding
from fusionlab.health.findings_text import Report
from fusionlab.jobs.job_data import STORES, VIDEOS
from fusionlab.preparation.prepare import place
from fusionlab.records.files import safe_join
from fusionlab.study.recipes import STREAMS
from fusionlab.video.flow import LUMA
from fusionlab.video.store import Store

if TYPE_CHECKING:
    from fusionlab.health.brush_proof import Probed

SAMPLE = 20  # videos whose flow is estimated anew
MOST = 500  # of these: what is compared is kept in memory
Say = Callable[[str], None]


def examine(
    config: ArmConfig, run: RunConfig, chosen: str, *, sample: int = SAMPLE, page: Path | None = None, say: Say = show
) -> Report:
    """Everything about the data of one composed config; `chosen`: the name of the data set there. `page`: a folder, for
    brush on a page.
    """
    root, workers = Path(run.data), run.processes
    dataset = build_dataset(config.data)
    dataset.make(root / VIDEOS, processes=workers, say=say)
    left_out = frozenset(config.data.quarantine)
    listed = list_checks.read(dataset, config.split)
    entries = [entry for entry in listed.videos if entry[0] not in left_out]
    everywhere = _paths(dataset, listed.videos)
    files = {name: everywhere[name] for name, _ in entries if name in everywhere}
    looked = _walk(video_checks.look, _files(files, workers), len(files), workers, say)
    findings = [
        *listed.findings,
        *list_checks.unlisted(dataset.root, everywhere),
        *video_checks.findings(looked, config.data.sampling.fields),
    ]
    at: dict[str, Any] = {"videos": len(looked), "frames": sum(one.found.decoded for one in looked)}
    apart = [f"{len(left_out)} quarantined videos"] * bool(left_out)
    contents = [(one.name, f"file {one.sha256}") for one in looked if one.size]

    store, why, broken = _store(root / STORES, config.data.recipe, chosen)
    findings += broken
    if store is None:
        apart.append(why)
    else:
        contents += [(name, f"pixels {store.videos[name].sha256}") for name, _ in entries if name in store.videos]
        method = build_flow(config.data.store)
        some, told = _flow(entries, looked, store, method, sample, workers, say)
        findings += some
        at |= told["looked_at"]
        apart += told["not_looked_at"]
        if isinstance(dataset, Brush):
            found = _proof(dataset, store, config, run, say)
            if not any(config.weights.of_stream(stream).source for stream in STREAMS):
                apart.append(
                    "frozen relu5: weights.appearance=FILE weights.motion=FILE, of trained streams, are probed too"
                )
            findings += [_told(one) for one in found]
            if page is not None:
                brush_page.write(page, dataset, store, found, chosen)
    if page is not None and (store is None or not isinstance(dataset, Brush)):
        raise UserError(
            "a page is made of brush, from its finished store",
            got=chosen if store is not None else why,
            hint="python -m fusionlab.prepare data=brush; python -m fusionlab.doctor data=brush --page FOLDER",
        )
    findings += copies.findings(copies.alike(contents), _without(listed.lists, left_out))
    return Report(chosen, len(entries), findings, at, apart, sorted(left_out))


def _flow(
    entries: Sequence[Entry],
    looked: Sequence[video_checks.Looked],
    store: Store,
    method: Any,
    sample: int,
    workers: int,
    say: Say,
) -> tuple[list[Finding], dict[str, Any]]:
    names = [name for name, _ in entries if name in store.videos]
    chosen = frozenset(spread(names, sample))
    tasks = [field_checks.Task(store.folder, tuple(some), chosen) for some in _chunks(names, workers)]
    walked = _walk(field_checks.walk, tasks, len(names), workers, say)

    def by_its_method() -> list[field_checks.Walked]:
        sound = sorted(one.name for one in walked if one.evidence)
        again = [field_checks.Again(store.folder, tuple(some), method) for some in _chunks(sound, workers)]
        return _walk(field_checks.walk_again, again, len(sound), workers, say)

    luma = getattr(method, "reads", None) == LUMA  # imported flow has no method, and RAFT would be a matter of hours
    found, of_set = flow_checks.findings(walked, store, by_its_method if luma else None)
    at = {
        "fields": sum(one.fields for one in walked), "videos estimated anew": len(chosen),
        "pairs of frames compared": sum(len(one.evidence) for one in walked), "store": str(store.folder),
        "faults judged": list(of_set.judged),
    }  # fmt: skip
    apart = flow_checks.unjudged(of_set) if sample else ["whether flow is that of the frames: --sample 0"]
    return [*flow_checks.missing(entries, store), *flow_checks.counts(looked, store), *found], {
        "looked_at": at,
        "not_looked_at": apart,
    }


def _proof(brush: Brush, store: Store, config: ArmConfig, run: RunConfig, say: Say) -> list[Probed]:
    from fusionlab.health.brush_proof import proof  # torch
    from fusionlab.health.frozen_streams import stream_features

    return list(proof(brush, store, config.data.sampling.fields, say, stream_features(config, run, brush)))


def _told(one: Probed) -> Finding:
    """What must not be seen in this set, or must, with both probes' accuracies."""
    numbers = {how: [accuracy.value, *accuracy.interval] for how, accuracy in one.found.items()}
    if one.holds:
        return Finding("probe", NOTE, f"holds: {one}", numbers=numbers)
    code = "probe-unseen" if one.visible else "probe-leak"
    remedy = "flow=dis with the knobs of data=brush, for which this was tried"
    return Finding(code, WRONG, f"does not hold: {one}", remedy, numbers=numbers)


def _store(folder: Path, recipe: Mapping[str, Any], chosen: str) -> tuple[Store | None, str, list[Finding]]:
    """The finished store; or why there is none, and what is wrong with what lies there."""
    final = place(folder, recipe)
    if not final.exists():
        how = f"python -m fusionlab.prepare data={chosen} with the same words makes it"
        return None, f"flow: there is no finished store of it ({final}); {how}", []
    try:
        return Store.open(final), "", []
    except UserError as error:
        what, how = f"the store cannot be opened: {error.what}", "python -m fusionlab.prepare with the same words"
        broken = Finding("store-broken", WRONG, what, f"{how} makes it again", {str(final): error.got or ""})
        return None, "flow: its store cannot be opened", [broken]


def spread(names: Sequence[str], count: int) -> list[str]:
    """So many of them, evenly over the list.

    >>> spread(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    if count >= len(names):
        return list(names)
    if count < 2:
        return list(names[len(names) // 2 :][:count])
    return [names[round(n * (len(names) - 1) / (count - 1))] for n in range(count)]


def _paths(dataset: Dataset, entries: Sequence[Entry]) -> dict[str, Path]:
    """Where each video lies. Lists that are refused may keep a set from looking for it under other names."""
    found = {}
    for name, _ in entries:
        for way in (dataset.path, partial(safe_join, dataset.root)):
            with contextlib.suppress(UserError):  # a name that leads out of the folder is told with the lists
                found[name] = way(name)
                break
    return found


def _without(found: Mapping[int, list_checks.Lists], names: Collection[str]) -> dict[int, list_checks.Lists]:
    return {
        split: ([e for e in train if e[0] not in names], [e for e in test if e[0] not in names])
        for split, (train, test) in found.items()
    }


def _files(files: Mapping[str, Path], workers: int) -> list[list[tuple[str, Path]]]:
    return [[(name, files[name]) for name in some] for some in _chunks(list(files), workers)]


def _chunks(names: Sequence[str], workers: int) -> list[list[str]]:
    """Small enough that all cores end together, large enough that a store is not opened for each video."""
    size = max(1, min(50, len(names) // (4 * workers)))
    return [list(names[at : at + size]) for at in range(0, len(names), size)]


def _walk(function: Callable[[Any], Any], tasks: Sequence[Any], total: int, workers: int, say: Say) -> list[Any]:
    """All results, in the order of their names."""
    found = []
    with Progress(total, say, "doctor") as progress:
        for one in in_processes(function, tasks, workers):
            found.append(one)
            progress.next()
    return sorted(found, key=lambda one: one.name)
