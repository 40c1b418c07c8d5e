"""Order: the sense of an endless cycle of three motions, ABCABC… or ACBACB…, which no single window of flow shows.

    fields   |<- segment ->|<- pause ->|<- segment ->|<- pause ->|<- segment ->|
    motion         m₀                        m₁                        m₂              mⱼ = cycle[(c + s j) mod 3]

c is uniform over the three motions, and the sense s = ±1 is the label. So in every field each of the three motions is
equally likely under both senses. A window of L ≤ pause fields touches at most one segment: at every place in the clip
it has the same distribution under both senses. A system that treats the snippets of a clip as a set (the average of
predictions, pool2d, a pool3d over all of T) sees only the set of motions: all three, if it sees all three segments. Two
neighbouring segments, in their order, show the sense: a filter of three steps in time is enough.

In the middle of each pause the hand is put down elsewhere on its circle, at a new random angle. So its position in one
segment does not depend on that in another, and one frame of each segment does not show the order. (Several frames of a
segment would show its motion, and so the order of the motions: our samplers take one.)

If snippets are a period apart, each window of L ≤ segment fields lies in one segment, and in each field the hand moves.
The clip is as long as its segments, and a sampler can begin at segment − L + 1 places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.data.brush.motions import Motion, on_circle
from fusionlab.errors import UserError


@dataclass(frozen=True)
class Cycle:
    """Lengths in fields."""

    segment: int = 8
    pause: int = 6
    segments: int = 3

    @property
    def period(self) -> int:
        return self.segment + self.pause

    @property
    def frames(self) -> int:
        return (self.segments - 1) * self.period + self.segment + 1

    def path(self, motions: Sequence[Motion], sense: int, first: int, draw: np.random.Generator) -> NDArray[np.float64]:
        """Offsets (frames, 2) from the place. `motions`: the three; `first`: which of them the clip begins with."""
        angle = np.empty(self.segments * self.period + 1)
        for number in range(self.segments):
            begins, half = number * self.period, self.pause // 2
            motion = motions[(first + sense * number) % len(motions)]
            moving = motion.angles(self.segment + 1, draw)
            angle[max(begins - half, 0) : begins] = moving[0]  # put down, after the first half of the pause
            angle[begins : begins + self.segment + 1] = moving
            angle[begins + self.segment + 1 : begins + self.period + 1] = moving[-1]
        return on_circle(angle[: self.frames])

    def expect(self, snippets: int, fields: int, stride: tuple[int, int]) -> None:
        """Raise a `UserError` if clips sampled in this way do not show the order, or one window shows it."""
        if fields > min(self.pause, self.segment):
            raise UserError(
                "a window of flow is longer than a pause or a segment of the cycle",
                got=f"data.sampling.fields={fields}, pause {self.pause}, segment {self.segment}",
                allowed=[f"1 … {min(self.pause, self.segment)} fields"],
                hint=f"data.dataset.pause={fields} data.dataset.segment={fields + 2} "
                f"data.sampling.stride={2 * fields + 2}",
            )
        if snippets > 1 and (snippets != self.segments or set(stride) != {self.period}):
            low, high = stride
            apart = f"τ {low if low == high else f'{low} … {high}'}" if low else "one in each segment of the video"
            raise UserError(
                "snippets must fall into neighbouring segments of the cycle",
                got=f"T {snippets}, {apart}",
                allowed=[f"T {self.segments} with τ {self.period} = segment {self.segment} + pause {self.pause}"],
                hint=f"data.sampling.snippets={self.segments} data.sampling.stride={self.period}"
                + ("" if low else " data.sampling.times=clip")
                + (f"; or data.dataset.segments={snippets}" if snippets != self.segments else ""),
            )  # fmt: skip
