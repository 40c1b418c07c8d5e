"""Disk space: of packed stores, of weights and predictions, and of checkpoints.

    raw      frames · height · width · 3  +  (frames − videos) · height · width · 2, and the latter again with backward
    coded    raw bytes times what a codec makes of them: measured in a store of this data set, else typical

Typical ratios are those that `video.codecs` lists, of real clips at a short side of 256. A store of 1 TB of raw
pictures is then known to a tenth or so, and a study's weights to the byte.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fusionlab.config.schema import SourceConfig
from fusionlab.data.dataset import Extent
from fusionlab.errors import UserError
from fusionlab.jobs.job_data import STORES
from fusionlab.records.signature import signature
from fusionlab.two_stream.net import Net
from fusionlab.video.codecs import JPEG, LZ4, RAW
from fusionlab.video.resize import fitted
from fusionlab.video.store import BACKWARD, FLOW, FRAMES, INDEX, OFFSET, RANGE, Coding, Store, Video, files_of

MOST_STORES = 20  # that are read for ratios
# codec -> bytes of a coded picture over its raw bytes
TYPICAL = {FRAMES: {RAW: 1.0, LZ4: 141 / 257, JPEG: 20 / 257}, FLOW: {RAW: 1.0, LZ4: 24 / 171, JPEG: 8.6 / 171}}


@dataclass(frozen=True)
class StoreSize:
    """Bytes of a packed store. `source`: packed, exact, measured or typical; the last two are estimates."""

    bytes: int
    source: str
    raw: int | None = None  # what raw pictures would take, if these are coded

    @property
    def about(self) -> bool:
        return self.source in ("measured", "typical")


def store_size(
    source: SourceConfig, extent: Extent | None, packed: Store | None, others: list[Store], coding: Coding | None = None
) -> StoreSize | None:
    """The size of a store; None where the number of frames is unknown. `coding`: another than its own."""
    if packed is not None and coding is None:
        return StoreSize(sum(video_bytes(video, packed.coding) for video in packed.videos.values()), "packed")
    if extent is None or extent.frames is None or extent.size is None:
        return None
    coding = coding or source.store.codec
    height, width = extent.size if source.store.size is None else fitted(*extent.size, source.store.size)
    fields, total, raw, how = extent.frames - extent.videos, 0, 0, "exact"
    for file in (FRAMES, FLOW, BACKWARD) if source.store.backward else (FRAMES, FLOW):
        pictures, planes = (extent.frames, 3) if file == FRAMES else (fields, 2)
        share, origin = _ratio(file, coding, source, others)
        how = how if origin == "exact" else origin
        total += round(share * pictures * height * width * planes)
        raw += pictures * height * width * planes
        codec = coding.codec(file)
        if codec is not None:
            total += (pictures * codec.pieces + extent.videos) * OFFSET.itemsize
        if file != FRAMES and coding.by_field:
            total += pictures * 4 * RANGE.itemsize
    return StoreSize(total, how, None if how == "exact" else raw)


def video_bytes(video: Video, coding: Coding) -> int:
    """Bytes of a packed video, in all files."""
    runs = [video.run(file, coding) for file in files_of(video)]
    return sum(run.end - run.at for run in runs)


def _ratio(file: str, coding: Coding, source: SourceConfig, others: list[Store]) -> tuple[float, str]:
    name = coding.codec_name(file)
    if name == RAW:
        return 1.0, "exact"
    for store in others:
        same = signature({"of": store.recipe.get("dataset", {})}) == signature({"of": source.dataset})
        if same and store.coding.codec_name(file) == name and store.coding.quality == coding.quality:
            coded, raw = _sums(store, file)
            if raw:
                return coded / raw, "measured"
    return TYPICAL[FRAMES if file == FRAMES else FLOW][name], "typical"


def _sums(store: Store, file: str) -> tuple[int, int]:
    """Bytes of all pictures in a file, coded and raw."""
    coded = raw = 0
    for video in store.videos.values():
        if file in files_of(video):
            pictures, planes = (video.frames, 3) if file == FRAMES else (video.frames - 1, 2)
            coded += video.run(file, store.coding).size
            raw += pictures * planes * video.height * video.width
    return coded, raw


def stores_below(data: str | Path) -> list[Store]:
    """The packed stores of this machine that can be read, the newest first."""
    return list(_stores(Path(data) / STORES))


def _stores(folder: Path) -> Iterator[Store]:
    found = []
    for index in folder.glob(f"*/{INDEX}"):
        try:
            found.append((index.stat().st_mtime, index.parent))
        except OSError:
            continue
    for _, place in sorted(found, reverse=True)[:MOST_STORES]:
        try:
            store = Store.open(place)
        except (UserError, KeyError, TypeError, AttributeError):
            continue
        if isinstance(store.recipe, dict):
            yield store


def prediction_bytes(test: int, classes: int) -> int:
    """About the bytes of an arm's predictions.csv: a name, two classes, a group, and nine digits a score."""
    return test * (100 + 14 * classes)


def heads_bytes(test: int, classes: int, heads: int) -> int:
    """The bytes of an arm's heads.npz: two float32 a class and head, and its lists of entries."""
    return heads * (2 * 4 * test * classes + 600)


def test_bytes(videos: int, classes: int, net: Net) -> int:
    """About the bytes of another test of an arm: its predictions, those of its towers, and its heads."""
    rows = prediction_bytes(videos, classes) * (1 + len(net.apart))
    return rows + heads_bytes(videos, classes, len(net.head_names))


def free_bytes(folder: str | Path) -> int | None:
    """Free space on the disk of a folder that may not exist yet."""
    try:
        return shutil.disk_usage(_existing(folder)).free
    except OSError:
        return None


def on_one_disk(*folders: str | Path) -> bool:
    """Whether folders, which may not exist yet, have their space from one disk."""
    try:
        return len({_existing(folder).stat().st_dev for folder in folders}) == 1
    except OSError:
        return False


def _existing(folder: str | Path) -> Path:
    place = Path(folder).resolve()
    return next(one for one in (place, *place.parents) if one.is_dir())
