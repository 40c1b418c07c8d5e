"""Clips of brush as a network meets them: written, read, flow estimated and quantised. And leaks to plant."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from fusionlab.data.brush import render
from fusionlab.data.brush.brush import GROUPS, Knobs
from fusionlab.data.brush.labels import LABELS, PLACES, Label
from fusionlab.data.brush.motions import FAST, MOTIONS, SLOW
from fusionlab.data.brush.palette import palette
from fusionlab.data.brush.scene import Scene, compose
from fusionlab.data.brush.vocabulary import BRUSH
from fusionlab.video.decode import read
from fusionlab.video.encode import write
from fusionlab.video.flow import Dis, fields
from fusionlab.video.quantise import quantise

_DATA = Path(__file__).parents[2] / "conf" / "data"
CONF: dict[str, Any] = {
    name: one
    for file in ("brush.yaml", "protocol/brush.yaml")
    for name, one in yaml.safe_load((_DATA / file).read_text(encoding="utf-8")).items()
}
FIELDS: int = CONF["sampling"]["fields"]  # L
KNOBS = Knobs()
HAND, DECOY = BRUSH.hand, BRUSH.decoy
HALF = 11  # half the side of a patch around a place: all of it and a little more

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # luma, hue numbers
SceneLeak = Callable[[Scene], Scene]
PlanesLeak = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Planes]


def scenes(count: int, frames: int, seed: int = 0, shake: float = 0.0) -> Iterator[tuple[Label, Scene]]:
    """Scenes as the generator draws them: half of each kind, its classes in turn, groups at random."""
    groups = np.random.default_rng(seed).integers(1, GROUPS + 1, count)
    what = [label for label in LABELS if label.kind == "what"]
    binding = [label for label in LABELS if label.kind == "binding"]
    for n, group in enumerate(groups.tolist()):
        label = (what, binding)[n % 2][n // 2 % len((what, binding)[n % 2])]
        yield (
            label,
            compose(seed, f"{label.name}/v_{label.name}_g{group:02d}_c{n}.avi", group, label, frames, shake),
        )


def motion_of(offsets: NDArray[np.float64]) -> int:
    """Which motion this path (F, 2) about its place is, read from the path alone."""
    angle = np.unwrap(np.arctan2(offsets[:, 1], offsets[:, 0]))
    steps = np.diff(angle)
    speed = min((SLOW, FAST), key=lambda known: abs(known - np.abs(steps).mean()))
    assert np.allclose(np.abs(steps), speed), "every step of a motion has its one speed"
    rocking = bool((np.diff(np.sign(steps)) != 0).any())
    (found,) = [n for n, motion in enumerate(MOTIONS) if (motion.speed, motion.rocking) == (speed, rocking)]
    return found


def motions_of(scene: Scene) -> tuple[int, int]:
    """The hand's and the decoy's motion."""
    hand, decoy = (motion_of(path - centre) for path, centre in zip(scene.paths, scene.centres, strict=True))
    return hand, decoy


def exchanged(scene: Scene) -> Scene:
    """The same picture with hand and decoy exchanged: what moved as the hand is now the decoy."""
    return dataclasses.replace(
        scene, place_hues=scene.place_hues[::-1], centres=scene.centres[::-1], paths=scene.paths[::-1]
    )


def other_places(scene: Scene) -> Scene:
    """The same picture with the hues of its two places exchanged."""
    return dataclasses.replace(scene, place_hues=scene.place_hues[::-1])


def drawn(scene: Scene, leak: PlanesLeak | None = None) -> NDArray[np.uint8]:
    """The clip as RGB; `leak` may spoil luma and hue on the way."""
    if leak is None:
        return render.render(scene, KNOBS.noise, KNOBS.clutter, KNOBS.hue_distance)
    lumas, hues = leak(*render.planes(scene, KNOBS.noise, KNOBS.clutter))
    return np.asarray(palette(len(PLACES) + 2, KNOBS.hue_distance)[hues, lumas])


@dataclass(frozen=True)
class Film:
    """n clips: quantised flow (n, 2L, H, W), the frame amid the window (n, 3, H, W), and the truth."""

    flow: NDArray[np.uint8]
    frame: NDArray[np.uint8]
    centres: NDArray[np.float64]  # (n, 2, 2): hand's, decoy's place; x, y
    places: NDArray[np.int64]  # (n, 2): hand's, decoy's
    motions: NDArray[np.int64]  # (n, 2)
    side: NDArray[np.int64]  # (n,): 0 where the hand is left or above

    def patches(self, of: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The squares around both places, (2 n, …): hand's, decoy's, the next hand's …"""
        corners = np.rint(self.centres + 0.5).astype(int) - HALF
        cut = [
            picture[:, y : y + 2 * HALF, x : x + 2 * HALF]
            for picture, two in zip(of, corners, strict=True)
            for x, y in two
        ]
        return np.stack(cut)

    @property
    def clip(self) -> NDArray[np.int64]:
        return np.arange(len(self.flow))

    def save(self, path: Path) -> None:
        np.savez(path, **vars(self))

    @staticmethod
    def load(path: Path) -> Film:
        with np.load(path) as saved:
            return Film(**saved)


