"""When a checkpoint is due: after a number of steps, or of seconds.

0       never
50      every 50 steps
30s     every 30 seconds; also 5min, 1h
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from fusionlab.errors import UserError, is_whole

UNITS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Every:
    """`steps`: 0, if steps do not count. `seconds`: infinite, if time does not count."""

    steps: int = 0
    seconds: float = math.inf

    @classmethod
    def parse(cls, option: str, value: int | str) -> Every:
        """A whole number of steps, or of seconds, minutes or hours.

        >>> Every.parse("every", "5min")
        Every(steps=0, seconds=300)
        """
        if is_whole(value) and int(value) >= 0:
            return cls(int(value))
        time = re.fullmatch(r"([1-9]\d{0,5})(s|min|h)", str(value))
        if time is None:
            allowed = ["0 (never)", "a number of steps", "a time: 30s, 5min, 1h"]
            raise UserError("a number of steps or a time", got=f"{option}={value}", allowed=allowed,
                            hint=f"{option}=5min")  # fmt: skip
        return cls(0, int(time[1]) * UNITS[time[2]])

    def __bool__(self) -> bool:
        """Whether there is ever one."""
        return self.steps > 0 or self.seconds < math.inf

    def is_due(self, step: int, seconds: float) -> bool:
        """`seconds`: since the last one, or since the start."""
        return (self.steps > 0 and step % self.steps == 0) or seconds >= self.seconds

    def expected(self, steps: int | None, seconds: float | None) -> bool:
        """Whether a job of so many steps and seconds writes one; what is unknown (None) may be many."""
        if self.steps:
            return steps is None or steps >= self.steps
        return bool(self) and (seconds is None or seconds >= self.seconds)
