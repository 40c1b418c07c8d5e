"""Which answers of an arm were right, without its scores, and the test list that they are about.

Arms of a study share their test list. It is kept once, and each arm has one byte a video beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TestList:
    """The videos of a test, and of each its class, its group and its kind of question (None if unknown).

    Two equal lists are one object, so `is` compares them. `groups` is None in records that are older than it.
    """

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None
    kinds: tuple[str | None, ...]

    @classmethod
    def of(
        cls,
        videos: Iterable[str],
        labels: Iterable[str],
        groups: Iterable[str] | None,
        kinds: Iterable[str | None],
    ) -> TestList:
        """The one list that has these videos, in this order."""
        key = (tuple(videos), tuple(labels), None if groups is None else tuple(groups), tuple(kinds))
        known = _KNOWN.get(key)
        if known is None:
            known = _KNOWN[key] = cls(*key)
        return known

    def same_videos(self, other: TestList) -> bool:
        """Whether videos, classes and kinds are the same; one list may be older than groups, and lack them."""
        return self is other or (self.videos, self.labels, self.kinds) == (other.videos, other.labels, other.kinds)


_KNOWN: WeakValueDictionary[tuple[Any, ...], TestList] = WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class Answers:
    """Whether each answer about the videos of a test list was right."""

    of: TestList
    right: NDArray[np.bool_]
