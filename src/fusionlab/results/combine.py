"""Fusion of two heads' stored scores, without a network. a is appearance, b is motion, by position.

    scores    w · softmax_a + (1 − w) · softmax_b, each the mean over a video's views
    logits    softmax(½ · logits_a + ½ · logits_b), the 2016 paper's average of its fc8 outputs
    weighted  `scores` with the w of 0, 0.05 … 1 that has most right answers on the validation list
    svm       a linear support vector machine on [softmax_a / ‖softmax_a‖₂, softmax_b / ‖softmax_b‖₂], the 2014 paper's,
              trained on the training list (`svm.py`)

A function takes the labels of the list that it learns from. Labels of the test list enter `accuracy` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.results.head_scores import Array, Heads

Labels = Sequence[int] | NDArray[np.int64]
WEIGHTS = tuple(step / 20 for step in range(21))


@dataclass(frozen=True)
class ChosenWeight:
    """The weight of appearance, and the accuracy on the validation list at each weight."""

    weight: float
    curve: tuple[tuple[float, float], ...]


def mean_scores(a: Heads, b: Heads, weight: float = 0.5) -> Array:
    """w · softmax_a + (1 − w) · softmax_b, in float32 as a network's late fusion is."""
    expect_alike(a, b)
    w = np.float32(weight)
    return w * a.softmax + (1 - w) * b.softmax


def mean_logits(a: Heads, b: Heads) -> Array:
    """softmax(½ · logits_a + ½ · logits_b)"""
    expect_alike(a, b)
    if a.logits is None or b.logits is None:
        raise UserError(
            "margins of a support vector machine are no logits, so they cannot be averaged with logits",
            got="combine=logits", hint="combine=scores",
        )  # fmt: skip
    mean = (a.logits.astype(np.float64) + b.logits) / 2
    return softmax(mean).astype(np.float32)


def choose_weight(a: Heads, b: Heads, labels: Labels) -> ChosenWeight:
    """The weight of `mean_scores` with most right answers on this list; of equals the nearest to ½, then the smaller.

    The list is the validation list: neither stream was trained on it.
    """
    curve = tuple((weight, accuracy(mean_scores(a, b, weight), labels)) for weight in WEIGHTS)
    best = min(curve, key=lambda point: (-point[1], round(abs(point[0] - 0.5), 6), point[0]))
    return ChosenWeight(best[0], curve)


def softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """e^x / Σ e^x over the classes."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def predicted(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """The class of the highest score; the first of equals."""
    return scores.argmax(axis=1)


def accuracy(scores: NDArray[np.floating], labels: Labels) -> float:
    """The share of videos whose highest score is at their label."""
    assert len(scores) == len(labels) > 0, "one label per video"
    return float((predicted(scores) == np.asarray(labels)).mean())


def expect_alike(a: Heads, b: Heads) -> None:
    """Raise a `UserError` for heads of unlike lists or classes."""
    if a.softmax.shape != b.softmax.shape:
        raise UserError(
            "two heads are fused over the same videos and classes",
            got=f"{a.softmax.shape[0]} × {a.softmax.shape[1]} and {b.softmax.shape[0]} × {b.softmax.shape[1]} scores",
            hint="the same test, split and data set of both",
        )  # fmt: skip
