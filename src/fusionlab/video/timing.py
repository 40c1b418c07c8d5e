"""The time of each frame of a file, in seconds from the first.

    time of frame i  =  (i-th smallest presentation time stamp − the smallest) · time base

where a file has one for each frame that can be decoded, and no two are equal. Some have not (HMDB51's MPEG-4 with
packed B-frames); their frames are taken to be equally long, by the average rate, with a note.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from fusionlab.video.decode import best, opened

USUAL_RATE = 25.0  # where a file declares none


@dataclass(frozen=True)
class Timing:
    """`variable`: the lengths of frames differ by more than a tenth."""

    times: list[float]
    variable: bool
    notes: list[str]


def timing(path: Path, frames: int) -> Timing:
    """The timing of a file with this many frames. Packets are read, but nothing is decoded."""
    with opened(path) as container:
        stream = best(container)
        assert stream is not None, "a file that was decoded has a video"
        notes = several(len(container.streams.video), stream.index)
        stamps = [packet.pts for packet in container.demux(stream) if packet.size]
        rate = float(stream.average_rate or 0) or USUAL_RATE
        base = float(stream.time_base or 0)
    known = sorted(stamp for stamp in stamps if stamp is not None)
    if len(known) != len(stamps) or len(set(known)) != frames or len(known) != frames or not base:
        notes.append(f"its time stamps do not fit its {frames} frames; these are taken to be 1/{rate:g} s long")
        return Timing([number / rate for number in range(frames)], False, notes)
    times = [(stamp - known[0]) * base for stamp in known]
    steps = [after - before for before, after in itertools.pairwise(times)]
    variable = bool(steps) and max(steps) > 1.1 * min(steps)
    if variable:
        notes.append(f"its frames are not equally long: {min(steps) * 1000:.1f} to {max(steps) * 1000:.1f} ms")
    return Timing(times, variable, notes)


def several(count: int, index: int) -> list[str]:
    """The note for a file with several video streams."""
    return [f"{count} video streams; stream {index} is read, by PyAV"] if count > 1 else []
