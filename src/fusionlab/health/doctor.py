"""The doctor: checks the files, lists, copies, store and flow of one config on all cores, and reports findings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig, build_dataset, build_flow
from fusionlab.data.dataset import Dataset, Entry
from fusionlab.data.processes import Items, in_processes
from fusionlab.data.split_checks import without_quarantined
from fusionlab.data.video_progress import VideoProgress
from fusionlab.errors import UserError, show
from fusionlab.health import brush_page, field_checks, flow_checks, list_checks, video_checks
from fusionlab.health.findings import NOTE, UNSURE, WRONG, Finding, Report
from fusionlab.health.flow_images import FlowImages, FlowOfVideos
from fusionlab.jobs.job_data import STORES, VIDEOS
from fusionlab.preparation.prepare import place
from fusionlab.records.files import safe_join
from fusionlab.study.recipes import STREAMS
from fusionlab.video.decode import Reader, reader
from fusionlab.video.flow import LUMA
from fusionlab.video.store import Store

if TYPE_CHECKING:
    from fusionlab.data.brush.brush import Brush
    from fusionlab.health.brush_proof import ProbeResult

SAMPLE = 20  # videos whose flow is estimated again
MOST = 500  # of these: all that is compared stays in memory
Say = Callable[[str], None]


def examine(
    config: ArmConfig, run: RunConfig, chosen: str, *, sample: int = SAMPLE, page: Path | None = None, say: Say = show
) -> Report:
    """All checks of one composed config.

    `chosen`: the name of its data set. `page`: a folder for the page of a data set with probes.
    """
    root, workers = Path(run.data), run.processes
    dataset = build_dataset(config.data)
    dataset.make(root / VIDEOS, processes=workers, say=say)
    quarantined = frozenset(config.data.quarantine)
    lists = list_checks.read_lists(dataset, config.split)
    entries = without_quarantined(lists.videos, quarantined)
    paths = _paths(dataset, lists.videos)
    files = {name: paths[name] for name, _ in entries if name in paths}
    checked = _run(video_checks.check_files, _files(files, workers), len(files), workers, say, video_checks.FILES)
    findings = [
        *lists.findings,
        *list_checks.unlisted(dataset.root, paths),
        *video_checks.findings(checked, config.data.sampling.fields),
    ]
    looked_at: dict[str, Any] = {"videos": len(checked), "frames": sum(one.inspection.decoded for one in checked)}
    skipped = [f"{len(quarantined)} quarantined videos"] * bool(quarantined)
    if lists.videos and not entries:
        findings.append(Finding("all-quarantined", UNSURE, "all videos are quarantined: none was checked"))
    contents = [(one.name, f"file {one.sha256}") for one in checked if one.size]
    probed = cast("Brush", dataset) if getattr(dataset, "has_probes", False) else None

    store, why, broken = _store(root / STORES, config.data.recipe, chosen)
    findings += broken
    flow = CheckOfFlow(entries, checked, build_flow(config.data.store), sample, workers, say)
    if store is not None:
        contents += [(name, f"pixels {store.videos[name].sha256}") for name, _ in entries if name in store.videos]
        flow.check_store(store)
    elif flow.imported and not broken and run.flow and entries:
        flow.check_images(run.flow, paths, config.data.store.bound, reader(config.data.store.reader))
    else:
        skipped.append(why)
    findings += flow.findings
    looked_at |= flow.looked_at
    skipped += flow.skipped
    if store is not None and probed is not None:
        results = _proof(probed, store, config, run, say)
        if not any(config.weights.of_stream(stream).source for stream in STREAMS):
            skipped.append("relu5 of trained streams: weights.appearance=FILE weights.motion=FILE probe it too")
        findings += [_probe_finding(one) for one in results]
        if page is not None:
            brush_page.write(page, probed, store, results, chosen)
    if page is not None and (store is None or probed is None):
        raise UserError(
            "--page needs a data set with probes, and its finished store",
            got=chosen if store is not None else why,
            hint="python -m fusionlab.prepare data=brush; python -m fusionlab.doctor data=brush --page FOLDER",
        )
    lists_used = {
        split: (without_quarantined(train, quarantined), without_quarantined(test, quarantined))
        for split, (train, test) in lists.lists.items()
    }
    findings += list_checks.find_copies(list_checks.group_copies(contents), lists_used)
    return Report(chosen, len(entries), findings, looked_at, skipped, sorted(quarantined))


@dataclass
class CheckOfFlow:
    """The checks of flow: of a finished store, or of images that are not imported yet."""

    entries: Sequence[Entry]
    files: Sequence[video_checks.CheckedFile]
    method: Any
    sample: int
    workers: int
    say: Say
    findings: list[Finding] = field(default_factory=list)
    looked_at: dict[str, Any] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def imported(self) -> bool:
        return hasattr(self.method, "open")

    def check_store(self, store: Store) -> None:
        self.findings += flow_checks.missing(self.entries, store)
        self.findings += flow_checks.counts(self.files, store)
        names = [name for name, _ in self.entries if name in store.videos]
        # Imported flow has no estimator, and RAFT would take hours.
        by_own_method = getattr(self.method, "reads", None) == LUMA
        self._check(names, partial(Store, store.folder), flow_checks.Origin.of(store), by_own_method)
        self.looked_at["store"] = str(store.folder)

    def check_images(self, folder: Path | str, paths: Mapping[str, Path], bound: float, with_reader: Reader) -> None:
        names = [name for name, _ in self.entries if name in paths]
        try:
            files = self.method.open(folder, names)
        except UserError as error:
            self.findings.append(Finding("flow-images", WRONG, f"{error.what}: {error.got}", error.hint or ""))
            return
        images = FlowImages(files, {name: paths[name] for name in names}, bound, with_reader)
        origin = flow_checks.Origin(files.describe(), bound, f"correct the images in {folder}", "flow-images")
        checked = self._check(names, partial(replace, images), origin)
        self.findings += flow_checks.surplus(checked, files.offset, origin)
        self.looked_at["images of flow"] = str(folder)

    def _check(
        self, names: Sequence[str], opened: Callable[[], FlowOfVideos], origin: flow_checks.Origin,
        by_own_method: bool = False,
    ) -> list[field_checks.CheckedVideo]:  # fmt: skip
        chosen = frozenset(spread(names, self.sample))
        tasks = [field_checks.CheckTask(opened, tuple(some), chosen) for some in _chunks(names, self.workers)]
        checked: list[field_checks.CheckedVideo] = _run(
            field_checks.check_videos, tasks, len(names), self.workers, self.say, field_checks.VIDEOS
        )

        def reestimated() -> list[field_checks.CheckedVideo]:
            sound = sorted(one.name for one in checked if one.evidence)
            tasks = [
                field_checks.ReestimateTask(opened, tuple(some), self.method) for some in _chunks(sound, self.workers)
            ]
            return _run(field_checks.reestimate, tasks, len(sound), self.workers, self.say)

        faults, of_set = flow_checks.findings(checked, origin, reestimated if by_own_method else None)
        self.findings += faults
        self.looked_at |= {
            "fields": sum(one.fields for one in checked), "videos estimated anew": len(chosen),
            "pairs of frames compared": sum(len(one.evidence) for one in checked),
            "faults judged": list(of_set.judged),
        }  # fmt: skip
        if self.sample:
            self.findings += flow_checks.unjudged(checked, of_set, faults)
            self.skipped += flow_checks.unmeasured(of_set)
        else:
            self.skipped.append("whether flow is that of the frames: --sample 0")
        return checked


def _proof(brush: Brush, store: Store, config: ArmConfig, run: RunConfig, say: Say) -> list[ProbeResult]:
    from fusionlab.health.brush_proof import proof  # torch
    from fusionlab.health.frozen_streams import stream_features

    return list(proof(brush, store, config.data.sampling.fields, say, stream_features(config, run, brush)))


def _probe_finding(one: ProbeResult) -> Finding:
    """A quantity that must be visible in this set, or must not, with the accuracies of both probes."""
    numbers = {how: [accuracy.value, *accuracy.interval] for how, accuracy in one.accuracies.items()}
    if one.holds:
        return Finding("probe", NOTE, f"holds: {one}", numbers=numbers)
    code = "probe-unseen" if one.visible else "probe-leak"
    remedy = "flow=dis with the knobs of data=brush, for which this was tried"
    return Finding(code, WRONG, f"does not hold: {one}", remedy, numbers=numbers)


def _store(folder: Path, recipe: Mapping[str, Any], chosen: str) -> tuple[Store | None, str, list[Finding]]:
    """The finished store; or the reason why it is missing, with a finding if it is damaged."""
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
    """`count` of the names, spread evenly over the list.

    >>> spread(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    if count >= len(names):
        return list(names)
    if count < 2:
        return list(names[len(names) // 2 :][:count])
    return [names[round(n * (len(names) - 1) / (count - 1))] for n in range(count)]


def _paths(dataset: Dataset, entries: Sequence[Entry]) -> dict[str, Path]:
    """The file of each video; if the lists are invalid, the file with its listed name."""
    paths = {}
    for name, _ in entries:
        for way in (dataset.path, partial(safe_join, dataset.root)):
            with contextlib.suppress(UserError):  # a name that leads out of the folder is a finding of the lists
                paths[name] = way(name)
                break
    return paths


def _files(files: Mapping[str, Path], workers: int) -> list[list[tuple[str, Path]]]:
    return [[(name, files[name]) for name in some] for some in _chunks(list(files), workers)]


def _chunks(names: Sequence[str], workers: int) -> list[list[str]]:
    """Chunks of work: so small that all cores finish together, and so large that few open the store."""
    size = max(1, min(50, len(names) // (4 * workers)))
    return [list(names[at : at + size]) for at in range(0, len(names), size)]


def _run(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    total: int,
    workers: int,
    say: Say,
    items: Items[Any, Any] | None = None,
) -> list[Any]:
    """The results of all tasks, in the order of their names."""
    results = []
    with VideoProgress(total, say, "doctor") as progress:
        for one in in_processes(function, tasks, workers, items):
            results.append(one)
            progress.next()
    return sorted(results, key=lambda one: one.name)
