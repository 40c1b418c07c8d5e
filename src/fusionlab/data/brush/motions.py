"""The motions of a hand, four in each vocabulary, which no single frame distinguishes.

Every motion runs on one circle of radius RADIUS about its place. The angle at frame t is

    steady    θ(t) = θ₀ + s ω t
    rocking   θ(t) = θ₀ + s ω tri(t + φ),      tri = triangle wave of slope ±1 that turns every TURN frames

with θ₀ uniform on the circle, the sense s = ±1 and the phase φ uniform. θ₀ is independent of all else, so at *every*
frame the position relative to the place is uniform on the same circle for every motion: one frame does not show the
motion. A mirrored clip is the same motion in the other sense, so mirrored views, as the papers draw them, keep their
labels. SLOW and FAST differ by a factor of 3, and a rocking hand turns at least once within any TURN + 1 fields.

brush2's motions have other speeds (a factor of 2.5) and another time between two turns, 3 fields. None of its eight
numbers occurs in brush.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RADIUS = 6.0  # pixels
SLOW, FAST = 0.14, 0.42  # radians a frame: 0.84 and 2.52 pixels a frame
TURN = 2  # fields between two turns of a rocking hand: any window of TURN + 1 fields or more holds a turn


def sign(draw: np.random.Generator) -> float:
    """-1 or 1: the same as draw.choice((-1.0, 1.0)), in a fifth of its time."""
    return (-1.0, 1.0)[int(draw.integers(2))]


@dataclass(frozen=True)
class Motion:
    """A motion: its angular speed, and whether it rocks."""

    name: str
    speed: float
    rocking: bool
    turn: int = TURN

    def angles(self, frames: int, draw: np.random.Generator) -> NDArray[np.float64]:
        """Angle at each frame; draws θ₀, the sense and the phase, always in this order and always all three."""
        start = draw.uniform(0, 2 * np.pi)
        sense = sign(draw)
        phase = int(draw.integers(2 * self.turn))
        t = np.arange(frames)
        if self.rocking:
            place = (t + phase) % (2 * self.turn)
            t = np.minimum(place, 2 * self.turn - place)
        return np.asarray(start + sense * self.speed * t, dtype=np.float64)

    def path(self, frames: int, draw: np.random.Generator) -> NDArray[np.float64]:
        """Offsets (frames, 2) from the place: x, y."""
        return on_circle(self.angles(frames, draw))


def on_circle(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Offsets (frames, 2) from the place at these angles: x, y."""
    offsets = np.empty((len(angles), 2))
    np.cos(angles, out=offsets[:, 0])
    np.sin(angles, out=offsets[:, 1])
    offsets *= RADIUS
    return offsets


MOTIONS = (
    Motion("Stroke", SLOW, rocking=False),
    Motion("Whirl", FAST, rocking=False),
    Motion("Rub", SLOW, rocking=True),
    Motion("Scrub", FAST, rocking=True),
)
MOTIONS2 = (
    Motion("Wipe", 0.22, rocking=False, turn=3),
    Motion("Spin", 0.55, rocking=False, turn=3),
    Motion("Knead", 0.22, rocking=True, turn=3),
    Motion("Shake", 0.55, rocking=True, turn=3),
)
