"""Pictures whose flow is known exactly: a textured square that goes its way over a still, textured ground."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = (80, 80)  # square, so that fields can be transposed
SQUARE = 34


def texture(draw: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Grey, (height, width), soft enough to be followed between pixels."""
    noise = draw.uniform(0, 255, (height, width)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 1.2)
    return (128 + (soft - soft.mean()) * (50 / soft.std())).clip(0, 255).astype(np.float32)


@dataclass(frozen=True)
class Scene:
    """`frames` (T, H, W) uint8, `flow` (T − 1, 2, H, W) forward, `back` backward."""

    frames: np.ndarray
    flow: np.ndarray
    back: np.ndarray


def wander(seed: int, frames: int = 8, noise: float = 0.0) -> Scene:
    """Another whole step at each frame, up to 4 pixels, so that each field is unlike its neighbours."""
    draw = np.random.default_rng(seed)
    height, width = SIDE
    ground, square = texture(draw, height, width), texture(draw, SQUARE, SQUARE)
    at = [int(draw.integers(8, height - SQUARE - 8)), int(draw.integers(4, width // 2 - SQUARE // 2))]
    pictures, places, steps = [], [], []
    for _ in range(frames):
        picture = ground.copy()
        picture[at[0] : at[0] + SQUARE, at[1] : at[1] + SQUARE] = square
        noisy = picture + draw.normal(0, noise, picture.shape) if noise else picture
        pictures.append(noisy.clip(0, 255).astype(np.uint8))
        places.append(tuple(at))
        step = [0, 0]
        while abs(step[0]) + abs(step[1]) < 2 or not (
            0 <= at[0] + step[0] <= height - SQUARE and 0 <= at[1] + step[1] <= width - SQUARE
        ):
            step = [int(one) for one in draw.integers(-4, 5, 2)]
        steps.append(step)
        at = [at[0] + step[0], at[1] + step[1]]
    flow, back = np.zeros((2, frames - 1, 2, height, width), dtype=np.float32)
    for k in range(frames - 1):
        for field, (y, x), sign in ((flow[k], places[k], 1), (back[k], places[k + 1], -1)):
            field[0, y : y + SQUARE, x : x + SQUARE] = sign * steps[k][1]
            field[1, y : y + SQUARE, x : x + SQUARE] = sign * steps[k][0]
    return Scene(np.stack(pictures), flow, back)


def warped(seed: int, turn: float, zoom: float, frames: int = 6) -> Scene:
    """All of the picture turns by `turn` radians a frame and grows by `zoom`, about its middle."""
    draw = np.random.default_rng(seed)
    height, width = SIDE
    large = texture(draw, 2 * height, 2 * width)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    step = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    y, x = np.indices((height, width))
    off = np.stack([x - middle[0], y - middle[1]], axis=-1)
    pictures = []
    for k in range(frames):
        source = off @ np.linalg.inv(np.linalg.matrix_power(step, k)).T + [width - 0.5, height - 0.5]
        pictures.append(cv2.remap(large, *np.float32(np.moveaxis(source, -1, 0)), cv2.INTER_LINEAR).astype(np.uint8))
    there = np.moveaxis(off @ (step - np.eye(2)).T, -1, 0)
    back = np.moveaxis(off @ (np.linalg.inv(step) - np.eye(2)).T, -1, 0)
    many = (frames - 1, 1, 1, 1)
    return Scene(np.stack(pictures), np.tile(there, many).astype("f4"), np.tile(back, many).astype("f4"))
