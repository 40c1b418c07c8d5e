"""The time of each frame of a file, in seconds from the first.

    time of frame i  =  (i-th smallest presentation time stamp − the smallest) · time base

where a file has one for each frame that can be decoded, and no two are equal; frames that an edit list leaves out are
not decoded, and not counted. Some have not (HMDB51's MPEG-4 with
packed B-frames); their frames are taken to be equally long, by the average rate, with a note.

A time that a caller computes, such as i / rate, can lie just before the time of its frame: floats are rounded, and so
are time stamps (Matroska's to milliseconds). So a frame counts as begun a little earlier (see `Timing.begins`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from fusionlab.records.time_limit import limited
from fusionlab.video.decode import best, opened, videos

USUAL_RATE = 25.0  # where a file declares none
MICRO = 1e-6
FLOAT32 = 2.0**-22  # the relative error of a time that was computed in float32, by two operations


@dataclass(frozen=True)
class Timing:
    """`variable`: the lengths of frames differ by more than a tenth. `tick`: the unit of time stamps, in seconds."""

    times: list[float]
    variable: bool
    notes: list[str]
    tick: float = 0.0

    @property
    def begins(self) -> list[float]:
        """The earliest time that counts as each frame's: its own, less what rounding may take.

        This is the error of a product or quotient in float32, and half a tick where frames are equally long and ticks
        are much shorter than frames. It is at most a quarter of the frame before.
        """
        steps = [after - before for before, after in itertools.pairwise(self.times)]
        stamped = 0.0 if self.variable or not steps or self.tick > min(steps) / 3 else self.tick / 2
        early = [stamped + MICRO + FLOAT32 * time for time in self.times]
        return [time - min(less, step / 4) for time, less, step in zip(self.times, early, [1.0, *steps], strict=True)]


def timing(path: Path, frames: int) -> Timing:
    """The timing of a file with this many frames. Packets are read, but nothing is decoded."""
    with opened(path) as container:
        stream = best(container)
        assert stream is not None, "a file that was decoded has a video"
        notes = several(len(videos(container)), stream.index)
        stamps = [p.pts for p in limited(container.demux(stream)) if p.size and not p.is_discard]
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
    return Timing(times, variable, notes, base)


def several(count: int, index: int) -> list[str]:
    """The note for a file with several video streams."""
    return [f"{count} video streams; stream {index} is read, by PyAV"] if count > 1 else []
