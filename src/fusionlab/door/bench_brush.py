"""Making brush: what drawing adds to encoding."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from fusionlab.data import memory
from fusionlab.data.brush.brush import GROUPS, Knobs, drawn
from fusionlab.data.brush.labels import labels
from fusionlab.door.bench_row import Row
from fusionlab.door.side_by_side import side_by_side
from fusionlab.video.encode import write

CLIPS, SECONDS = 60, 30.0


def rows() -> Iterator[Row]:
    memory.keep()  # as the processes do that make brush
    knobs = Knobs()
    classes = labels(knobs.words, knobs.kinds)
    clips = [(classes[n % len(classes)], f"{n}.avi", 1 + n % GROUPS) for n in range(CLIPS)]
    frames = [drawn(knobs, *clip) for clip in clips]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for _, name, _ in clips]

        def encode() -> None:
            for file, clip in zip(files, frames, strict=True):
                write(file, clip)

        def make() -> None:
            for file, clip in zip(files, clips, strict=True):
                write(file, drawn(knobs, *clip))

        ratio = side_by_side(make, encode, SECONDS)
    told = f"drawing and encoding clips of brush, of encoding alone: {ratio.pairs} pairs of {CLIPS} clips"
    yield Row(told, ratio.median, "×", 1 / 0.8, ratio.interval)
