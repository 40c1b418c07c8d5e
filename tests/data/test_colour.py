"""The noise of colours: its equation, and that it changes no other draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fusionlab.data.colour import DEVIATION, EIGENVALUES, EIGENVECTORS, drawn, shift
from fusionlab.data.views import Sampling, training_view
from fusionlab.data.views import testing_view as view_of_test
from fusionlab.errors import UserError
from fusionlab.records.draws import key

HOW = Sampling(2, 4, (2, 6), 24, apart=5)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def test_the_shift_is_its_equation() -> None:
    alphas = 0.1 * generator(3).standard_normal(3)
    loop = [sum(EIGENVECTORS[c, k] * alphas[k] * EIGENVALUES[k] for k in range(3)) for c in range(3)]
    assert drawn(generator(3)) == pytest.approx(loop)


def test_the_directions_are_orthonormal_and_the_shifts_have_their_covariance() -> None:
    np.testing.assert_allclose(EIGENVECTORS.T @ EIGENVECTORS, np.eye(3), atol=2e-3)
    draw = generator(0)
    shifts = np.array([drawn(draw) for _ in range(20_000)])
    covariance = (EIGENVECTORS * (DEVIATION * EIGENVALUES) ** 2) @ EIGENVECTORS.T
    np.testing.assert_allclose(np.cov(shifts.T), covariance, atol=0.05 * covariance.max())


def test_bytes_are_rounded_and_cut() -> None:
    pixels = np.array([[0, 1, 100, 254, 255]] * 3, dtype=np.uint8)
    shift(pixels, (1.6, -1.4, 0.4))
    assert pixels.tolist() == [[2, 3, 102, 255, 255], [0, 0, 99, 253, 254], [0, 1, 100, 254, 255]]


def test_the_shift_is_drawn_last_and_once_for_a_clip() -> None:
    plain, colour = HOW, replace(HOW, colour="jitter")
    for index in range(20):
        one, other = (training_view(60, 40, 50, how, 7, 2, index) for how in (plain, colour))
        assert one.shift is None and other.shift is not None
        assert (one.centres.tolist(), one.crop, one.down) == (other.centres.tolist(), other.crop, other.down)
        draw = generator(key("sample", 7, 2, index))
        draw.integers(2, 7), draw.random(), draw.integers(17), draw.integers(27), draw.integers(2), draw.integers(2)
        assert other.shift == drawn(draw)
    assert view_of_test(60, 40, 50, colour, 0).shift is None


def test_an_unknown_colour_is_answered() -> None:
    with pytest.raises(UserError, match=r"data\.sampling\.colour=jitter"):
        replace(HOW, colour="jiter")
