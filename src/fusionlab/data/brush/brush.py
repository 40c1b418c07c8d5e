"""The embedded data set: real encoded videos, made from a seed, in UCF101's folder layout.

    <root>/<signature>/classInd.txt, trainlist0N.txt, testlist0N.txt, <class>/v_<class>_gXX_cXX.avi, made.json

The folder's name is the signature of all that determines the files. It appears by one rename, so that a set that is
incomplete or has another recipe is never used. For the questions and their ceilings see `labels`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fusionlab.data.brush.cycle import Cycle
from fusionlab.data.brush.labels import KINDS, Label, ceilings, labels
from fusionlab.data.brush.render import render
from fusionlab.data.brush.scene import SIZE, Scene, compose
from fusionlab.data.brush.vocabulary import Vocabulary, vocabulary
from fusionlab.data.dataset import Entry, Extent
from fusionlab.data.processes import in_processes, keep_memory
from fusionlab.data.split_checks import refuse_unknown
from fusionlab.data.ucf101 import UCF101, group_of
from fusionlab.errors import UserError, show, unknown
from fusionlab.records.files import disk_errors, publish, read_json, write_json, write_text
from fusionlab.records.lock import alone
from fusionlab.records.signature import signature
from fusionlab.video.flow import LUMA, RGB

VERSION = 2  # of the drawing: a change of any pixel is a new version, and so another folder and other signatures
SPLITS = (1, 2, 3)
GROUPS = 24  # a third of them is the test list of each split
CHUNK = 60  # clips of one task
MADE = "made.json"
FLOW = ("dis", "farneback", "tvl1")  # with these, the doctor's probes see all that must be seen
CLIP = "clip"
GROUNDS = ("group", CLIP)
STILL_FRAMES = 2  # of a still clip: as many as a store takes


@dataclass(frozen=True)
class Knobs:
    """The options of brush. Lengths in pixels and frames, noise in levels of luma."""

    version: int = VERSION
    vocabulary: str = "brush"  # or brush2: other places, other motions
    seed: int = 0
    frames: int = 16  # of a clip that asks for what or binding
    what: int = 18  # clips per class and group; 0: this kind of question is not asked
    binding: int = 8
    order: int = 0
    how: int = 0
    still: int = 0
    segment: int = Cycle.segment  # fields of a motion in clips that ask for order
    pause: int = Cycle.pause  # fields between two of them
    segments: int = Cycle.segments
    noise: float = 2.0
    clutter: int = 3
    shake: float = 0.0
    hue_distance: float = 1.0
    decoy_speed: float = 1.0  # times the speed that its motion has in a hand
    grounds: str = "group"  # the clips of a group share a ground; or clip: each has its own
    exchange: bool = False  # hand and decoy change sides at one moment of the clip, which is drawn

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise UserError(
                "only the current version of brush can be drawn",
                got=f"version {self.version}",
                allowed=[f"version {VERSION}"],
                hint=f"data.dataset.version={VERSION}, another set with other results",
            )
        vocabulary(self.vocabulary)
        for name, low, high in (
            ("frames", 2, 1000), *((kind, 0, 99) for kind in KINDS), ("segment", 2, 100), ("pause", 1, 100),
            ("segments", 2, 20), ("noise", 0, 40), ("clutter", 0, 100), ("shake", 0, 1),
            ("hue_distance", 0.1, 1), ("decoy_speed", 0.5, 1.5),
        ):  # fmt: skip
            got, usual = getattr(self, name), getattr(Knobs, name)
            whole = isinstance(usual, int)
            number = isinstance(got, int) or (isinstance(got, float) and not whole)
            if isinstance(got, bool) or not number or not low <= got <= high:
                raise UserError(
                    f"invalid {name} of brush",
                    got=got,
                    allowed=[f"{low} … {high}" + ", a whole number" * whole],
                    hint=f"data.dataset.{name}={usual}",
                )
            object.__setattr__(self, name, type(usual)(got))  # 2 is 2.0: one set, one signature
        if self.grounds not in GROUNDS:
            raise unknown("choice of grounds", str(self.grounds), GROUNDS, form="data.dataset.grounds={}")
        if not isinstance(self.exchange, bool):
            raise unknown("choice for exchange", str(self.exchange), ["true", "false"], form="data.dataset.exchange={}")
        if not self.kinds:
            raise UserError("brush asks at least one kind of question", got="no clips", hint="data.dataset.what=18")

    @property
    def words(self) -> Vocabulary:
        return vocabulary(self.vocabulary)

    @property
    def kinds(self) -> list[str]:
        """The kinds of question that this set has."""
        return [kind for kind in KINDS if getattr(self, kind)]

    @property
    def cycle(self) -> Cycle:
        return Cycle(self.segment, self.pause, self.segments)

    def recipe(self) -> dict[str, object]:
        """All that determines the files, as plain data; the cycle, and grounds of clips, only where there are some."""
        without = {*(() if self.order else vars(self.cycle)), *(("grounds",) if self.grounds == "group" else ())}
        return {"data set": "brush", "groups": GROUPS, **{k: one for k, one in vars(self).items() if k not in without}}


class Brush:
    """Brush as a data set. `make` (idempotent) must be called before anything reads a file."""

    has_probes: ClassVar[bool] = True  # `scene` knows the truth of each clip

    def __init__(self, **knobs: float | str) -> None:
        self.knobs = Knobs(**knobs)  # type: ignore[arg-type]
        self.labels = labels(self.knobs.words, self.knobs.kinds)
        self.classes = [label.name for label in self.labels]
        self._files: UCF101 | None = None

    @property
    def class_count(self) -> int:
        return len(self.classes)

    @property
    def kinds(self) -> Mapping[str, str]:
        return {label.name: label.kind for label in self.labels}

    def ceilings(self, system: str) -> Mapping[str, Fraction]:
        return ceilings(system, self.knobs.words, self.knobs.kinds, speed_tells=self.knobs.decoy_speed != 1)

    def expect_sampling(self, snippets: int, fields: int, stride: tuple[int, int]) -> None:
        """Raise a `UserError` if clips that ask for order are not sampled with the period of the cycle."""
        if self.knobs.order:
            self.knobs.cycle.expect(snippets, fields, stride)

    def refuse_flow(self, flow: Any) -> None:
        """Raise a `UserError` for flow that reads colour, or that starts at half the size.

        Hand and decoy differ in hue at equal luma, so flow that reads colour would distinguish them. Motions are of a
        few pixels, and an estimator that starts at half the size does not find them.
        """
        if getattr(flow, "reads", LUMA) == RGB:
            raise UserError(
                "this flow reads colour, and brush hides its questions in colour: it would tell hand from decoy",
                got=f"data=brush flow={type(flow).__name__.lower()}", allowed=FLOW, hint="flow=dis",
            )  # fmt: skip
        if scale := getattr(flow, "finest_scale", 0):
            raise UserError(
                "at half of brush's size or less, DIS does not see its motions well: probes read 84 to 96 %, not 99",
                got=f"data.store.flow.finest_scale={scale} (flow=dis_medium has 1)", allowed=FLOW, hint="flow=dis",
            )  # fmt: skip

    @property
    def files(self) -> UCF101:
        """The folder of the made set, read by UCF101's own reader."""
        if self._files is None:  # planning asks for lists before anything is made
            raise UserError("brush is not made yet", got="lists(), before make()")
        return self._files

    @property
    def root(self) -> Path:
        return self.files.root

    def lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        return self.files.lists(split)

    def planned_lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        """`lists`, before anything is made."""
        test = _test_groups(split)
        both: tuple[list[Entry], list[Entry]] = [], []
        for label in range(len(self.labels)):
            for name, group in self._names(label):
                both[group in test].append((name, label))
        return both

    def extent(self, split: int) -> Extent | None:
        if split not in SPLITS:
            return None
        train, test = self.planned_lists(split)
        frames = sum(clip_frames(self.knobs, self.labels[label]) for _, label in (*train, *test))
        return Extent(len(train), len(test), len(train) + len(test), frames, (SIZE, SIZE))

    def videos(self) -> list[Entry]:
        return self.files.videos()

    def path(self, name: str) -> Path:
        return self.files.path(name)

    def group(self, name: str) -> str:
        """What shares a ground, so that none is in both lists: the clip, or its group, the same for all classes."""
        return name if self.knobs.grounds == CLIP else f"g{_number(name):02d}"

    @property
    def notes(self) -> Sequence[str]:
        return ()

    def expect(self, root: Path, *, split: int, packed: bool, quarantine: Collection[str] = ()) -> None:
        """Check the quarantine only: all files are made, and their names are known."""
        refuse_unknown(quarantine, {name for label in range(len(self.labels)) for name, _ in self._names(label)})

    def make(self, root: Path, *, processes: int = 1, say: Callable[[str], None] = show) -> None:
        """Draw and encode the videos below `root`, unless they exist."""
        final = Path(root) / signature(self.knobs.recipe())
        if not _whole(final, self.knobs.recipe()):
            with alone(final.with_name(f".{final.name}.lock"), say, "brush"):
                if not _whole(final, self.knobs.recipe()):
                    self._make(final, processes, say)
        self._files = UCF101(final)

    def scene(self, name: str, label: int) -> Scene:
        """The true content of a clip."""
        return composed(self.knobs, self.labels[label], name, _number(name))

    def _make(self, final: Path, processes: int, say: Callable[[str], None]) -> None:
        if final.exists():
            raise UserError("the files in this folder have changed", got=final, hint=f"remove it: rm -r '{final}'")
        attempt = final.with_name(f".{final.name}.making")
        with disk_errors(attempt):
            shutil.rmtree(attempt, ignore_errors=True)  # left by a killed process
            attempt.mkdir(parents=True)
        names = [(name, group, label) for label in range(len(self.labels)) for name, group in self._names(label)]
        chunks = [names[at : at + CHUNK] for at in range(0, len(names), CHUNK)]
        say(f"brush: drawing {len(names)} clips in {final.parent}")
        for _ in in_processes(partial(draw, attempt, self.knobs), chunks, processes):
            pass
        write_text(attempt / "classInd.txt", "".join(f"{n} {name}\n" for n, name in enumerate(self.classes, 1)))
        for split in SPLITS:
            test = _test_groups(split)
            write_text(attempt / f"testlist{split:02d}.txt", "".join(f"{n}\n" for n, g, _ in names if g in test))
            write_text(
                attempt / f"trainlist{split:02d}.txt",
                "".join(f"{n} {label + 1}\n" for n, g, label in names if g not in test),
            )
        write_json(attempt / MADE, {"recipe": self.knobs.recipe(), "sizes": _sizes(attempt)})
        publish(attempt, final)

    def _names(self, label: int) -> list[tuple[str, int]]:
        """(name, group) of each clip of a class."""
        name, clips = self.labels[label].name, getattr(self.knobs, self.labels[label].kind)
        return [
            (f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi", group)
            for group in range(1, GROUPS + 1)
            for clip in range(1, clips + 1)
        ]


def draw(folder: Path, knobs: Knobs, clips: list[tuple[str, int, int]]) -> None:
    """One task: draw some clips, then encode them.

    Drawing and encoding do not alternate: that takes half as long again, because of the processor's caches.
    """
    from fusionlab.video.encode import write

    keep_memory()
    every = labels(knobs.words, knobs.kinds)
    films = [drawn(knobs, every[label], name, group) for name, group, label in clips]
    for (name, _, _), film in zip(clips, films, strict=True):
        write(folder / name, film)


def drawn(knobs: Knobs, label: Label, name: str, group: int) -> NDArray[np.uint8]:
    """A clip as RGB (F, H, W, 3)."""
    return render(composed(knobs, label, name, group), knobs.noise, knobs.clutter, knobs.hue_distance)


def clip_frames(knobs: Knobs, label: Label) -> int:
    return STILL_FRAMES if label.kind == "still" else knobs.frames


def _test_groups(split: int) -> range:
    return range((split - 1) * GROUPS // 3 + 1, split * GROUPS // 3 + 1)


def _number(name: str) -> int:
    """The number of a clip's group."""
    return int(group_of(name).rpartition("/g")[2])


def composed(knobs: Knobs, label: Label, name: str, group: int) -> Scene:
    frames, ground = clip_frames(knobs, label), name if knobs.grounds == CLIP else group
    return compose(
        knobs.seed, name, ground, label, frames, knobs.shake, knobs.words, knobs.cycle, knobs.decoy_speed,
        knobs.exchange,
    )  # fmt: skip


def _sizes(folder: Path) -> dict[str, int]:
    return {
        str(file.relative_to(folder)): file.stat().st_size
        for file in sorted(folder.rglob("*"))
        if file.name != MADE and file.is_file()
    }


def _whole(folder: Path, recipe: dict[str, object]) -> bool:
    """Whether all files of this set exist with their sizes. (The content of videos is checked when they are read.)"""
    try:
        made = read_json(folder / MADE)
    except UserError:
        return False
    return bool(made == {"recipe": recipe, "sizes": _sizes(folder)})


assert set(KINDS) <= set(vars(Knobs())), "each kind has its number of clips among the knobs"
