"""From a scene to pictures: a luma that is blind to hue, then a hue for each pixel.

    frame = palette[hue(x, y), luma(x, y)]

`luma` is drawn first, from positions and texture alone: a still ground, and on it two equal discs with one moving
pattern. `hue` is drawn from the same positions and never changes luma. The places are painted in hue only: they have no
luma at all, so flow cannot see them.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fusionlab.data.brush.palette import HIGH, LOW, palette
from fusionlab.data.brush.scene import GROUND, SHAKE_MOST, SIZE, Scene

DISC = 4.0  # radius of hand and decoy
MIDDLE = (LOW + HIGH) / 2  # luma around which ground and pattern vary; the pattern just fills LOW … HIGH
_AXES = np.mgrid[0 : SIZE + 2 * SHAKE_MOST, 0 : SIZE + 2 * SHAKE_MOST].astype(np.float64) - SHAKE_MOST  # y, x
PAD = SHAKE_MOST  # canvas around the picture: a shaken frame is cut from it, so that no edge shows


def render(scene: Scene, noise: float = 0.0, clutter: int = 0, hue_distance: float = 1.0) -> NDArray[np.uint8]:
    """The clip as RGB (F, SIZE, SIZE, 3)."""
    lumas, hues = planes(scene, noise, clutter)
    return np.asarray(palette(scene.words.hues, hue_distance, scene.words.turned)[hues, lumas])


def planes(scene: Scene, noise: float = 0.0, clutter: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Luma and hue number of each pixel, both (F, SIZE, SIZE)."""
    ground, hue = _still(scene, clutter)
    frames, movers = scene.paths.shape[1], (scene.words.hand, scene.words.decoy)
    luma = np.repeat(ground[None], frames, axis=0)
    hues = np.repeat(hue[None], frames, axis=0)
    for mover, path in zip(movers, scene.paths, strict=False):  # there may be one or none
        near = _window(path)  # nothing is drawn elsewhere
        y, x = (axis - PAD for axis in np.mgrid[near])
        dx, dy = x - path[:, 0, None, None], y - path[:, 1, None, None]
        apart = np.sqrt(dx**2 + dy**2)
        cover = np.clip(DISC + 0.5 - apart, 0, 1)  # soft edge: motion of less than a pixel shows in luma
        pattern = MIDDLE + 25 * (np.cos(dx) + np.cos(dy))
        luma[:, *near] = luma[:, *near] * (1 - cover) + pattern * cover
        hues[:, *near][apart < DISC] = mover
    if noise:
        luma = luma + np.random.Generator(np.random.Philox(key=scene.noise_seed)).normal(0, noise, luma.shape)
    whole = np.clip(np.rint(luma), LOW, HIGH).astype(np.uint8)
    return _shaken(whole, scene.shake), _shaken(hues, scene.shake)


def _window(path: NDArray[np.float64]) -> tuple[slice, slice]:
    """Rows and columns of the canvas that a mover touches on its path (F, 2)."""
    first = np.clip(path.min(0) + PAD - DISC - 1, 0, SIZE + 2 * PAD).astype(int)
    last = np.clip(path.max(0) + PAD + DISC + 2, 0, SIZE + 2 * PAD).astype(int)
    return slice(first[1], last[1]), slice(first[0], last[0])


def _still(scene: Scene, clutter: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Luma and hue of all that stands still: the ground of the clip's group, and its places."""
    luma, spots = _ground(scene.ground_seed, clutter, len(scene.words.places))
    hue = spots.copy()
    y, x = _AXES
    for place, (centre_x, centre_y) in zip(scene.place_hues, scene.centres, strict=True):
        hue[(x - centre_x) ** 2 + (y - centre_y) ** 2 < GROUND**2] = 1 + place
    return luma, hue


@lru_cache(maxsize=64)  # the groups' grounds, which their clips share
def _ground(seed: int, clutter: int, places: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Soft blobs of grey, and spots in the places' hues."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    side = SIZE + 2 * PAD
    ground = draw.normal(0, 1, (side + 6, side + 6))
    for _ in range(3):
        ground = (ground[:-2] + ground[1:-1] + ground[2:]) / 3
        ground = (ground[:, :-2] + ground[:, 1:-1] + ground[:, 2:]) / 3
    y, x = _AXES
    hue = np.zeros((side, side), dtype=np.uint8)
    for _ in range(clutter):
        spot_x, spot_y, radius = draw.uniform(0, SIZE), draw.uniform(0, SIZE), draw.uniform(2, 4)
        hue[(x - spot_x) ** 2 + (y - spot_y) ** 2 < radius**2] = 1 + draw.integers(places)
    return MIDDLE + 12 * ground / ground.std(), hue


def _shaken(planes: NDArray[np.uint8], shake: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Each frame cut from its canvas at its own shift."""
    cut = [
        plane[PAD + dy : PAD + dy + SIZE, PAD + dx : PAD + dx + SIZE]
        for plane, (dx, dy) in zip(planes, shake, strict=True)
    ]
    return np.stack(cut)
