"""The time that packing a store takes, from `cost.json` of stores that were packed here, or from a calibration.

Flow takes most of it, and is a matter of pixels: seconds · processes / (frames · height · width), the median over
stores with the same flow and codecs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionlab.config.schema import SourceConfig
from fusionlab.data.dataset import Extent
from fusionlab.errors import UserError
from fusionlab.preparation.prepare import COST
from fusionlab.pricing.past_jobs import middle, number
from fusionlab.records.files import read_json
from fusionlab.records.signature import signature
from fusionlab.video.resize import fitted
from fusionlab.video.store import Store

NO_FRAMES = "unknown: the number of frames is not known before the videos are read"
NO_STORE = "unknown: no store with this flow was packed here yet; add calibrate=true"


def store_seconds(
    source: SourceConfig,
    extent: Extent | None,
    others: Sequence[Store],
    calibrated: Mapping[str, float],
    processes: int,
) -> tuple[float | None, str]:
    """Seconds, and where they come from; None if the number of frames is unknown, or no store here is like it."""
    if extent is None or extent.frames is None or extent.size is None:
        return None, NO_FRAMES
    height, width = extent.size if source.store.size is None else fitted(*extent.size, source.store.size)
    key = rate_key(source.recipe)
    rates = [rate for store in others if (rate := _rate(store, key)) is not None]
    rate = middle(rates) or calibrated.get(key)
    if rate is None:
        return None, NO_STORE
    count = f"{len(rates)} store{'s' * (len(rates) > 1)} that {'were' if len(rates) > 1 else 'was'} packed here"
    return rate * extent.frames * height * width / processes, count if rates else "calibrated on a synthetic video"


def rate_key(recipe: Mapping[str, Any]) -> str:
    """Equal for stores of which a pixel takes as long: with one estimator of flow, and the same codecs."""
    own = recipe["store"]
    return signature({"store": {part: own[part] for part in ("flow", "codec", "backward") if part in own}})


def _rate(store: Store, key: str) -> float | None:
    """Seconds of one process for a pixel of a frame; None if it is of another kind, or has no cost."""
    try:
        cost = read_json(store.folder / COST, 1 << 16)
        if rate_key(store.recipe) != key or not isinstance(cost, dict):
            return None
    except (UserError, KeyError, TypeError):
        return None
    seconds, frames, processes = (number(cost, name) for name in ("seconds", "frames", "processes"))
    if not seconds or not frames or not processes or not store.videos:
        return None
    videos = store.videos.values()
    pixels = sum(video.frames * video.height * video.width for video in videos) / sum(video.frames for video in videos)
    return seconds * processes / (frames * pixels)
