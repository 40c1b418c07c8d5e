"""The time that packing a store takes, from `cost.json` of stores that were packed here.

Flow takes nearly all of it, and is a matter of pixels: seconds · processes / (frames · height · width), the median over
stores with the same estimator of flow.
"""

from __future__ import annotations

from collections.abc import Sequence

from fusionlab.config.schema import SourceConfig
from fusionlab.data.dataset import Extent
from fusionlab.errors import UserError
from fusionlab.preparation.prepare import COST
from fusionlab.pricing.history import middle, number
from fusionlab.records.files import read_json
from fusionlab.records.signature import signature
from fusionlab.video.resize import fitted
from fusionlab.video.store import Store


def store_seconds(source: SourceConfig, extent: Extent | None, others: Sequence[Store], processes: int) -> float | None:
    """None if the number of frames is unknown, or no store here has the same flow."""
    if extent is None or extent.frames is None or extent.size is None:
        return None
    height, width = extent.size if source.store.size is None else fitted(*extent.size, source.store.size)
    flow = signature({"flow": dict(source.store.flow)})
    rates = [rate for store in others if (rate := _rate(store, flow)) is not None]
    rate = middle(rates)
    return None if rate is None else rate * extent.frames * height * width / processes


def _rate(store: Store, flow: str) -> float | None:
    """Seconds of one process for a pixel of a frame; None if it has other flow, or no cost."""
    try:
        own = store.recipe["store"]["flow"]
        cost = read_json(store.folder / COST, 1 << 16)
        if signature({"flow": own}) != flow or not isinstance(cost, dict):
            return None
    except (UserError, KeyError, TypeError):
        return None
    seconds, frames, processes = (number(cost, name) for name in ("seconds", "frames", "processes"))
    if not seconds or not frames or not processes or not store.videos:
        return None
    videos = store.videos.values()
    pixels = sum(video.frames * video.height * video.width for video in videos) / sum(video.frames for video in videos)
    return seconds * processes / (frames * pixels)