def film(
    folder: Path,
    count: int,
    *,
    seed: int = 0,
    shake: float = 0.0,
    scene_leak: SceneLeak | None = None,
    planes_leak: PlanesLeak | None = None,
) -> Film:
    """`count` clips, each written to a file, read again, its flow estimated as `prepare` does."""
    rows: dict[str, list[Any]] = {field.name: [] for field in dataclasses.fields(Film)}
    file = folder / "clip.avi"
    for _, scene in scenes(count, FIELDS + 1, seed, shake):
        rows["motions"].append(motions_of(scene))
        shown = scene_leak(scene) if scene_leak else scene
        write(file, drawn(shown, planes_leak))
        frames = read(file)
        found = [quantise(field, CONF["store"]["bound"]) for field in fields(Dis(), frames)]
        rows["flow"].append(np.concatenate(found))
        rows["frame"].append(frames[FIELDS // 2].transpose(2, 0, 1))
        rows["centres"].append(shown.centres)
        rows["places"].append(shown.place_hues)
        rows["side"].append(int(shown.centres[0].sum() > shown.centres[1].sum()))
    return Film(**{name: np.array(values) for name, values in rows.items()})


def brighter_hand(lumas: NDArray[np.uint8], hues: NDArray[np.uint8]) -> Planes:
    """A leak: the hand shines."""
    bright = np.where(hues == HAND, np.clip(lumas.astype(int) + 30, 0, render.HIGH), lumas)
    return bright.astype(np.uint8), hues


def dull_hand(lumas: NDArray[np.uint8], hues: NDArray[np.uint8]) -> Planes:
    """A leak: the hand has less contrast than the decoy."""
    dull = render.MIDDLE + 0.15 * (lumas - render.MIDDLE)
    return np.where(hues == HAND, np.rint(dull), lumas).astype(np.uint8), hues


def blurred_hand(lumas: NDArray[np.uint8], hues: NDArray[np.uint8]) -> Planes:
    """A leak: the hand is out of focus."""
    soft = np.stack([cv2.blur(frame, (7, 7)) for frame in lumas])
    return np.where(hues == HAND, soft, lumas).astype(np.uint8), hues


def place_fixes_position(scene: Scene) -> Scene:
    """A leak: clips of each place lie a little elsewhere."""
    shift = 3.0 * (scene.place_hues[0] - 1)
    return dataclasses.replace(scene, centres=scene.centres + shift, paths=scene.paths + shift)


def scrub_is_narrow(scene: Scene) -> Scene:
    """A leak: one of the motions runs on a smaller circle."""
    paths = scene.paths.copy()
    for mover, motion in enumerate(motions_of(scene)):
        if MOTIONS[motion].name == "Scrub":
            paths[mover] = scene.centres[mover] + 0.6 * (paths[mover] - scene.centres[mover])
    return dataclasses.replace(scene, paths=paths)
