"""The scene of one clip: a pure function of the seed and the clip's name.

Everything is drawn from (seed, name), in the same order for all labels, so that only the label differs between classes:
the sides of the places, the hand's side, the decoy's place and motion, phases, senses, noise, shake. The ground comes
from (seed, clip), or from (seed, group): then the clips of a group share it, as UCF101's share a scene, and since all
classes have the same groups, it does not show the class.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fusionlab.data.brush.cycle import Cycle
from fusionlab.data.brush.labels import Label
from fusionlab.data.brush.motions import Motion, sign
from fusionlab.data.brush.vocabulary import BRUSH, Vocabulary
from fusionlab.records.draws import key

SIZE = 50  # side of the stored picture
CROP = 48  # side of the crop that a protocol takes, at any offset
REACH = 10  # a place's centre lies REACH to each side of the middle
JITTER = 1  # and both together up to JITTER off it
GROUND = 10.0  # radius of a place: the circle and the disc on it fit in, and two places do not overlap
# Largest shift of a frame. SIZE/2 − (REACH + JITTER + GROUND + SHAKE_MOST) ≥ SIZE − CROP: so no crop loses a place.
SHAKE_MOST = 1


@dataclass(frozen=True)
class Scene:
    """A drawn clip: positions in pixels (x, y) for each frame, hues as numbers of places (0 …)."""

    place_hues: tuple[int, ...]  # the place at the hand, the place at the decoy, if there is one
    centres: NDArray[np.float64]  # (2, 2): hand's place, decoy's place, in the first frame; x, y
    paths: NDArray[np.float64]  # (2, F, 2): hand, decoy; absolute x, y; (1, F, 2) or (0, F, 2) where there are fewer
    ground_seed: int  # of ground and clutter, which clips may share
    noise_seed: int
    shake: NDArray[np.int64]  # (F, 2): shift of each frame, x, y
    words: Vocabulary = BRUSH
    motions: tuple[int, ...] = ()  # the hand's, the decoy's; of an order clip the first one of the cycle
    away: NDArray[np.bool_] | None = None  # (F,): whether hand and decoy, with their places, have changed sides

    def centres_at(self, frame: int) -> NDArray[np.float64]:
        """The centres of the hand's and the decoy's place in a frame."""
        return self.centres[::-1] if self.away is not None and self.away[frame] else self.centres


def compose(
    seed: int,
    name: str,
    ground: str | int,
    label: Label,
    frames: int,
    shake: float,
    words: Vocabulary = BRUSH,
    cycle: Cycle | None = None,
    decoy_speed: float = 1.0,
    exchange: bool = False,
) -> Scene:
    """The scene of clip `name`.

    `ground`: the name of its ground; clips with one name share it. `cycle`: for clips that ask for order; it determines
    their length. `exchange`: at one moment hand and decoy change sides, together with their places.
    """
    draw = np.random.Generator(np.random.Philox(key=key("brush", seed, name)))
    away = None
    hand_place = int(draw.integers(len(words.places))) if label.place is None else label.place
    if label.kind in ("how", "still"):
        places: tuple[int, ...] = (hand_place,)
        motions: tuple[int, ...] = () if label.motion is None else (label.motion,)
        centres = SIZE / 2 - 0.5 + draw.integers(-REACH, REACH + 1, (1, 2)).astype(np.float64)
        moving = [words.motions[motion].path(frames, draw) + centres[0] for motion in motions]
        paths = np.stack(moving) if moving else np.empty((0, frames, 2))
    else:
        # As distances on a ring of places and motions: where a class fixes one, the other stays uniform.
        places = (hand_place, (hand_place + 1 + int(draw.integers(len(words.places) - 1))) % len(words.places))
        ring = len(words.motions)
        any_motion, apart = int(draw.integers(ring)), 1 + int(draw.integers(ring - 1))
        hand_motion = any_motion if label.motion is None else label.motion
        first = sign(draw)  # the hand's side
        middle = SIZE / 2 - 0.5 + draw.integers(-JITTER, JITTER + 1, 2)
        axis = _axis(label.kind, draw)
        centres = middle + REACH * first * np.stack([axis, -axis])
        if label.sense is None:
            motions = (hand_motion, (hand_motion + apart) % ring)
            hand, decoy = words.motions[motions[0]], _faster(words.motions[motions[1]], decoy_speed)
            spans = [frames]
            if exchange:
                moment = 1 + int(draw.integers(frames - 1))
                away, spans = np.arange(frames) >= moment, [moment, frames - moment]
            # Then each starts at a new angle, so that luma does not distinguish hand and decoy.
            offsets = [np.concatenate([one.path(span, draw) for span in spans]) for one in (hand, decoy)]
        else:
            assert cycle is not None
            begins = int(draw.integers(len(words.cycle)))
            motions = (words.cycle[begins],) * 2
            others = [_faster(motion, decoy_speed) for motion in words.in_cycle()]
            offsets = [cycle.path(three, label.sense, begins, draw) for three in (words.in_cycle(), others)]
        paths = np.stack(offsets)
        if away is None:
            paths += centres[:, None]
        else:
            paths += np.where(away[:, None], centres[::-1, None], centres[:, None])
    frames = paths.shape[1]
    noise_seed = int(draw.integers(2**31))
    shifts = np.zeros((frames, 2), dtype=np.int64)
    if shake:
        shifts[:] = np.clip(np.rint(shake * draw.normal(0, 1, shifts.shape)), -SHAKE_MOST, SHAKE_MOST)
    return Scene(places, centres, paths, key("brush ground", seed, ground), noise_seed, shifts, words, motions, away)


def _faster(motion: Motion, times: float) -> Motion:
    return motion if times == 1 else replace(motion, speed=motion.speed * times)


def _axis(kind: str, draw: np.random.Generator) -> NDArray[np.float64]:
    """The direction from the middle to one place. It shows the kind of question; a mirror does not change that."""
    if kind == "order":  # either diagonal
        return np.array([1.0, sign(draw)]) / np.sqrt(2)
    return np.array([1.0, 0.0]) if kind == "what" else np.array([0.0, 1.0])
