"""Rows on brush: how much drawing adds to encoding."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.side_by_side import side_by_side
from fusionlab.data.brush.brush import CHUNK, GROUPS, Knobs, draw, drawn
from fusionlab.data.brush.labels import labels
from fusionlab.data.processes import keep_memory
from fusionlab.video.encode import write

SECONDS = 30.0


def rows() -> Iterator[BenchRow]:
    keep_memory()  # as the processes do that make brush
    knobs = Knobs()
    classes = labels(knobs.words, knobs.kinds)
    clips = [(f"{n}.avi", 1 + n % GROUPS, n % len(classes)) for n in range(CHUNK)]
    films = [drawn(knobs, classes[label], name, group) for name, group, label in clips]
    with tempfile.TemporaryDirectory() as folder:

        def encode() -> None:
            for (name, _, _), film in zip(clips, films, strict=True):
                write(Path(folder, name), film)

        ratio = side_by_side(partial(draw, Path(folder), knobs, clips), encode, SECONDS)
    what = f"drawing and encoding clips of brush, relative to encoding alone: {ratio.pairs} pairs of {CHUNK} clips"
    yield BenchRow(what, ratio.median, "×", 1 / 0.8, ratio.interval)
