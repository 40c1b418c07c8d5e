"""Marks of notes, as texts write them: ¹ ² ¹²."""

from __future__ import annotations

from collections.abc import Iterable

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def raised(marks: Iterable[int]) -> str:
    """1, 12 -> "¹ ¹²"."""
    return " ".join(str(mark).translate(_RAISED) for mark in marks)
