"""The linear support vector machine on two heads' scores: its optimum, and how its C is chosen."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import optimize
from sklearn.svm import LinearSVC

from fusionlab.errors import UserError
from fusionlab.results import svm
from fusionlab.results.combine import softmax
from fusionlab.results.head_scores import Heads
from fusionlab.results.svm import GRID, Floats, Svm, features, fit_svm, folds, objective, solve

N, C = 90, 4
LABELS = np.random.default_rng(9).integers(0, C, N)
GROUPS = [f"v_{label}_g{number % 6:02d}" for number, label in enumerate(LABELS)]


def gradient(w: Floats, x: Floats, s: Floats, c: float) -> Floats:
    """w − 2 C Σ_i s_i max(0, 1 − s_i w·x_i) x_i"""
    return w - 2 * c * ((s * np.maximum(0.0, 1.0 - s * (x @ w))) @ x)


def head(seed: int, gain: float = 2.0, labels: Any = LABELS) -> Heads:
    logits = np.random.default_rng(seed).normal(size=(len(labels), C))
    logits[np.arange(len(labels)), labels] += gain
    return Heads(softmax(logits).astype(np.float32), None)


A, B = head(0), head(1, 1.0)
X = features(A, B)


def test_features_are_both_heads_of_norm_one_and_a_constant() -> None:
    for video in range(N):
        a, b = A.softmax[video].astype(float), B.softmax[video].astype(float)
        right = [*(a / np.sqrt((a * a).sum())), *(b / np.sqrt((b * b).sum())), 1.0]
        np.testing.assert_allclose(X[video], right, rtol=1e-12)


@pytest.mark.parametrize("c", [1e-3, *GRID, 1e4])
def test_at_the_end_the_gradient_is_zero_and_the_dual_has_the_same_value(c: float) -> None:
    """Liblinear's problem and its dual: max Σ α_i − ½ ‖Σ α_i s_i x_i‖² − Σ α_i² / 4C, α ≥ 0."""
    weights = solve(X, LABELS, C, c)
    for k, w in enumerate(weights):
        s = np.where(k == LABELS, 1.0, -1.0)
        assert abs(gradient(w, X, s, c)).max() < 1e-9 * max(1.0, c)
        alpha = np.array([2 * c * max(0.0, 1 - s[i] * float(w @ X[i])) for i in range(N)])
        total = sum(alpha[i] * s[i] * X[i] for i in range(N))
        np.testing.assert_allclose(total, w, atol=1e-9 * max(1.0, c))  # stationarity
        dual = alpha.sum() - 0.5 * (total @ total) - (alpha**2).sum() / (4 * c)
        assert dual == pytest.approx(objective(w, X, s, c), rel=1e-9)


def test_its_objective_is_a_loop_over_videos_and_its_gradient_a_difference() -> None:
    draw, c = np.random.default_rng(2), 3.0
    w, s = draw.normal(size=2 * C + 1), np.where(LABELS == 1, 1.0, -1.0)
    slopes = gradient(w, X, s, c)
    loop = 0.5 * sum(one**2 for one in w) + c * sum(max(0.0, 1 - s[i] * (w @ X[i])) ** 2 for i in range(N))
    assert objective(w, X, s, c) == pytest.approx(loop, rel=1e-12)
    for k in range(len(w)):
        near = np.eye(len(w))[k] * 1e-6
        slope = (objective(w + near, X, s, c) - objective(w - near, X, s, c)) / 2e-6
        assert slopes[k] == pytest.approx(slope, abs=1e-4)


def test_a_small_case_by_brute_force() -> None:
    """Two numbers and three videos: every set of videos that may fall short gives a candidate."""
    x, s, c = np.array([[1.0, 1.0], [0.5, 1.0], [-1.0, 1.0]]), np.array([1.0, -1.0, -1.0]), 0.7
    best = np.inf
    for short in product([False, True], repeat=3):
        rows = x[list(short)]
        w = np.linalg.solve(np.eye(2) + 2 * c * rows.T @ rows, 2 * c * s[list(short)] @ rows)
        best = min(best, objective(w, x, s, c))
    grid = np.linspace(-2, 2, 201)
    assert best <= min(objective(np.array([u, v]), x, s, c) for u in grid for v in grid)
    found = solve(x, np.array([1, 0, 0]), 2, c)[1]
    assert objective(found, x, s, c) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("c", [0.125, 8.0])
def test_another_solver_finds_the_same(c: float) -> None:
    """scipy's L-BFGS-B."""
    weights = solve(X, LABELS, C, c)
    for k in range(C):
        s = np.where(k == LABELS, 1.0, -1.0)
        options = {"ftol": 0.0, "gtol": 1e-9, "maxiter": 10_000}
        found = optimize.minimize(objective, np.zeros(X.shape[1]), (X, s, c), "L-BFGS-B", gradient, options=options)
        np.testing.assert_allclose(weights[k], found.x, atol=1e-6)


