"""The interface of a data set: classes, lists, groups and files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from fusionlab.errors import show

if TYPE_CHECKING:
    from fusionlab.data.views import Sampling

# A video's name (its path below the root, with "/"), and its label: the position of its class.
Entry = tuple[str, int]
NO_STRIDE = (0, 0)  # of snippets that lie one in each segment of the video


@dataclass(frozen=True)
class Extent:
    """How large a data set is, known before any of its files exists. None: unknown."""

    train: int  # videos of one split's lists
    test: int
    videos: int  # of all splits
    frames: int | None = None  # of all videos
    size: tuple[int, int] | None = None  # height and width of most videos
    archive: int | None = None  # bytes of the video files


class Dataset(Protocol):
    """A labelled set of video files with train and test lists.

    Optional, for sets that have them: `expect_sampling(snippets, fields, stride)` raises a `UserError` for clips that
    cannot show the classes (the stride is `NO_STRIDE` where there is none); `present`: the splits whose lists are
    files; `unchecked_lists(split)`: lists before any check, for the doctor; `has_probes`: `scene(name, label)` knows
    the truth of each clip (see `health.brush_proof`);
    `extent(split)`: an `Extent`, or None where it is unknown; `planned_lists(split)`: the lists, before files are made.
    """

    @property
    def classes(self) -> Sequence[str]:
        """The classes' names; a label is a position in it."""
        ...

    @property
    def class_count(self) -> int:
        """The number of classes; known before any file exists."""
        ...

    @property
    def kinds(self) -> Mapping[str, str]:
        """Class -> kind of question, for results by kind; all classes may have one kind."""
        ...

    @property
    def root(self) -> Path:
        """The folder below which the video files lie."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Remarks for people that need no action."""
        ...

    def expect(self, root: Path, *, split: int, packed: bool, quarantine: Collection[str] = ()) -> None:
        """Raise a `UserError` if files are missing below `root` that the set cannot make.

        The error names them and their place. `packed`: the videos are in a store, so that only the lists are needed.
        `quarantine`: videos that may be missing.
        """
        ...

    def make(self, root: Path, *, processes: int = 1, say: Callable[[str], None] = show) -> None:
        """Make missing files where this set is generated; else only find them."""
        ...

    def lists(self, split: int) -> tuple[list[Entry], list[Entry]]:
        """Training and test list of a split, counted from 1."""
        ...

    def videos(self) -> list[Entry]:
        """Every video of any list, once."""
        ...

    def path(self, name: str) -> Path:
        """The file of a video."""
        ...

    def group(self, name: str) -> str:
        """The recording that a video was cut from: a group is never in both lists."""
        ...

    def ceilings(self, system: str) -> Mapping[str, Fraction]:
        """kind -> the best possible accuracy of each system; empty where unknown.

        The systems: appearance, motion, late, fused (blind to the order of the snippets) and ordered; with a tower that
        sees clips appearance_clips, motion_clips and late_clips (the motion tower sees clips, the other one frames).
        """
        ...


def expect_sampling(dataset: Dataset, how: Sampling) -> None:
    """Raise a `UserError` where the data set declares that clips sampled in this way do not show its classes."""
    check = getattr(dataset, "expect_sampling", None)
    if check is not None:
        check(how.snippets, how.fields, how.strides if how.times == "clip" else NO_STRIDE)


@runtime_checkable
class RefusesFlow(Protocol):
    """A data set for which some flow is refused."""

    def refuse_flow(self, flow: Any) -> None:
        """Raise a `UserError` for a flow estimator that does not suit this data set."""
        ...


def refuse_flow(dataset: Dataset, flow: Any) -> None:
    """Raise a `UserError` for a flow estimator that this data set refuses; most sets refuse none."""
    if isinstance(dataset, RefusesFlow):
        dataset.refuse_flow(flow)


def united(lists: Sequence[Sequence[Entry]]) -> list[Entry]:
    """Every entry of the lists once, sorted by name."""
    return sorted({entry for entries in lists for entry in entries})
