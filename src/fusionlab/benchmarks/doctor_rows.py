"""Rows on the doctor's bounds: the disagreement of sound flow with its own estimates, and that of flow of other frames.

The bounds of "unlike" (`health.flow_verdict`) follow from these rows: sound sets stay below half of the bound of a set,
sound videos below two thirds of that of a video. Every 30 frames of a file are a video, and its videos a set. Flow is
computed at a short side of 256 by several methods and read back from JPEGs, as flow that is imported.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.benchmarks.measure import BenchRow
from fusionlab.errors import UserError
from fusionlab.health.field_checks import pairs_compared, windows
from fusionlab.health.flow_evidence import RIGHT, Evidence, estimate_pairs, evidence
from fusionlab.health.flow_verdict import OF_SET, OF_VIDEO, verdict
from fusionlab.video.decode import PyAV
from fusionlab.video.flow import Dis, Farneback, gray
from fusionlab.video.opencv import cv2
from fusionlab.video.quantise import BOUND, quantise
from fusionlab.video.resize import resize

CLIPS = "FUSIONLAB_CLIPS"
LONG, SIZE, QUALITY = 30, 256, 95
METHODS: dict[str, Any] = {
    "DIS": Dis(1, 8, 3, 25, 5), "DIS at full scale": Dis(), "Farneback, window 9": Farneback(9, 3),
    "Farneback, window 15": Farneback(15, 3, poly_sigma=1.2),
}  # fmt: skip
SOUND, OTHER = "sound", "of other frames"
Seen = dict[tuple[str, str], list[list[Evidence]]]  # of a method, sound or not: the evidence of each video


def rows() -> Iterator[BenchRow]:
    sets = [seen for file in _files() if (seen := _evidence(file))]
    if not sets:
        yield BenchRow("disagreement of sound flow", None, "", missing=f"{CLIPS} names no folder of clips")
        return
    for name in METHODS:
        yield _row(f"of a sound set: {name}, the largest", [_of_set(seen[name, SOUND]) for seen in sets])
    sound = [videos for seen in sets for (_, what), videos in seen.items() if what == SOUND]
    other = [videos for seen in sets for (_, what), videos in seen.items() if what == OTHER]
    yield _row("of a sound set: the largest", [_of_set(videos) for videos in sound], OF_SET.unlike / 2)
    yield _row("of a sound video: the largest", [_of_videos(videos) for videos in sound], OF_VIDEO.unlike / 1.5)
    alarms = [_alarms(videos) for videos in sound]
    yield BenchRow(
        f"faults found in {len(sound)} sound sets and their {sum(map(len, sound))} videos", sum(alarms), "", 0.0
    )
    nearest = [one for videos in other for one in _of_set(videos)]
    what = f"bound of a set over the disagreement of flow of other frames: the nearest of {len(nearest)} sets"
    yield BenchRow(what, OF_SET.unlike / min(nearest), "×", 1.0)


def _of_set(videos: list[list[Evidence]]) -> list[float]:
    """Nothing where too few pairs move."""
    one = verdict([pair for video in videos for pair in video])
    return [one.of_right] if one.of_right is not None and one.pairs >= OF_SET.pairs else []


def _alarms(videos: list[list[Evidence]]) -> int:
    whole = verdict([pair for video in videos for pair in video])
    wrong = whole.holds != RIGHT or whole.stretch != 1 or any(whole.offset(BOUND))
    return wrong + sum(verdict(video, OF_VIDEO).holds != RIGHT for video in videos)


def _of_videos(videos: list[list[Evidence]]) -> list[float]:
    each = [verdict(video, OF_VIDEO) for video in videos]
    return [one.of_right for one in each if one.of_right is not None and one.pairs >= OF_VIDEO.pairs]


def _row(what: str, values: list[list[float]], most: float | None = None) -> BenchRow:
    every = [one for some in values for one in some]
    return BenchRow(f"disagreement {what} of {len(every)}", max(every), "", most)


def _files() -> list[Path]:
    folder = os.environ.get(CLIPS)
    return sorted(file for file in Path(folder).iterdir() if file.is_file()) if folder else []


def _evidence(file: Path) -> Seen:
    """Each `LONG` frames of a file are a video; nothing of a file that cannot be read."""
    seen: Seen = {(name, what): [] for name in METHODS for what in (SOUND, OTHER)}
    frames: list[NDArray[np.uint8]] = []
    try:
        for frame in PyAV().frames(file):
            frames.append(gray(resize(frame, SIZE)))
            if len(frames) == LONG:
                _add_video(seen, np.stack(frames))
                frames.clear()
    except UserError:
        pass
    return seen if any(seen.values()) else {}


def _add_video(seen: Seen, frames: NDArray[np.uint8]) -> None:
    for videos in seen.values():
        videos.append([])
    for start, stop in windows(LONG):
        window = frames[start:stop]
        estimates = estimate_pairs(window)
        for name, method in METHODS.items():
            fields = [method(one, other) for one, other in itertools.pairwise(window)]
            for k in pairs_compared(len(estimates)):
                # Flow of far frames, at other places: no hypothesis of the doctor has it.
                other = np.roll(fields[k - 5], fields[k].shape[2] // 3, axis=2)
                for what, field in ((SOUND, fields[k]), (OTHER, other)):
                    levels = _read_back(quantise(field, BOUND))
                    seen[name, what][-1].append(evidence("", levels, BOUND, estimates[k]))


def _read_back(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    coded = [cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1] for plane in levels]
    return np.stack([np.asarray(cv2.imdecode(one, cv2.IMREAD_GRAYSCALE), dtype=np.uint8) for one in coded])
