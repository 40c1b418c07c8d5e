"""A page about brush: its clips and their flow, its classes, its ceilings, and the results of the probes.

    python -m fusionlab.doctor data=brush --page experiments/brush/brush

writes FOLDER/page.md and its pictures. They depend only on the data set's seed and the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fusionlab.data.brush.brush import Brush
from fusionlab.data.brush.labels import SYSTEMS
from fusionlab.errors import UserError
from fusionlab.records.files import disk_errors, write_bytes, write_text
from fusionlab.results.formatting import plain
from fusionlab.results.text_tables import escape_markdown
from fusionlab.video.flow_colours import colours
from fusionlab.video.opencv import cv2
from fusionlab.video.store import Store

if TYPE_CHECKING:
    from fusionlab.health.brush_proof import ProbeResult

Bytes = NDArray[np.uint8]
SHOWN, LARGER, GAP = 9, 3, 6  # frames of a clip in a row, times its size, pixels between two
PAPER = 255
FASTEST = 3.0  # pixels a frame that have the full colour
SYSTEM = {
    "appearance": "appearance alone, of one frame at a time", "motion": "motion alone, of one window at a time",
    "late": "any function of the two streams' scores", "fused": "a fusion that is blind to order",
    "ordered": "a fusion that sees order",
}  # fmt: skip
QUESTION = {
    "what": "at which place is the hand?", "binding": "at which place is the hand, and how does it move?",
    "order": "in which sense does the cycle of three motions run?", "how": "how does the hand move?",
    "still": "which place is it?",
}  # fmt: skip


def write(folder: Path, brush: Brush, store: Store, results: Sequence[ProbeResult], chosen: str) -> Path:
    """The page and its pictures, each written atomically. `chosen`: the name of the set's configuration."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for kind in brush.knobs.kinds:
        done, content = cv2.imencode(".png", np.ascontiguousarray(_sheet(brush, store, kind)[..., ::-1]))
        if not done:
            raise UserError("a picture cannot be written as PNG", got=folder)
        write_bytes(folder / f"{kind}.png", content.tobytes())
    page = folder / "page.md"
    write_text(page, "\n".join(_lines(brush, store, results, chosen)) + "\n")
    return page


def _sheet(brush: Brush, store: Store, kind: str) -> Bytes:
    """The first clips of some of a kind's classes: a row of frames, and below it the fields between them."""
    of_kind = [label for label, one in enumerate(brush.labels) if one.kind == kind]
    rows = []
    for label in of_kind[:: max(1, len(of_kind) // 3)][:3]:
        name = next(name for name, other in brush.videos() if other == label)
        video = store.video(name)
        times = np.unique(np.linspace(0, video.frames - 2, min(SHOWN, video.frames - 1)).round().astype(int))
        rows.append(_row([_enlarged(frame) for frame in store.frames(name, times)]))
        rows.append(
            _row([_enlarged(colours(store.flow(name, int(time), 1)[0], store.bound, FASTEST)) for time in times])
        )
    width = max(row.shape[1] for row in rows)
    space = np.full((GAP, width, 3), PAPER, np.uint8)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=PAPER) for row in rows]
    return np.concatenate([part for row in padded for part in (row, space)])


def _row(pictures: Sequence[Bytes]) -> Bytes:
    space = np.full((pictures[0].shape[0], GAP, 3), PAPER, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, space)], axis=1)


def _enlarged(picture: Bytes) -> Bytes:
    return picture.repeat(LARGER, axis=0).repeat(LARGER, axis=1)


def _lines(brush: Brush, store: Store, results: Sequence[ProbeResult], chosen: str) -> Iterator[str]:
    yield f"# {chosen}, as networks see it"
    yield ""
    yield f"Made by `python -m fusionlab.doctor data={chosen} --page …` from the store {store.hash[:12]}…: frames by"
    yield f"{escape_markdown(plain(store.made.get('decoder', '?')))}, flow by {_flow(store)}."
    yield ""
    yield "## What is asked"
    yield ""
    yield "| kind | question | classes | clips |"
    yield "| --- | --- | ---: | ---: |"
    labels = [label for _, label in brush.videos()]
    for kind in brush.knobs.kinds:
        own = [label for label, one in enumerate(brush.labels) if one.kind == kind]
        yield f"| {kind} | {QUESTION[kind]} | {len(own)} | {sum(label in own for label in labels)} |"
    yield ""
    yield "## Ceilings"
    yield ""
    yield f"| best accuracy | {' | '.join(brush.knobs.kinds)} |"
    yield f"| --- |{' ---: |' * len(brush.knobs.kinds)}"
    for system in SYSTEMS:
        most = brush.ceilings(system)
        yield f"| {SYSTEM[system]} | {' | '.join(str(most[kind]) for kind in brush.knobs.kinds)} |"
    yield ""
    yield "## What it looks like"
    for kind in brush.knobs.kinds:
        names = [one.name for one in brush.labels if one.kind == kind]
        yield ""
        yield f"**{kind}** ({', '.join(names[:: max(1, len(names) // 3)][:3])}): frames, and below each the field that"
        yield "leads on from it (hue is direction, white is rest)."
        yield ""
        yield f"![clips that ask for {kind}]({kind}.png)"
    yield ""
    yield "## What the probes read"
    yield ""
    if not results:
        yield "They were not run."
        return
    hows = list(results[0].accuracies)
    yield f"| quantity | from | | {' | '.join(hows)} | |"
    yield f"| --- | --- | --- |{' ---: |' * len(hows)} --- |"
    for one in results:
        must = "must be seen" if one.visible else f"must not be seen: chance {100 * one.chance:.1f} %"
        yield f"| {one.quantity} | {one.of} | {must} | {' | '.join(str(one.accuracies[how]) for how in hows)} | " + (
            "holds |" if one.holds else "**does not hold** |"
        )


def _flow(store: Store) -> str:
    made = store.made.get("flow", {})
    text = ", ".join(f"{name} {value}" for name, value in made.items()) if isinstance(made, dict) else str(made)
    return escape_markdown(plain(text))
