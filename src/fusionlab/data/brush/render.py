"""Rendering a scene: luma first, then a hue for each pixel, which does not change luma.

    frame = palette[hue(x, y), luma(x, y)]

`luma` is drawn first, from positions and texture alone: a still ground, and on it two equal discs with one moving
pattern. `hue` is drawn from the same positions and never changes luma. The places are painted in hue only: they have no
luma at all, so flow cannot see them.
"""

import math
from functools import lru_cache
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fusionlab.data.brush.palette import HIGH, LOW, palette
from fusionlab.data.brush.scene import GROUND, SHAKE_MOST, SIZE, Scene
from fusionlab.video.opencv import cv2

Pixel = TypeVar("Pixel", np.uint8, np.int16)

DISC = 4.0  # radius of hand and decoy
UNIT = 64  # steps of a level in which luma is computed: 16-bit integers, several times as fast as floats
MIDDLE = (LOW + HIGH) / 2  # luma around which ground and pattern vary; the pattern just fills LOW … HIGH
_AXIS = np.arange(SIZE + 2 * SHAKE_MOST, dtype=np.float64) - SHAKE_MOST  # of rows, and of columns
TOUCHED = int(DISC) + 1  # pixels on each side of a mover's centre that it can touch
NEAR = 2 * TOUCHED + 1  # side of the square in which it is drawn
_ROWS, _COLUMNS = np.arange(NEAR)[:, None], np.arange(NEAR)
PAD = SHAKE_MOST  # canvas around the picture: shaken frames are cut from it, so that they have no visible edge


def render(scene: Scene, noise: float = 0.0, clutter: int = 0, hue_distance: float = 1.0) -> NDArray[np.uint8]:
    """The clip as RGB (F, SIZE, SIZE, 3)."""
    lumas, hues = planes(scene, noise, clutter)
    colours = _packed(scene.words.hues, hue_distance, scene.words.turned)
    places = hues.astype(np.uint16)
    places <<= 8
    places |= lumas
    pixels = colours.take(places).view(np.uint8)
    return np.asarray(cv2.cvtColor(pixels.reshape(-1, SIZE, 4), cv2.COLOR_RGBA2RGB), np.uint8).reshape(*hues.shape, 3)


@lru_cache(maxsize=8)
def _packed(hues: int, distance: float, turned: float) -> NDArray[np.uint32]:
    """The palette as one row of colours of four bytes, which are looked up at once."""
    table = palette(hues, distance, turned).reshape(-1, 3)
    return np.pad(table, ((0, 0), (0, 1))).view(np.uint32)[:, 0]


