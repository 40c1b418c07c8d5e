"""Test clips with one stream taken away, to measure how sensitive a trained net is to it: `motion:mean`.

    mean      the mean input: each channel at what its tower takes for zero
    freeze    time stands still: each snippet shows the first one; of flow, the field at that snippet's frame is repeated
    shuffle   this stream is another test clip's: a permutation of the test list without a fixed point, drawn from
              key("ablation", stream) without labels; so each clip is used once, in the same view

The other stream and the labels stay. Such inputs lie off the training's distribution, so what an accuracy loses is
called sensitivity, and not how much information the stream has.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusionlab.errors import UserError, unknown

HOW = ("mean", "freeze", "shuffle")
OF = ("appearance", "motion")


@dataclass(frozen=True)
class Ablation:
    """The stream that is taken away, and how."""

    stream: str
    how: str

    @classmethod
    def parse(cls, text: str) -> Ablation:
        """`motion:mean` and its like; anything else is a `UserError`."""
        stream, colon, how = str(text).partition(":")
        if not colon:
            raise UserError(
                "an ablation is a stream and what it becomes", got=f"ablate={text}", hint="ablate=motion:mean"
            )
        if stream not in OF:
            raise unknown("stream", stream, OF, form=f"ablate={{}}:{how}")
        if how not in HOW:
            raise unknown("ablation", how, HOW, form=f"ablate={stream}:{{}}")
        return cls(stream, how)

    def __str__(self) -> str:
        return f"{self.stream}:{self.how}"
