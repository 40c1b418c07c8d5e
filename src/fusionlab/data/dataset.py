"""What a data set is to the rest of the house: classes, lists, groups and files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from fusionlab.errors import show

if TYPE_CHECKING:
    from fusionlab.data.views import Sampling

# A video's name (its path below the root, with "/"), and its label: the position of its class.
Entry = tuple[str, int]


class Dataset(Protocol):
    """A labelled set of video files with train and test lists."""

    @property
    def classes(self) -> Sequence[str]:
        """The classes' names; a label is a position in it."""
        ...

    @property
    def class_count(self) -> int:
        """How many classes there are; known before there is any file."""
        ...

    @property
    def kinds(self) -> Mapping[str, str]:
        """Class -> kind of question, by which results are told apart; there may be one kind for all."""
        ...

    @property
    def root(self) -> Path:
        """The folder below which the video files lie."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of this set, and need not do anything about."""
        ...

    def expect(self, root: Path, *, split: int, packed: bool, quarantine: Collection[str] = ()) -> None:
        """Find the files below `root` that nobody can make, and raise a `UserError` that says which belong where if
        they are not there. `packed`: the videos are in a store already, and only the lists are needed. Those in
        `quarantine` are not needed.
        """
        ...

    def make(self, root: Path, *, processes: int = 1, say: Callable[[str], None] = show) -> None:
        """Make the files if this set is a generated one and they are not there yet; else do nothing."""
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
        """What a video was cut from: videos of one group are never on both sides of a cut."""
        ...

    def ceilings(self, system: str) -> Mapping[str, Fraction]:
        """The best accuracy per kind of appearance, motion, late, fused (blind to the snippets' order) or ordered;
        empty where unknown.
        """
        ...


@runtime_checkable
class Timed(Protocol):
    """A data set whose questions are only asked by clips that are cut in a certain way."""

    def expect_sampling(self, snippets: int, fields: int, stride: tuple[int, int]) -> None:
        """A `UserError` where clips are cut otherwise."""
        ...


def expect_sampling(dataset: Dataset, how: Sampling) -> None:
    """A `UserError` where clips that are cut like this do not show what this data set asks."""
    if isinstance(dataset, Timed):
        dataset.expect_sampling(how.snippets, how.fields, how.strides)


@runtime_checkable
class RefusesFlow(Protocol):
    """A data set whose questions some flow would answer, or hide."""

    def refuse_flow(self, flow: Any) -> None:
        """A `UserError` for a flow estimator that does not go with this data set."""
        ...


def refuse_flow(dataset: Dataset, flow: Any) -> None:
    """A `UserError` for a flow estimator that this data set refuses; most refuse none."""
    if isinstance(dataset, RefusesFlow):
        dataset.refuse_flow(flow)


def united(lists: Sequence[Sequence[Entry]]) -> list[Entry]:
    """Every entry of the lists once, sorted by name."""
    return sorted({entry for entries in lists for entry in entries})