def planes(scene: Scene, noise: float = 0.0, clutter: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Luma and hue number of each pixel, both (F, SIZE, SIZE)."""
    ground, hue = _still(scene, clutter, scene.centres)
    frames, movers = scene.paths.shape[1], (scene.words.hand, scene.words.decoy)
    luma = np.empty((frames, *ground.shape), dtype=np.int16)
    hues = np.empty((frames, *ground.shape), dtype=np.uint8)
    luma[:], hues[:] = ground, hue
    if scene.away is not None:
        hues[scene.away] = _still(scene, clutter, scene.centres[::-1])[1]
    # Each mover in each frame is drawn in a square around it: (movers, F, NEAR, NEAR).
    corners = np.clip((scene.paths + (PAD - TOUCHED)).astype(np.intp), 0, SIZE + 2 * PAD - NEAR)
    x, y = corners[..., 0, None, None] + _COLUMNS, corners[..., 1, None, None] + _ROWS
    at_x, at_y = scene.paths[..., 0, None, None], scene.paths[..., 1, None, None]
    dx, dy = (x - PAD - at_x).astype(np.float32), (y - PAD - at_y).astype(np.float32)
    apart = np.sqrt(dx**2 + dy**2)
    cover = np.minimum(np.maximum(DISC + 0.5 - apart, 0), 1)  # soft edge: motion of less than a pixel shows in luma
    covered = UNIT * (MIDDLE + 25 * (np.cos(dx) + np.cos(dy))) * cover
    left, inside = 1 - cover, apart < DISC
    near = (np.arange(frames)[:, None, None] * len(ground) + y) * len(ground) + x  # their pixels, counted through
    pixels, painted = luma.reshape(-1), hues.reshape(-1)
    for n, mover in zip(range(len(corners)), movers, strict=False):  # one after the other: squares may overlap
        pixels[near[n]] = np.rint(pixels.take(near[n]) * left[n] + covered[n])
        painted[near[n][inside[n]]] = mover
    luma = _shaken(luma, scene.shake) + np.int16(UNIT // 2)  # half a level, so that it is rounded below
    if noise:
        luma += _noise(scene.noise_seed, noise, luma.shape)
    luma >>= UNIT.bit_length() - 1
    return np.clip(luma, LOW, HIGH, out=luma).astype(np.uint8), _shaken(hues, scene.shake)


def _noise(seed: int, deviation: float, shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Noise of each pixel of each frame, as a camera's: a random byte chooses one of 256 quantiles."""
    count = math.prod(shape)
    words = np.random.Philox(key=seed).random_raw(-(-count // 8)).astype("<u8", copy=False)
    # cv2.LUT takes a third of np.take's time.
    return np.asarray(cv2.LUT(words.view(np.uint8)[None, :count], _quantiles(deviation)), np.int16).reshape(shape)


@lru_cache(maxsize=8)
def _quantiles(deviation: float) -> NDArray[np.int16]:
    """256 equally likely values with a normal distribution's shape and exactly this standard deviation, in UNITs."""
    normal = NormalDist()
    values = np.array([normal.inv_cdf((number + 0.5) / 256) for number in range(256)])
    return np.rint(UNIT * deviation / values.std() * values).astype(np.int16)


def _still(scene: Scene, clutter: int, centres: NDArray[np.float64]) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Luma and hue of the still parts: its ground and its places."""
    luma, spots = _ground(scene.ground_seed, clutter, len(scene.words.places))
    hue = spots.copy()
    for place, (centre_x, centre_y) in zip(scene.place_hues, centres, strict=True):
        hue[_disc(centre_x, centre_y, GROUND)] = 1 + place
    return luma, hue


@lru_cache(maxsize=64)  # the groups' grounds, which their clips share
def _ground(seed: int, clutter: int, places: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Soft blobs of grey, in UNITs, and spots in the places' hues."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    side = SIZE + 2 * PAD
    ground = draw.normal(0, 1, (side + 6, side + 6))
    for _ in range(3):
        ground = (ground[:-2] + ground[1:-1] + ground[2:]) / 3
        ground = (ground[:, :-2] + ground[:, 1:-1] + ground[:, 2:]) / 3
    hue = np.zeros((side, side), dtype=np.uint8)
    for _ in range(clutter):
        spot_x, spot_y, radius = draw.uniform(0, SIZE), draw.uniform(0, SIZE), draw.uniform(2, 4)
        hue[_disc(spot_x, spot_y, radius)] = 1 + draw.integers(places)
    return np.rint(UNIT * (MIDDLE + 12 * ground / ground.std())).astype(np.int16), hue


def _disc(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    """The pixels of the canvas in a circle."""
    return np.add.outer((_AXIS - y) ** 2, (_AXIS - x) ** 2) < radius**2


def _shaken(planes: NDArray[Pixel], shake: NDArray[np.int64]) -> NDArray[Pixel]:
    """Each frame cut from its canvas at its own shift."""
    if not shake.any():
        return planes[:, PAD : PAD + SIZE, PAD : PAD + SIZE]
    cut = [
        plane[PAD + dy : PAD + dy + SIZE, PAD + dx : PAD + dx + SIZE]
        for plane, (dx, dy) in zip(planes, shake, strict=True)
    ]
    return np.stack(cut)
