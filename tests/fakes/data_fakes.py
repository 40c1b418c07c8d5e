"""A small data set of real video files: soft textures that drift, in UCF101's folder layout."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from fusionlab.data.dataset import Entry
from fusionlab.data.ucf101 import group_of
from fusionlab.video import encode

CLASSES = ["Hop", "Jump", "Walk"]


class Drifting:
    """`per_group` videos for each of 3 classes and `groups` groups; the last third of the groups is the test
    list.
    """

    classes = CLASSES
    class_count = len(CLASSES)
    kinds: Mapping[str, str] = dict.fromkeys(CLASSES, "action")

    def __init__(self, root: Path, groups: int = 6, per_group: int = 2, side: tuple[int, int] = (20, 24)) -> None:
        self.root, self.groups, self.per_group, self.side = root, groups, per_group, side

    def videos(self) -> list[Entry]:
        return [
            (f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi", label)
            for label, name in enumerate(self.classes)
            for group in range(1, self.groups + 1)
            for clip in range(1, self.per_group + 1)
        ]

    def lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        def tested(entry: Entry) -> bool:
            return int(self.group(entry[0])[-2:]) > self.groups * 2 // 3

        return [e for e in self.videos() if not tested(e)], [e for e in self.videos() if tested(e)]

    def path(self, name: str) -> Path:
        return self.root / name

    def group(self, name: str) -> str:
        return group_of(name)

    def ceilings(self, system: str) -> Mapping[str, Fraction]:
        return {}

    notes = ()

    def expect(self, root: Path, *, split: int, packed: bool, quarantine: Collection[str] = ()) -> None:
        """Nothing: all of it is made."""

    def make(self, root: Path, *, processes: int = 1, say: Callable[[str], None] = print) -> None:
        height, width = self.side
        for number, (name, label) in enumerate(self.videos()):
            draw = np.random.default_rng(number)
            noise = draw.integers(0, 256, (height + 20, width + 20, 3)).astype(np.float64)
            for axis in (0, 1):
                noise = (np.roll(noise, 1, axis) + noise + np.roll(noise, -1, axis)) / 3
            picture = noise.astype(np.uint8)
            frames = [picture[t % 20 :, label * t % 20 :][:height, :width] for t in range(9 + number % 5)]
            encode.write(root / name, np.stack(frames))
