"""The size of stores against the bytes of stores that are really packed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pricing_fakes import Plan

from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import SourceConfig, build_dataset, build_flow
from fusionlab.data.brush import brush
from fusionlab.data.dataset import Extent
from fusionlab.jobs.job_data import STORES, open_data
from fusionlab.planning.grid import PlannedStudy
from fusionlab.preparation.prepare import COST, prepare
from fusionlab.pricing import disk_sizes
from fusionlab.pricing.calibrate_store import calibrate_store, read_rates
from fusionlab.pricing.disk_sizes import StoreSize, store_size, stores_below, video_bytes
from fusionlab.pricing.store_time import NO_STORE, rate_key, store_seconds
from fusionlab.pricing.study_price import Pricing
from fusionlab.video.resize import fitted
from fusionlab.video.store import Coding, Store

CLIPS = os.environ.get("FUSIONLAB_CLIPS")
TINY = ("data.dataset.binding=0", "data.dataset.frames=4", "flow=farneback")
JPEG, LZ4, QUALITY = "data.store.codec.frames=jpeg", "data.store.codec.flow=lz4", "data.store.codec.quality=80"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three groups only."""
    monkeypatch.setattr(brush, "GROUPS", 3)


def source_of(study: PlannedStudy) -> SourceConfig:
    (job,) = (job for job in study.plan.jobs if job.kind == "prepare")
    return SourceConfig.of(job.config, RunConfig.of(job.config).quarantine)


def expected(source: SourceConfig, others: list[Store]) -> StoreSize:
    size = store_size(source, build_dataset(source).extent(1), None, others)  # type: ignore[attr-defined]
    assert size is not None
    return size


def really(study: PlannedStudy) -> tuple[int, Store]:
    """The bytes of pictures on the disk, and the store."""
    store = open_data(source_of(study), study.run, say=lambda _: None).store
    return sum(file.stat().st_size for file in store.folder.glob("part-*/*.bin")), store


@pytest.mark.parametrize(
    "words", [(), ("data.store.backward=true",), ("data.store.rule=field",), ("data.store.size=32",)], ids=str
)
def test_raw_stores_are_known_to_the_byte(plan: Plan, words: tuple[str, ...]) -> None:
    study = plan("fusion=sum", *TINY, *words)
    known = expected(source_of(study), [])
    packed, store = really(study)
    assert known == StoreSize(packed, "exact")
    assert store_size(source_of(study), None, store, []) == StoreSize(packed, "packed")
    assert sum(video_bytes(video, store.coding) for video in store.videos.values()) == packed


def test_coded_stores_are_known_from_another_store_of_the_set(plan: Plan) -> None:
    """Packed with another bound, so that the flow's bytes are others; within a tenth. Without it: typical."""
    study = plan("fusion=sum", *TINY, JPEG, LZ4)
    typical = expected(source_of(study), [])
    assert typical.source == "typical" and typical.about and typical.raw is not None
    really(plan("fusion=sum", *TINY, JPEG, LZ4, "data.store.bound=5"))
    known = expected(source_of(study), stores_below(study.run.data))
    assert known.source == "measured" and known.raw == typical.raw
    packed, _ = really(study)
    assert known.bytes == pytest.approx(packed, rel=0.1)
    other = source_of(plan("fusion=sum", *TINY, JPEG, LZ4, QUALITY))
    assert expected(other, stores_below(study.run.data)).source == "typical", "another quality of JPEG"


def test_other_sets_and_damaged_stores_tell_nothing(plan: Plan) -> None:
    study = plan("fusion=sum", *TINY, JPEG, LZ4)
    _, store = really(plan("fusion=sum", *TINY, JPEG, LZ4, "data.dataset.seed=1"))
    assert len(stores_below(study.run.data)) == 1
    assert expected(source_of(study), stores_below(study.run.data)).source == "typical"
    (store.folder / "index.json").write_text("{}")
    assert stores_below(study.run.data) == []


def test_ucf101_before_it_is_there(plan: Plan) -> None:
    """Frames of 342×256: 3 planes each, and 2 for all but the last of a video."""
    study = plan("fusion=sum", "data=ucf101")
    source = source_of(study)
    raw = 2_483_295 * 342 * 256 * 3 + (2_483_295 - 13_320) * 342 * 256 * 2
    size = expected(source, [])
    assert size.raw == raw and 90e9 < size.bytes < 130e9
    assert expected(replace(source, store=replace(source.store, codec=Coding())), []) == StoreSize(raw, "exact")
    price = Pricing(study.plan, study.folder, study.run, workers=1).price()
    assert price.archives == {"ucf101": 6_960_000_000}


def test_a_set_whose_frames_nobody_counted_is_unknown(plan: Plan) -> None:
    for words in (["data=hmdb51"], ["data=folder", "data.dataset.classes=5"]):
        source = source_of(plan("fusion=sum", *words))
        known = getattr(build_dataset(source), "extent", lambda _: None)(1)
        assert store_size(source, known, None, []) is None


def test_free_space_is_that_of_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert disk_sizes.free_bytes(tmp_path / "not" / "there") == pytest.approx(disk_sizes.free_bytes(tmp_path), rel=0.1)


