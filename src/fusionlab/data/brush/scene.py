"""What happens in one clip: a pure function of the seed and the clip's name.

Everything is drawn from (seed, name) and drawn in one order, whatever the label, so that nothing but the label differs
between classes: which place lies where, which of the two the hand is at, the decoy's place and motion, phases, senses,
noise, shake. Clips of one group share their ground, as UCF101's share a scene; all classes have the same groups, so the
ground tells nothing of the class.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.data.brush.labels import PLACES, Label
from fusionlab.data.brush.motions import MOTIONS
from fusionlab.records.draws import key

SIZE = 50  # side of the stored picture
CROP = 48  # side of what a protocol cuts out of it, at any offset
REACH = 10  # a place's centre lies REACH to each side of the middle
JITTER = 1  # and both together up to JITTER off it
GROUND = 10.0  # radius of a place: the circle and the disc on it fit in, and two places do not overlap
# Largest shift of a frame. SIZE/2 − (REACH + JITTER + GROUND + SHAKE_MOST) ≥ SIZE − CROP: so no crop loses a place.
SHAKE_MOST = 1


@dataclass(frozen=True)
class Scene:
    """The drawn clip: positions in pixels (x, y), hues as numbers of places (0 …), per frame where it moves."""

    place_hues: tuple[int, int]  # the place at the hand, the place at the decoy
    centres: NDArray[np.float64]  # (2, 2): hand's place, decoy's place; x, y
    paths: NDArray[np.float64]  # (2, F, 2): hand, decoy; absolute x, y
    ground_seed: int  # what clips of one group share: their ground and clutter
    noise_seed: int
    shake: NDArray[np.int64]  # (F, 2): shift of each frame, x, y


def compose(seed: int, name: str, group: int, label: Label, frames: int, shake: float) -> Scene:
    """The scene of clip `name` in `group`."""
    draw = np.random.Generator(np.random.Philox(key=key("brush", seed, name)))
    # As distances around a ring of places and of motions: a class that fixes one leaves the other uniform.
    decoy_place = (label.place + 1 + int(draw.integers(len(PLACES) - 1))) % len(PLACES)
    any_motion, apart = int(draw.integers(len(MOTIONS))), 1 + int(draw.integers(len(MOTIONS) - 1))
    hand_motion = any_motion if label.motion is None else label.motion
    decoy_motion = (hand_motion + apart) % len(MOTIONS)
    first = draw.choice((-1.0, 1.0))  # which side the hand is on
    axis = np.array([1.0, 0.0]) if label.kind == "what" else np.array([0.0, 1.0])
    middle = SIZE / 2 - 0.5 + draw.integers(-JITTER, JITTER + 1, 2)
    centres = middle + REACH * first * np.stack([axis, -axis])
    paths = np.stack([MOTIONS[m].path(frames, draw) for m in (hand_motion, decoy_motion)]) + centres[:, None]
    noise_seed = int(draw.integers(2**31))
    shifts = np.clip(np.rint(shake * draw.normal(0, 1, (frames, 2))), -SHAKE_MOST, SHAKE_MOST).astype(np.int64)
    return Scene((label.place, decoy_place), centres, paths, key("brush ground", seed, group), noise_seed, shifts)
