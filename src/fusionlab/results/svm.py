"""A linear support vector machine on two heads' softmax scores, as liblinear's default solver fits it.

    x = [softmax_a / ‖softmax_a‖₂, softmax_b / ‖softmax_b‖₂, 1]
    for each class c against the rest:  min_w  ½ ‖w‖² + C Σ_i max(0, 1 − s_i w·x_i)²,   s_i = 1 where y_i = c, else −1

The last number of x makes the bias part of w, and so regularised, as with liblinear's option -B 1. The problem is
strictly convex: it has one solution, whatever the solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.results.combine import Labels, expect_alike, predicted
from fusionlab.results.head_scores import Heads

Floats = NDArray[np.float64]
GRID = tuple(2.0**power for power in range(-5, 9, 2))  # C, from 1/32 to 128
FOLDS = 5
STEPS, SHORTEST = 100, 1e-9  # of Newton's method: their number, and the shortest part of one that is tried
NOTE = (
    "the scores of the training list, on which this machine is trained, are over-confident: both streams were trained "
    "on its videos"
)


@dataclass(frozen=True)
class Svm:
    """`weights` (classes, 2 · classes + 1), the last for the bias. `curve`: C -> accuracy in the cross-validation."""

    weights: Floats
    c: float
    curve: tuple[tuple[float, float], ...]
    note: str = NOTE

    def margins(self, a: Heads, b: Heads) -> Floats:
        """w·x, (videos, classes); the predicted class has the largest."""
        return features(a, b) @ self.weights.T


def fit_svm(a: Heads, b: Heads, labels: Labels, groups: Sequence[str]) -> Svm:
    """Fit on the training list, with the C that has most right answers in a cross-validation over its groups.

    Of equals the smallest C, which regularises most.
    """
    x, y = features(a, b), np.asarray(labels)
    assert len(x) == len(y) == len(groups), "one label and one group per video"
    right = np.zeros(len(GRID))
    for fold in folds(groups):
        weights = None
        for place, c in enumerate(GRID):
            weights = solve(x[~fold], y[~fold], a.softmax.shape[1], c, weights)
            right[place] += (predicted(x[fold] @ weights.T) == y[fold]).sum()
    best = GRID[int(right.argmax())]
    curve = tuple(zip(GRID, (right / len(y)).tolist(), strict=True))
    return Svm(solve(x, y, a.softmax.shape[1], best), best, curve)


def folds(groups: Sequence[str]) -> list[NDArray[np.bool_]]:
    """The videos of each fold; a group's are in one. Names of groups begin with their class, so each fold has all."""
    names = {name: place for place, name in enumerate(sorted(set(groups)))}
    if len(names) < 2:
        raise UserError(
            "a cross-validation needs two groups of training videos", got=", ".join(names), hint="combine=scores"
        )
    count = min(FOLDS, len(names))
    own = np.array([names[group] % count for group in groups])
    return [own == fold for fold in range(count)]


def solve(x: Floats, y: NDArray[np.int64], classes: int, c: float, start: Floats | None = None) -> Floats:
    """The weights (classes, features) at the minimum. `start`: speeds it up."""
    whole = x.T @ x
    first = np.zeros((classes, x.shape[1])) if start is None else start
    return np.array([_minimise(x, np.where(y == k, 1.0, -1.0), c, first[k], whole) for k in range(classes)])


def _minimise(x: Floats, s: Floats, c: float, w: Floats, whole: Floats) -> Floats:
    """Newton's method: the problem is quadratic as long as the same videos fall short of their margin.

    So it ends at the exact minimum, when a whole step leaves these videos as they are. `whole`: xᵀx.
    """
    value = objective(w, x, s, c)
    short = s * (x @ w) < 1
    inner = whole - x[~short].T @ x[~short] if 2 * short.sum() > len(x) else x[short].T @ x[short]
    for _ in range(STEPS):
        step = np.linalg.solve(np.eye(len(w)) + 2 * c * inner, 2 * c * (s[short] @ x[short])) - w
        length = 1.0
        while (after := objective(w + length * step, x, s, c)) > value and length > SHORTEST:
            length /= 2
        if after >= value:  # no lower value among floating point numbers
            break
        w, value = w + length * step, after
        now = s * (x @ w) < 1
        if length == 1 and (now == short).all():
            break
        come, gone = x[now & ~short], x[short & ~now]
        inner, short = inner + come.T @ come - gone.T @ gone, now
    return w


def objective(w: Floats, x: Floats, s: Floats, c: float) -> float:
    """½ ‖w‖² + C Σ_i max(0, 1 − s_i w·x_i)²"""
    lacking = np.maximum(0.0, 1.0 - s * (x @ w))
    return float(0.5 * (w @ w) + c * (lacking @ lacking))


def features(a: Heads, b: Heads) -> Floats:
    """[a / ‖a‖₂, b / ‖b‖₂, 1] of the softmax scores."""
    expect_alike(a, b)
    both = [head.softmax.astype(np.float64) for head in (a, b)]
    return np.hstack([*(x / np.linalg.norm(x, axis=1, keepdims=True) for x in both), np.ones((len(both[0]), 1))])