@pytest.mark.slow
@pytest.mark.skipif(not CLIPS, reason="FUSIONLAB_CLIPS does not name a folder of real clips")
def test_a_store_of_real_clips_takes_what_is_typical(tmp_path: Path, plan: Plan) -> None:
    """Two of UCF101's clips at a short side of 256: within a factor of 1.6 of typical, for each of their own."""

    class Set:
        names = ("v_SoccerJuggling_g23_c01.avi", "v_SoccerJuggling_g24_c01.avi")

        def videos(self) -> list[tuple[str, int]]:
            return [(name, 0) for name in self.names]

        def path(self, name: str) -> Path:
            return Path(str(CLIPS)) / name

    source = source_of(plan("fusion=sum", "data=ucf101"))
    folder = prepare(
        Set(), tmp_path, build_flow(source.store), recipe={"of": "clips"}, size=256, coding=source.store.codec,
        bound=20.0, say=lambda _: None,
    )  # fmt: skip
    store = Store.open(folder)
    frames = sum(video.frames for video in store.videos.values())
    extent = Extent(1, 1, 2, frames, (240, 320))
    size = store_size(source, extent, None, [])
    packed = sum(file.stat().st_size for file in folder.glob("part-*/*.bin"))
    assert size is not None and 1 / 1.6 < packed / size.bytes < 1.6
    raw = store_size(replace(source, store=replace(source.store, codec=Coding())), extent, None, [])
    assert raw is not None and raw.bytes == sum(
        video.frames_bytes_raw + video.flow_bytes_raw for video in map(Raw, store.videos.values())
    )


class Raw:
    """A packed video's bytes as arrays."""

    def __init__(self, video: Any) -> None:
        assert (video.height, video.width) == fitted(240, 320, 256)
        self.frames_bytes_raw = video.frames * video.height * video.width * 3
        self.flow_bytes_raw = (video.frames - 1) * video.height * video.width * 2


# -- time


def seconds(source: SourceConfig, extent: Extent | None, stores: list[Store], **rates: float) -> float | None:
    """Of four processes."""
    return store_seconds(source, extent, stores, rates, 4)[0]


def test_packing_takes_as_long_as_the_pixels_of_other_stores_did(plan: Plan) -> None:
    study = plan("fusion=sum", *TINY, "data.dataset.seed=2")
    source, extent = source_of(study), Extent(1, 1, 10, 1000, (50, 100))
    assert store_seconds(source, extent, stores_below(study.run.data), {}, 1) == (None, NO_STORE)
    assert seconds(source, extent, [], **{rate_key(source.recipe): 1e-6}) == pytest.approx(1e-6 * 5_000_000 / 4)
    _, store = really(plan("fusion=sum", *TINY))
    cost = {"seconds": 8.0, "videos": 1, "frames": 200, "bytes": 1, "processes": 2}
    (store.folder / COST).write_text(json.dumps(cost))
    a_pixel = 8 * 2 / (200 * 50 * 50)
    stores = stores_below(study.run.data)
    assert seconds(source, extent, stores, **{rate_key(source.recipe): 1.0}) == pytest.approx(a_pixel * 5_000_000 / 4)
    assert seconds(source, None, stores) is None
    assert seconds(source_of(plan("fusion=sum", "flow=dis")), extent, stores) is None, "other flow"
    for damaged in ("{", "[]", json.dumps({**cost, "seconds": -1}), json.dumps(cost).replace("8.0", "1e309")):
        (store.folder / COST).write_text(damaged)
        assert seconds(source, extent, stores_below(study.run.data)) is None


def test_a_calibration_needs_no_data_and_is_kept_for_this_machine(plan: Plan, tmp_path: Path) -> None:
    source, said = source_of(plan("fusion=sum", *TINY)), list[str]()
    run = plan("fusion=sum", *TINY).run
    for _ in range(2):
        calibrate_store(source, run, "here", (50, 50), said.append)
    assert len(said) == 1 and "ms a frame of 50×50" in said[0], "the second time it is known"
    rates = read_rates(run.root, "here")
    assert list(rates) == [rate_key(source.recipe)] and 0 < rates[rate_key(source.recipe)] < 1e-3
    assert read_rates(run.root, "there") == {}
    assert not Path(run.data).exists()
    for damaged in ("{", "[]", '{"here": []}', '{"here": {"a": 1e309}}', '{"here": {"a": -1, "b": "x", "c": true}}'):
        (Path(run.root) / "store_calibration.json").write_text(damaged)
        assert read_rates(run.root, "here") == {}
    imported = source_of(plan("fusion=sum", "data=ucf101", "flow=imported", f"run.flow={tmp_path}"))
    calibrate_store(imported, run, "here", (240, 320), said.append)
    assert "packing is not calibrated" in said[-1]


def test_a_packed_store_is_not_packed_again(plan: Plan) -> None:
    study = plan("fusion=sum", *TINY)
    really(study)
    price = Pricing(study.plan, study.folder, study.run, workers=1).price()
    (job,) = price.of_kind("prepare")
    assert (job.state, job.seconds) == ("done", 0.0)
    assert job.store is not None and job.store.source == "packed"
    assert (Path(study.run.data) / STORES).is_dir()


def test_folders_are_on_one_disk_if_their_parents_are(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/proc")
    assert disk_sizes.on_one_disk(tmp_path / "not" / "there", tmp_path)
    assert not disk_sizes.on_one_disk(tmp_path, "/proc") and not disk_sizes.on_one_disk(tmp_path, link)