@pytest.mark.parametrize("c", GRID)
def test_scikit_learn_finds_the_same(c: float) -> None:
    """`LinearSVC` in the primal: its bias is regularised because it is a feature, as here."""
    made = LinearSVC(C=c, loss="squared_hinge", dual=False, fit_intercept=False, tol=1e-10, max_iter=100_000)
    made.fit(X, LABELS)
    np.testing.assert_allclose(solve(X, LABELS, C, c), made.coef_, atol=1e-4 * max(1.0, c**0.5))
    assert (made.predict(X) == (X @ solve(X, LABELS, C, c).T).argmax(1)).all()


def test_a_start_changes_nothing_but_the_time() -> None:
    cold = solve(X, LABELS, C, 2.0)
    np.testing.assert_allclose(solve(X, LABELS, C, 2.0, solve(X, LABELS, C, 0.5)), cold, atol=1e-10)


def test_each_class_and_the_order_of_videos_stand_alone() -> None:
    order = np.random.default_rng(0).permutation(N)
    np.testing.assert_allclose(solve(X[order], LABELS[order], C, 2.0), solve(X, LABELS, C, 2.0), atol=1e-10)
    names = np.array([2, 0, 3, 1])  # class k is called names[k]
    np.testing.assert_allclose(solve(X, names[LABELS], C, 2.0)[names], solve(X, LABELS, C, 2.0), atol=1e-12)


def test_a_group_lies_in_one_fold_and_each_fold_has_every_class() -> None:
    made = folds(GROUPS)
    assert len(made) == 5 and (np.sum(made, axis=0) == 1).all()
    for fold in made:
        inside = {group for group, own in zip(GROUPS, fold, strict=True) if own}
        assert not inside & {group for group, own in zip(GROUPS, fold, strict=True) if not own}
        assert set(LABELS[fold]) == set(range(C))
    order = np.random.default_rng(0).permutation(N)
    for fold, again in zip(made, folds([GROUPS[place] for place in order]), strict=True):
        assert (fold[order] == again).all()  # whatever the order of the list
    assert len(folds(["a", "b", "b", "c"])) == 3
    with pytest.raises(UserError, match="two groups"):
        folds(["a", "a"])


def test_c_is_the_one_of_the_cross_validation() -> None:
    made = fit_svm(A, B, LABELS.tolist(), GROUPS)
    for (c, share), own in zip(made.curve, GRID, strict=True):
        right = 0
        for fold in folds(GROUPS):
            weights = solve(X[~fold], LABELS[~fold], C, c)
            right += int(((X[fold] @ weights.T).argmax(1) == LABELS[fold]).sum())
        assert (c, share) == (own, right / N)
    best = max(share for _, share in made.curve)
    assert made.c == min(c for c, share in made.curve if share == best)
    np.testing.assert_allclose(made.weights, solve(X, LABELS, C, made.c), atol=1e-12)
    assert "over-confident" in made.note


def test_groups_keep_copies_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten copies of each video, with labels of chance: over videos the machine knows them, over groups it does not."""
    monkeypatch.setattr(svm, "GRID", (128.0,))
    draw = np.random.default_rng(1)
    labels = np.repeat(draw.integers(0, C, 12), 10)
    spread = [head(seed, 0.0, np.repeat(0, 12)) for seed in (3, 4)]
    a, b = (Heads(np.repeat(one.softmax, 10, axis=0), None) for one in spread)
    grouped = fit_svm(a, b, labels, [f"g{number // 10:02d}" for number in range(120)])
    by_video = fit_svm(a, b, labels, [f"g{number:03d}" for number in range(120)])
    assert by_video.curve[0][1] > 0.8 > 0.5 > grouped.curve[0][1]


def test_it_joins_what_each_stream_knows() -> None:
    """Each head knows one bit of the class; together they know it."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, C, 200)
    bit_a = np.eye(C)[labels] + np.eye(C)[labels ^ 1]
    bit_b = np.eye(C)[labels] + np.eye(C)[labels ^ 2]
    a, b = (Heads(softmax(3 * bit + draw.normal(size=bit.shape)).astype(np.float32), None) for bit in (bit_a, bit_b))
    made = fit_svm(a, b, labels, [f"g{n % 20:02d}" for n in range(200)])
    assert (made.margins(a, b).argmax(1) == labels).mean() > 0.9
    assert isinstance(made, Svm) and made.margins(a, b).shape == (200, C)


def test_margins_are_the_weights_times_the_features() -> None:
    made = fit_svm(A, B, LABELS, GROUPS)
    seen: Floats = made.margins(A, B)
    for video in range(0, N, 17):
        for k in range(C):
            assert seen[video, k] == pytest.approx(float(made.weights[k] @ X[video]))
