"""Two small videos, and images of flow beside them, as the papers' tools write them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fusionlab.preparation.prepare import prepare
from fusionlab.video import encode
from fusionlab.video.imported import LAYOUTS, Imported
from fusionlab.video.store import Coding, Store

NAMES = ["Hop/v_Hop_g01_c01.avi", "Run/v_Run_g01_c01.avi"]
FRAMES, HEIGHT, WIDTH = 7, 24, 32


class Two:
    """A data set of two videos."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def videos(self) -> list[tuple[str, int]]:
        return [(name, number) for number, name in enumerate(NAMES)]

    def path(self, name: str) -> Path:
        return self.root / name


def picture(seed: int, *shape: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(128, 50, shape).astype(np.float32)
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 2) * 3 - 256, 0, 255).astype(np.uint8)


def planes(name: str, component: int) -> list[np.ndarray]:
    return [picture(NAMES.index(name) * 1000 + component * 100 + k, HEIGHT, WIDTH) for k in range(FRAMES - 1)]


def write(
    folder: Path, layout: str, *, classes: bool = False, first: int = 1, digits: int = 5, transposed: bool = False
) -> None:
    """As the tools write it: one JPEG a plane, and one a frame."""
    one = LAYOUTS[layout]
    for name in NAMES:
        below = Path(name).with_suffix("") if classes else Path(name).stem
        frames = [picture(9000 + k, HEIGHT, WIDTH, 3) for k in range(FRAMES)]
        for (above, prefix), images in ((one.x, planes(name, 0)), (one.y, planes(name, 1)), (one.frames, frames)):
            place = folder / above / below
            place.mkdir(parents=True, exist_ok=True)
            for number, image in enumerate(images, first):
                written = np.ascontiguousarray(image.swapaxes(0, 1)) if transposed else image
                cv2.imwrite(str(place / f"{prefix}{number:0{digits}d}.jpg"), written)


def write_videos(folder: Path, height: int = HEIGHT // 2, width: int = WIDTH // 2) -> Two:
    for name in NAMES:
        draw = np.random.default_rng(len(name))
        encode.write(folder / name, draw.integers(0, 256, (FRAMES, height, width, 3), dtype=np.uint8))
    return Two(folder)


def packed(
    videos: Two, folder: Path, into: Path, coding: Coding, said: list[str] | None = None, **assumed: object
) -> Store:
    flow = Imported(**assumed)  # type: ignore[arg-type]
    say = print if said is None else said.append
    made = prepare(videos, into, flow, recipe={"of": str(assumed)}, coding=coding, images=folder, size=None, say=say)
    return Store.open(made)
