"""Fusion of stored scores: means, a weight chosen on validation, and no label of the test list."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fusionlab.errors import UserError
from fusionlab.results import combine, svm
from fusionlab.results.combine import WEIGHTS, accuracy, choose_weight, mean_logits, mean_scores, predicted
from fusionlab.results.head_scores import Heads
from fusionlab.two_stream.net import mean_of_streams
from fusionlab.two_stream.scores import scores

N, C = 40, 4


def head(seed: int, labels: Any = None, gain: float = 0.0, n: int = N) -> Heads:
    logits = np.random.default_rng(seed).normal(size=(n, C))
    if labels is not None:
        logits[np.arange(n), labels] += gain
    return Heads(combine.softmax(logits).astype(np.float32), logits.astype(np.float32))


LABELS = np.random.default_rng(9).integers(0, C, N)


@pytest.mark.parametrize("weight", [0.5, 0.25])
def test_the_mean_of_scores_is_late_fusions(weight: float) -> None:
    """Of the network, from the same logits, and by hand."""
    a, b = head(0), head(1)
    seen = mean_scores(a, b, weight)
    x, y = (torch.from_numpy(one.logits)[..., None] for one in (a, b))  # type: ignore[arg-type]
    np.testing.assert_allclose(seen, scores(mean_of_streams(x, y, weight)).numpy(), rtol=1e-5)
    for video in range(N):
        for c in range(C):
            right = weight * float(a.softmax[video, c]) + (1 - weight) * float(b.softmax[video, c])
            assert seen[video, c] == pytest.approx(right, rel=1e-6)
    assert seen.dtype == np.float32


def test_the_mean_of_logits_is_a_softmax_of_means() -> None:
    a, b = head(0), head(1)
    seen = mean_logits(a, b)
    for video in range(N):
        powers = [np.exp((float(a.logits[video, c]) + float(b.logits[video, c])) / 2) for c in range(C)]  # type: ignore[index]
        np.testing.assert_allclose(seen[video], np.array(powers) / sum(powers), rtol=1e-5)


def test_huge_logits_do_not_overflow() -> None:
    large = Heads(np.ones((1, 2), np.float32) / 2, np.array([[3e38, -3e38]], np.float32))
    assert mean_logits(large, large).tolist() == [[1.0, 0.0]]


def test_both_means_order_classes_unlike() -> None:
    """An average of probabilities is not one of logits: a confident stream counts more in the second."""
    logits = np.array([[0.0, 9.0, 8.0]]), np.array([[0.0, -20.0, 2.0]])
    a, b = (Heads(combine.softmax(one).astype(np.float32), one.astype(np.float32)) for one in logits)
    assert predicted(mean_scores(a, b, 0.9)) == [1] and predicted(mean_logits(a, b)) == [2]


def test_margins_are_not_averaged_with_logits() -> None:
    with pytest.raises(UserError, match="no logits"):
        mean_logits(head(0), head(1)._replace(logits=None))
    assert mean_scores(head(0), head(1)._replace(logits=None)).shape == (N, C)


@pytest.mark.parametrize("how", [mean_scores, mean_logits, svm.features])
def test_heads_of_other_lists_are_refused(how: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="the same videos and classes"):
        how(head(0), head(1, n=N - 1))


def test_the_weight_has_most_right_answers_of_the_grid() -> None:
    a, b = head(0, LABELS, 2.0), head(1, LABELS, 1.0)
    chosen = choose_weight(a, b, LABELS.tolist())
    assert [weight for weight, _ in chosen.curve] == [round(0.05 * step, 10) for step in range(21)]
    for weight, share in chosen.curve:
        mean = weight * a.softmax.astype(float) + (1 - weight) * b.softmax
        assert share == sum(row.argmax() == label for row, label in zip(mean, LABELS, strict=True)) / N
    assert dict(chosen.curve)[chosen.weight] == max(share for _, share in chosen.curve)


def test_a_stream_that_knows_nothing_has_no_weight() -> None:
    sure = Heads(np.eye(C, dtype=np.float32)[LABELS], None)
    wrong = Heads(np.eye(C, dtype=np.float32)[(LABELS + 1) % C], None)
    assert choose_weight(sure, wrong, LABELS).weight == 0.55  # every weight above ½ is right: the nearest to it
    assert choose_weight(wrong, sure, LABELS).weight == 0.45
    assert choose_weight(sure, sure, LABELS).weight == 0.5


def test_of_two_weights_as_near_the_smaller_is_taken() -> None:
    """The answer is right below and above ½, and wrong at it."""
    labels, weights = np.array([0, 0]), WEIGHTS
    a = Heads(np.array([[0.6, 0.4], [0.2, 0.8]], np.float32), None)
    b = Heads(np.array([[0.35, 0.65], [0.85, 0.15]], np.float32), None)
    chosen = choose_weight(a, b, labels)
    best = [w for w, share in chosen.curve if share == max(s for _, s in chosen.curve)]
    assert chosen.weight == min(best, key=lambda w: (abs(round(w - 0.5, 9)), w)) and set(best) <= set(weights)
    mirrored = choose_weight(b, a, labels)
    assert [share for _, share in mirrored.curve] == [share for _, share in chosen.curve][::-1]


def test_accuracy_counts_the_first_of_equals() -> None:
    assert accuracy(np.array([[1.0, 1.0], [0.0, 2.0]]), [0, 0]) == 0.5


# -- no label of the test list


def leaks(fuse: Callable[[Heads, Heads, Any], Any]) -> bool:
    """Whether predictions on the test list change with its labels."""
    a, b = head(3, LABELS, 1.0), head(4, LABELS, 1.0)
    draw = np.random.default_rng(0)
    plain = predicted(fuse(a, b, LABELS))
    return any((predicted(fuse(a, b, draw.permutation(LABELS))) != plain).any() for _ in range(5))


def fused_by_weight(a: Heads, b: Heads, labels: Any) -> Any:
    """As it is done: the weight is the validation list's, the labels of the test list are for the accuracy."""
    validation = head(5, LABELS, 1.0), head(6, LABELS, 2.0)
    fused = mean_scores(a, b, choose_weight(*validation, LABELS).weight)
    accuracy(fused, labels)
    return fused


def fused_by_svm(a: Heads, b: Heads, labels: Any) -> Any:
    groups = [f"g{number % 8}" for number in range(N)]
    fused = svm.fit_svm(head(5, LABELS, 2.0), head(6, LABELS, 2.0), LABELS, groups).margins(a, b)
    accuracy(fused, labels)
    return fused


def planted(a: Heads, b: Heads, labels: Any) -> Any:
    """A leak: the weight of the test list."""
    return mean_scores(a, b, choose_weight(a, b, labels).weight)


@pytest.mark.parametrize("fuse", [fused_by_weight, fused_by_svm])
def test_labels_of_the_test_list_change_no_prediction(fuse: Callable[..., Any]) -> None:
    assert leaks(planted), "this test sees a leak"
    assert not leaks(fuse)


def test_what_makes_scores_takes_no_labels() -> None:
    for function in (mean_scores, mean_logits, svm.Svm.margins, svm.features):
        names = set(inspect.signature(function).parameters)
        assert not names & {"labels", "label", "y", "truth"}, function
