"""Pictures of mistakes: the frames of a video's middle clip in one line, and below each the flow that leads on from it.

They show what the arm's test saw (the crop, the misalignment), read from the packed store; nothing is made or decoded
from videos. A store is used if it has exactly the content that the record names, and a video if its bytes are intact.
Small frames are enlarged pixel by pixel and written as PNG, larger ones are reduced and written as JPEG.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusionlab.config.schema import DataConfig
from fusionlab.data.views import Sampling, Seen, View, testing_view, write_flow, write_frames
from fusionlab.errors import UserError
from fusionlab.preparation.prepare import place
from fusionlab.results.load import Entry
from fusionlab.results.mistakes import Mistake
from fusionlab.study.plan import DATA_VARIABLE
from fusionlab.video.flow_colours import colours, speed
from fusionlab.video.opencv import cv2
from fusionlab.video.store import Store, content_hash

Bytes = NDArray[np.uint8]
STORES = "stores"  # below the folder of the data
SIDE = 96  # pixels of a frame's shorter side in a strip
MOST_FRAMES = 5
GAP = 2  # pixels between two frames
LEAST_SPEED = 1.0  # a slower strip has pale colours: noise is not shown as motion
LARGEST = 24 << 10  # bytes of a picture; 60 of them are 2 MB of a page
LEVEL = 4  # of PNG: 9 takes nine times as long for 7 % fewer bytes
QUALITIES = (80, 60, 40, 20, 5)  # of JPEG; the first that is small enough


@dataclass
class Strips:
    """Draws mistakes; each store is opened once."""

    _stores: dict[tuple[Path, str, frozenset[str]], Store | UserError] = field(default_factory=dict)

    def draw(self, mistake: Mistake) -> bytes:
        """The picture of a mistake; a `UserError` says why there is none."""
        entry = mistake.entry
        assert entry is not None, "a chosen mistake has its arm"
        store, how = self._store(entry), _data(entry).sampling
        store.verify_video(mistake.video)
        return encode(strip(store, mistake.video, how))

    def _store(self, entry: Entry) -> Store:
        try:
            data, expected = _data(entry), str(entry.result.get("data"))
        except KeyError as missing:  # a record that is older, or not ours
            raise UserError("its record does not say where the videos are", got=f"no {missing.args[0]}") from None
        quarantine = frozenset(data.quarantine)
        places = [place(folder / STORES, data.recipe) for folder in folders(entry.record.get("circumstances", {}))]
        found = next((one for one in places if one.is_dir()), None)
        if found is None:
            raise UserError("the packed videos are not on this machine", got=places[0])
        key = (found, expected, quarantine)
        if key not in self._stores:
            self._stores[key] = _opened(*key)
        if isinstance(opened := self._stores[key], UserError):
            raise opened.with_traceback(None)
        return opened


def folders(circumstances: Mapping[str, object]) -> list[Path]:
    """Where the data of an arm may lie: this user's folder, then the one that the record names."""
    run = circumstances.get("run")
    named = run.get("data") if isinstance(run, Mapping) else None
    own = Path(os.environ.get(DATA_VARIABLE) or "data")
    return [own, Path(named)] if isinstance(named, str) and named else [own]


def strip(store: Store, video: str, how: Sampling) -> Bytes:
    """The strip of one video as RGB (H, W, 3)."""
    size = store.video(video)
    view = testing_view(size.frames, size.height, size.width, replace(how, test="middle"), 0, video)
    if len(view.centres) > MOST_FRAMES:
        kept = np.linspace(0, len(view.centres) - 1, MOST_FRAMES).round().astype(int)
        view = View(view.centres[kept], view.crop, view.down)
    times, height, width = view.shape
    frames, flow = (np.empty((channels, times, height, width), np.uint8) for channels in (3, 2))
    shown = Seen(store, video, view.centres, how.delay)
    write_frames(shown, view, frames)
    write_flow(shown, view, replace(how, fields=1, stacking="plain", subtract_mean=False), flow)
    fields = list(flow.swapaxes(0, 1))
    fastest = max(LEAST_SPEED, *(float(speed(one, store.bound).max()) for one in fields))
    seen = [scaled(np.moveaxis(frames[:, time], 0, -1)) for time in range(times)]
    moved = [scaled(colours(one, store.bound, fastest)) for one in fields]
    lines = [_line(seen), _line(moved)]
    return np.concatenate([lines[0], np.full((GAP, lines[0].shape[1], 3), 255, np.uint8), lines[1]])


def scaled(picture: Bytes) -> Bytes:
    """Enlarged by a whole number, pixel by pixel, or reduced to `SIDE`."""
    side = min(picture.shape[:2])
    if side <= SIDE:
        return picture.repeat(SIDE // side, axis=0).repeat(SIDE // side, axis=1)
    height, width = (round(length * SIDE / side) for length in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def encode(picture: Bytes) -> bytes:
    """PNG, or JPEG where that would be larger than `LARGEST`."""
    pixels = np.ascontiguousarray(picture[..., ::-1])
    content = _written(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, LEVEL])
    for quality in QUALITIES:
        if len(content) <= LARGEST:
            break
        content = _written(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return content


def _written(ending: str, pixels: Bytes, options: list[int]) -> bytes:
    done, content = cv2.imencode(ending, pixels, options)
    if not done:
        raise UserError("a strip cannot be written as a picture", got=f"{pixels.shape} as {ending}")
    return bytes(content.tobytes())


def _line(pictures: list[Bytes]) -> Bytes:
    space = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, space)]
    return np.concatenate(parts[:-1], axis=1)


def _data(entry: Entry) -> DataConfig:
    config = entry.record["config"]["data"]
    return DataConfig.of(config, tuple(config.get("quarantine", ())))


def _opened(folder: Path, expected: str, quarantine: frozenset[str]) -> Store | UserError:
    try:
        store = Store.open(folder)
    except UserError as error:
        return error
    kept = {name: video for name, video in store.videos.items() if name not in quarantine}
    content = content_hash(kept, store.made, store.coding) if quarantine else store.hash
    if content != expected:
        return UserError("the packed videos here are not those of the record", got=folder)
    return store
