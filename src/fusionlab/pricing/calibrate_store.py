"""The time that packing a store takes, measured on a synthetic video; no data set is needed.

    <run.root>/store_calibration.json     what was measured, on which machine class; later plans read it

Noise that moves is encoded, and packed as the plan's videos will be: decoded, resized, its flow computed and stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import SourceConfig, build_flow
from fusionlab.errors import UserError, one_line
from fusionlab.preparation.flow_sources import Computed, Making
from fusionlab.preparation.pack import Part, pack
from fusionlab.pricing.past_jobs import number
from fusionlab.pricing.store_time import rate_key
from fusionlab.records.files import read_json, write_json
from fusionlab.video import encode
from fusionlab.video.decode import reader
from fusionlab.video.flow import looking_in
from fusionlab.video.resize import fitted

FILE = "store_calibration.json"
FRAMES = 32  # of the video
SPEED = 2  # pixels from frame to frame

Say = Callable[[str], None]


def calibrate_store(source: SourceConfig, run: RunConfig, machine: str, size: tuple[int, int], say: Say) -> None:
    """Measure the seconds that one process takes for a pixel of a frame, unless they are known; the result is kept."""
    key, known = rate_key(source.recipe), read_rates(run.root, machine)
    if key in known:
        return
    try:
        rate = _measure(source, run, size)
    except UserError as error:
        say(one_line(f"packing is not calibrated: {error.brief}"))
        return
    shown = fitted(*size, source.store.size) if source.store.size else size
    say(f"calibrating the packed store: {1000 * rate * shown[0] * shown[1]:.3g} ms a frame of {shown[1]}×{shown[0]}")
    others = _read(run.root)
    write_json(Path(run.root) / FILE, {**others, machine: {**others.get(machine, {}), key: rate}})


def read_rates(root: str, machine: str) -> dict[str, float]:
    """Kind of store -> seconds a pixel; a damaged file or number is left out."""
    own = _read(root).get(machine)
    rates = own if isinstance(own, dict) else {}
    return {key: rate for key in rates if (rate := number(rates, key, 1.0))}


def _read(root: str) -> dict[str, Any]:
    try:
        content = read_json(Path(root) / FILE, 1 << 20)
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}


def _measure(source: SourceConfig, run: RunConfig, size: tuple[int, int]) -> float:
    """Seconds of one process for a pixel of a frame."""
    store, flow = source.store, looking_in(build_flow(source.store), run.weights)
    if hasattr(flow, "open"):
        raise UserError("imported flow is read from its images", got="flow=imported")
    making = Making(reader(store.reader), Computed(flow), store.bound, store.size, store.codec, store.backward)
    with TemporaryDirectory() as folder:
        video = Path(folder) / "video.avi"
        encode.write(video, _film(*size))
        begun = time.monotonic()
        (done,) = pack(Part(Path(folder), "part", ((video.name, 0, video),), making))
        seconds = time.monotonic() - begun
    if done.video is None:
        raise UserError("a synthetic video cannot be packed", got=done.reason)
    return seconds / (FRAMES * done.video.height * done.video.width)


def _film(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Noise of two scales that moves to the right, and flickers as real pictures do: (FRAMES, height, width, 3)."""
    draw = np.random.default_rng(0)
    shape = height, width + FRAMES * SPEED, 3
    coarse = draw.integers(0, 160, (height // 8 + 2, shape[1] // 8 + 2, 3)).repeat(8, axis=0).repeat(8, axis=1)
    ground = coarse[: shape[0], : shape[1]] + draw.integers(0, 64, shape)
    moving = np.stack([ground[:, n * SPEED : n * SPEED + width] for n in range(FRAMES)])
    return (moving + draw.integers(0, 32, moving.shape)).astype(np.uint8)
