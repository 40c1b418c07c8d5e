"""The axes of a tensor on its way through torch's operations: clips N, channels D, time T, height H, width W.

An axis that is none of these, or several in one, is "".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Axes = tuple[str, ...]
MAP: dict[int, Axes] = {4: ("N", "D", "H", "W"), 5: ("N", "D", "T", "H", "W")}
PLACES = ("T", "H", "W")

VIEWS = {"view", "_unsafe_view", "_reshape_alias", "reshape", "as_strided"}
REDUCE = {"mean", "sum", "amax", "amin", "var", "var_mean", "std", "std_mean", "linalg_vector_norm"}
REMOVE = {"select", "unbind"}
PERMUTE = {"permute", "transpose", "t"}


def behind(name: str, args: Sequence[Any], axes: Axes, x: Sequence[int], y: Sequence[int]) -> Axes:
    """The axes of the result (shape `y`) of an operation on a tensor with these axes (shape `x`)."""
    if name in PERMUTE:
        return tuple(axes[one] for one in _order(name, args, len(axes)))
    if name in VIEWS:
        return _matched(axes, x, y)
    if name in ("mm", "addmm"):
        return axes[0], axes[1] if axes[1] == "D" else ""
    if name == "unsqueeze":
        place = args[1] % len(y)
        return (*axes[:place], "", *axes[place:])
    if name == "stack":
        place = (args[1] if len(args) > 1 else 0) % len(y)
        return (*axes[:place], "", *axes[place:])
    if len(y) < len(axes):
        gone = _removed(name, args, x)
        left = tuple(axis for place, axis in enumerate(axes) if place not in gone)
        return left if len(left) == len(y) else ("",) * len(y)
    return axes if len(y) == len(axes) else ("",) * len(y)


def reduced(name: str, args: Sequence[Any], axes: Axes) -> tuple[str, ...]:
    """The axes over which an operation takes a mean, a sum or the like."""
    over = _over(name, args)
    return tuple(axes[one] for one in (over or range(len(axes))))


def _order(name: str, args: Sequence[Any], count: int) -> list[int]:
    if name == "permute":
        return [one % count for one in args[1]]
    order = list(range(count))
    one, two = (args[1] % count, args[2] % count) if name == "transpose" else (0, count - 1)
    order[one], order[two] = order[two], order[one]
    return order


def _matched(axes: Axes, x: Sequence[int], y: Sequence[int]) -> Axes:
    """Of a view: the axes from either end as long as their sizes are those from before."""
    made = [""] * len(y)
    shared = min(len(x), len(y))
    left = next((n for n in range(shared) if x[n] != y[n]), shared)
    right = next((n for n in range(shared - left) if x[-1 - n] != y[-1 - n]), shared - left)
    made[:left] = axes[:left]
    if right:
        made[-right:] = axes[-right:]
    return tuple(made)


def _removed(name: str, args: Sequence[Any], x: Sequence[int]) -> set[int]:
    if name in REMOVE:
        return {(args[1] if len(args) > 1 else 0) % len(x)}
    if name == "squeeze":
        given = [one % len(x) for one in _list(args[1])] if len(args) > 1 else range(len(x))
        return {one for one in given if x[one] == 1}
    return {one % len(x) for one in _over(name, args)} if name in REDUCE else set()


def _over(name: str, args: Sequence[Any]) -> list[int]:
    """The axes that an operation reduces by its arguments; an empty list stands for all axes."""
    place = 2 if name == "linalg_vector_norm" else 1  # behind the order of the norm
    over = args[place] if len(args) > place and not isinstance(args[place], bool) else None
    return [] if over is None else _list(over)


def _list(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)
