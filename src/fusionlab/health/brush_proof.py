"""Probes of brush: they read labels from decoded frames, and from estimated and quantised flow, as networks do.

    around a place   from flow     its motion: seen;   hand or decoy, and which place: not
                     from a frame  hand or decoy, and which place: seen;   its motion: not
                                   (if a clip has a hand or a place alone: only its own of these)
    in whole fields  from flow     the hand's place, and its side: not;   the sense of a cycle from one window: not
                     from frames   the sense of a cycle, of three frames in their order: not
                     from flow     the sense of a cycle, of three windows in their order: seen (by fusions)

Two probes (`probes`) try each quantity. If it must not be seen, both have at most 5 points over chance. If it must be
seen, the better one is right in 90 of 100 clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionlab.data.brush.brush import Brush
from fusionlab.data.brush.scene import CROP, SIZE, Scene
from fusionlab.health.probes import PROBES, Accuracy, probe
from fusionlab.records.draws import key
from fusionlab.video.store import Store

HALF = 11  # half the side of a patch around a place: all of it and a little more
SEEN = 0.9  # least accuracy of a quantity that must be seen
LEAK = 0.05  # most accuracy over chance of a quantity that must not be seen
CLIPS = 1200  # of each kind, at most: a leak of 5 points is then 3.5 standard deviations or more
LAYER, NEAR = "relu5", 2  # of a frozen tower; cells to each side of a place
BORDER = (SIZE - CROP) // 2  # of the picture, around a tower's input
Ints = NDArray[np.int64]
Features = Callable[[NDArray[np.uint8]], NDArray[Any]]  # pictures (n, C, H, W) -> their maps (n, D, h, w)


@dataclass(frozen=True)
class ProbeResult:
    """One quantity, read from one input by both probes."""

    quantity: str
    of: str
    chance: float
    visible: bool
    accuracies: Mapping[str, Accuracy]  # by probe

    @property
    def holds(self) -> bool:
        if self.visible:
            return max(one.value for one in self.accuracies.values()) >= SEEN
        # Less than chance is not a leak, but an accident of the halves.
        return all(one.value <= self.chance + LEAK for one in self.accuracies.values())

    def __str__(self) -> str:
        must = f"must be seen ({100 * SEEN:.0f} %)" if self.visible else f"must not be seen (chance {self.chance:.3g})"
        accuracies = "; ".join(f"{how}: {one}" for how, one in self.accuracies.items())
        return f"{self.quantity}, from {self.of}: {must}; {accuracies}"


@dataclass
class ClipSamples:
    """n samples of clips of one kind: windows of flow (n, 2L, H, W), frames (n, 3, H, W), and labels."""

    flow: list[Any] = field(default_factory=list)
    frame: list[Any] = field(default_factory=list)
    centres: list[Any] = field(default_factory=list)  # (2, 2): hand's, decoy's place; x, y; or (1, 2)
    places: list[tuple[int, ...]] = field(default_factory=list)
    motions: list[tuple[int, ...]] = field(default_factory=list)
    side: list[int] = field(default_factory=list)
    sense: list[int] = field(default_factory=list)
    clip: list[int] = field(default_factory=list)

    def patches(self, of: str) -> NDArray[np.uint8]:
        """The squares around both places, (2 n, …): first hand and decoy of one sample, then of the next."""
        cut = [
            picture[:, y : y + 2 * HALF, x : x + 2 * HALF]
            for picture, two in zip(getattr(self, of), self.centres, strict=True)
            for x, y in np.rint(two + 0.5).astype(int) - HALF
        ]
        return np.stack(cut)


def proof(
    brush: Brush, store: Store, fields: int, say: Callable[[str], None], features: Mapping[str, Features] | None = None
) -> Iterator[ProbeResult]:
    """The result of each quantity that this set has.

    `features`: maps of trained streams, in which probes must see the same quantities as in the pictures.
    """
    for kind in brush.knobs.kinds:
        seen = take_samples(brush, store, kind, fields)
        say(f"brush: probing {len(seen.flow)} clips that ask for {kind}")
        if kind == "order":
            yield from _order(seen, brush.knobs.segments)
        else:
            yield from _places(brush, seen, kind, features or {})


def take_samples(brush: Brush, store: Store, kind: str, fields: int) -> ClipSamples:
    """Samples of a kind from the store: of all clips, or of random ones if there are more than `CLIPS`.

    A regular choice would favour some classes or groups. A still clip has one field.
    """
    names = [(name, label) for name, label in brush.videos() if brush.labels[label].kind == kind]
    chosen = sorted(sorted(names, key=lambda entry: key("proof", entry[0]))[:CLIPS])
    seen = ClipSamples()
    for number, (name, label) in enumerate(chosen):
        scene, video = brush.scene(name, label), store.video(name)
        fields = min(fields, video.frames - 1)
        for starts in _windows(brush, kind, video.frames, fields, scene):
            centres = scene.centres_at(starts[0] + fields // 2)
            seen.flow.append(np.concatenate([field for start in starts for field in store.flow(name, start, fields)]))
            frames = store.frames(name, [start + fields // 2 for start in starts])
            seen.frame.append(np.concatenate([frame.transpose(2, 0, 1) for frame in frames]))
            seen.centres.append(centres)
            seen.places.append(scene.place_hues)
            seen.motions.append(scene.motions)
            seen.side.append(int(centres[0].sum() > centres[-1].sum()))
            seen.sense.append(int(brush.labels[label].sense == 1))
            seen.clip.append(number)
    return seen


def _windows(brush: Brush, kind: str, frames: int, fields: int, scene: Scene) -> list[list[int]]:
    """For each sample, the first fields of its windows.

    A window is in the middle of the clip, in each segment of a cycle, or at the end that is further from the moment at
    which hand and decoy change sides. A clip with a hand alone gives two samples, since there are few such clips.
    """
    last = frames - 1 - fields
    if kind == "order":
        cycle = brush.knobs.cycle
        return [[number * cycle.period + (cycle.segment - fields) // 2 for number in range(cycle.segments)]]
    if kind == "how" and last >= fields:
        return [[0], [last]]
    if scene.away is not None:
        return [[last if scene.away[frames // 2] else 0]]
    return [[last // 2]]


def _places(brush: Brush, seen: ClipSamples, kind: str, features: Mapping[str, Features]) -> Iterator[ProbeResult]:
    clip, words, places = np.array(seen.clip), brush.knobs.words, len(seen.places[0])
    around = {"place": (np.array(seen.places).ravel(), 1 / len(words.places))}
    whole = {"the hand's place": (np.array(seen.places)[:, 0], 1 / len(words.places))}
    if places > 1:
        around = {"hand or decoy": (np.tile([0, 1], len(clip)), 1 / 2), **around}
        whole["the hand's side"] = (np.array(seen.side), 1 / 2)
    if seen.motions[0]:
        around["motion"] = (np.array(seen.motions).ravel(), 1 / len(words.motions))
    of_clip = np.repeat(clip, places)
    for of, shows in (("flow", ("motion",)), ("frame", ("hand or decoy", "place"))):
        results = _both(seen.patches(of), around, of_clip)
        for name, (_, chance) in around.items():
            yield ProbeResult(name, f"{of} around a place ({kind})", chance, name in shows, results[name])
        stream = {"flow": "motion", "frame": "appearance"}[of]
        asked = {name: around[name] for name in shows if name in around}
        if stream in features and asked:
            maps = features[stream](np.stack(getattr(seen, of))[:, :, BORDER:-BORDER, BORDER:-BORDER])
            results = _both(_cells(maps, seen.centres), asked, of_clip)
            for name, (_, chance) in asked.items():
                yield ProbeResult(name, f"frozen {LAYER} of {stream} at a place ({kind})", chance, True, results[name])
    results = _both(np.stack(seen.flow)[:, :, 1:-1, 1:-1], whole, clip)
    for name, (_, chance) in whole.items():
        yield ProbeResult(name, f"whole fields ({kind})", chance, False, results[name])


def _cells(maps: NDArray[Any], centres: Sequence[Any]) -> NDArray[Any]:
    """The cells of each map around both places, (2 n, D, 2 NEAR + 1, 2 NEAR + 1)."""
    scale = maps.shape[-1] / CROP
    padded = np.pad(maps, ((0, 0), (0, 0), (NEAR, NEAR), (NEAR, NEAR)), mode="edge")
    cut = [
        one[:, y : y + 2 * NEAR + 1, x : x + 2 * NEAR + 1]
        for one, two in zip(padded, centres, strict=True)
        for x, y in np.clip(np.rint((two - BORDER + 0.5) * scale - 0.5).astype(int), 0, maps.shape[-1] - 1)
    ]
    return np.stack(cut)


def _order(seen: ClipSamples, segments: int) -> Iterator[ProbeResult]:
    clip, flow = np.array(seen.clip), np.stack(seen.flow)[:, :, 1:-1, 1:-1]
    sense = {"the sense": (np.array(seen.sense), 1 / 2)}
    fields = flow.shape[1] // segments
    motion = {"motion": (np.array(seen.motions).ravel(), 1 / 3)}
    results = _both(seen.patches("flow")[:, :fields], motion, np.repeat(clip, 2))
    yield ProbeResult("motion", "flow around a place (order)", 1 / 3, True, results["motion"])
    for of, pictures in (
        ("one window of flow", flow[:, :fields]),
        (f"{segments} frames in their order", np.stack(seen.frame)),
    ):
        yield ProbeResult("the sense of the cycle", of, 1 / 2, False, _both(pictures, sense, clip)["the sense"])


def _both(
    pictures: NDArray[Any], asked: Mapping[str, tuple[Ints, float]], clip: Ints
) -> dict[str, dict[str, Accuracy]]:
    """quantity -> probe -> accuracy."""
    targets = {name: truth for name, (truth, _) in asked.items()}
    by_probe = {how: probe(how, pictures, targets, clip) for how in PROBES}
    return {name: {how: own[name] for how, own in by_probe.items()} for name in targets}
