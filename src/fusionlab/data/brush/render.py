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
TOUCHED = int(DISC) + 1  # pixels to each side of a mover's centre that it can touch
NEAR = 2 * TOUCHED + 1  # side of the square in which it is drawn
_ROWS, _COLUMNS = np.arange(NEAR)[:, None], np.arange(NEAR)
PAD = SHAKE_MOST  # canvas around the picture: a shaken frame is cut from it, so that no edge shows


def render(scene: Scene, noise: float = 0.0, clutter: int = 0, hue_distance: float = 1.0) -> NDArray[np.uint8]:
    """The clip as RGB (F, SIZE, SIZE, 3)."""
    lumas, hues = planes(scene, noise, clutter)
    colours = _packed(scene.words.hues, hue_distance, scene.words.turned)
    places = hues.astype(np.intp)
    places <<= 8
    places |= lumas
    found = colours.take(places).view(np.uint8).reshape(*places.shape, 4)
    rgb = np.empty((*places.shape, 3), dtype=np.uint8)
    for channel in range(3):  # several times as fast as a copy of three bytes out of four
        rgb[..., channel] = found[..., channel]
    return rgb


@lru_cache(maxsize=8)
def _packed(hues: int, distance: float, turned: float) -> NDArray[np.uint32]:
    """The palette as one row of colours of four bytes, which are looked up at once."""
    table = palette(hues, distance, turned).reshape(-1, 3)
    return np.pad(table, ((0, 0), (0, 1))).view(np.uint32)[:, 0]


def planes(scene: Scene, noise: float = 0.0, clutter: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Luma and hue number of each pixel, both (F, SIZE, SIZE)."""
    ground, hue = _still(scene, clutter)
    frames, movers = scene.paths.shape[1], (scene.words.hand, scene.words.decoy)
    luma = np.empty((frames, *ground.shape))
    hues = np.empty((frames, *ground.shape), dtype=np.uint8)
    luma[:], hues[:] = ground, hue
    # Each mover in each frame is drawn in a square around it: (movers, F, NEAR, NEAR).
    corners = np.clip((scene.paths + (PAD - TOUCHED)).astype(np.intp), 0, SIZE + 2 * PAD - NEAR)
    x, y = corners[..., 0, None, None] + _COLUMNS, corners[..., 1, None, None] + _ROWS
    dx, dy = x - PAD - scene.paths[..., 0, None, None], y - PAD - scene.paths[..., 1, None, None]
    apart = np.sqrt(dx**2 + dy**2)
    cover = np.minimum(np.maximum(DISC + 0.5 - apart, 0), 1)  # soft edge: motion of less than a pixel shows in luma
    covered, left, inside = (MIDDLE + 25 * (np.cos(dx) + np.cos(dy))) * cover, 1 - cover, apart < DISC
    for n, mover in zip(range(len(corners)), movers, strict=False):  # one after the other: squares may overlap
        near = _each(frames), y[n], x[n]
        luma[near] = luma[near] * left[n] + covered[n]
        hues[near] = np.where(inside[n], np.uint8(mover), hues[near])
    if noise:
        shades = np.random.Generator(np.random.Philox(key=scene.noise_seed)).standard_normal(luma.shape)
        shades *= noise
        luma += shades
    np.rint(luma, out=luma)
    np.clip(luma, LOW, HIGH, out=luma)
    return _shaken(luma.astype(np.uint8), scene.shake), _shaken(hues, scene.shake)


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


def _each(frames: int) -> NDArray[np.intp]:
    return np.arange(frames)[:, None, None]


def _shaken(planes: NDArray[np.uint8], shake: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Each frame cut from its canvas at its own shift."""
    if not shake.any():
        return planes[:, PAD : PAD + SIZE, PAD : PAD + SIZE]
    cut = [
        plane[PAD + dy : PAD + dy + SIZE, PAD + dx : PAD + dx + SIZE]
        for plane, (dx, dy) in zip(planes, shake, strict=True)
    ]
    return np.stack(cut)
