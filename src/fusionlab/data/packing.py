"""One part of a store: some videos, each read once in sequence, flow computed, packed.

Runs in a worker process that must start quickly: no torch here.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionlab.errors import UserError
from fusionlab.records.crash import crash_point
from fusionlab.records.files import publish, read_json, write_json
from fusionlab.video.decode import Reader
from fusionlab.video.flow import Estimator, fields
from fusionlab.video.quantise import quantise
from fusionlab.video.resize import resize
from fusionlab.video.store import FLOW, FRAMES, PartWriter, Video

CONTENTS = "part.json"


@dataclass(frozen=True)
class Making:
    """How videos become pixels: the same for all of a store."""

    reader: Reader
    flow: Estimator
    bound: float
    size: int | None

    def describe(self) -> dict[str, Any]:
        """For the index, and to know whether an old part was made in the same way."""
        flow = {**self.flow.describe(), "bound": self.bound}
        return {"decoder": self.reader.info, "flow": flow, "size": self.size}


@dataclass(frozen=True)
class Part:
    """A part to be made: which videos, and where it goes."""

    folder: Path  # of all parts
    name: str
    videos: tuple[tuple[str, int, Path], ...]  # name, label, file
    making: Making


def pack(part: Part) -> dict[str, Video]:
    """Make a part in a folder of its own and publish it by one rename; one that is there is only read."""
    finished = contents(part)
    if finished is not None:
        return finished
    # Beside the parts' folder, not in it: what a killed process leaves must not be published with the store.
    attempt = part.folder.with_name(f"{part.folder.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with PartWriter(attempt, part.name) as writer:
            for name, label, file in part.videos:
                _add(writer, name, label, file, part.making)
                crash_point("prepare.video")
        described = {
            "made": part.making.describe(),
            "videos": {n: asdict(v) for n, v in writer.videos.items()},
        }
        write_json(attempt / CONTENTS, described)
        shutil.rmtree(part.folder / part.name, ignore_errors=True)  # only one that `contents` has refused
        publish(attempt, part.folder / part.name)
    finally:
        shutil.rmtree(attempt, ignore_errors=True)
    return writer.videos


def contents(part: Part) -> dict[str, Video] | None:
    """What a part holds, if it is there, whole, of these videos, and made in this way."""
    folder = part.folder / part.name
    try:
        described = read_json(folder / CONTENTS)
        videos = {name: Video(**place) for name, place in described["videos"].items()}
        sizes = {
            FRAMES: sum(video.frames_bytes for video in videos.values()),
            FLOW: sum(video.flow_bytes for video in videos.values()),
        }
        whole = all((folder / file).stat().st_size == size for file, size in sizes.items())
        same = described["made"] == part.making.describe()
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return None
    wanted = [(name, label) for name, label, _ in part.videos]
    return videos if whole and same and [(name, v.label) for name, v in videos.items()] == wanted else None


def _add(writer: PartWriter, name: str, label: int, file: Path, making: Making) -> None:
    frames = np.stack([resize(frame, making.size) for frame in making.reader.frames(file)])
    if len(frames) < 2:
        raise UserError("flow needs at least two frames", got=f"{name}: {len(frames)}")
    flow = np.stack([quantise(field, making.bound) for field in fields(making.flow, frames)])
    writer.add(name, label, frames, flow)
