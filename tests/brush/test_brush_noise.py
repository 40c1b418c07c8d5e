"""Noise is a camera's: normal in shape, of each pixel of each frame its own, and where it is whatever is shown."""

from dataclasses import replace

import numpy as np
import pytest
from brush_fakes import KNOBS, scenes
from scipy import stats

from fusionlab.data.brush.render import UNIT, _noise, _quantiles, planes

SHAPE = (16, 50, 50)


@pytest.mark.parametrize("deviation", [0.5, 2.0, 40.0])
def test_its_values_are_quantiles_with_the_deviation_that_was_asked(deviation: float) -> None:
    values = _quantiles(deviation) / UNIT
    assert len(values) == 256 and (np.diff(values) >= 0).all()
    np.testing.assert_allclose(values, -values[::-1])
    assert abs(values.std() - deviation) < 0.5 / UNIT
    normal = stats.norm.ppf((np.arange(256) + 0.5) / 256) * deviation
    np.testing.assert_allclose(values, normal, rtol=0.01, atol=0.5 / UNIT)


def test_each_value_is_as_likely_and_none_tells_another() -> None:
    found = np.stack([_noise(seed, 16.0, SHAPE) for seed in range(6)])
    assert found.dtype == np.int16
    values, counts = np.unique(found, return_counts=True)
    assert len(values) == 256 and stats.chisquare(counts).pvalue > 0.001
    scaled = found / found.std()
    for axis in range(4):  # the next clip, frame, row, column
        shifted = np.roll(scaled, 1, axis)
        assert abs((scaled * shifted).mean()) < 5 / np.sqrt(found.size)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 50, 50), (3, 7, 5)])
def test_a_picture_of_any_size_begins_alike(shape: tuple[int, int, int]) -> None:
    some = _noise(7, 2.0, shape)
    assert some.shape == shape
    np.testing.assert_array_equal(some.ravel(), _noise(7, 2.0, SHAPE).ravel()[: some.size])


def test_luma_varies_by_so_much_and_the_same_whatever_is_shown() -> None:
    (_, one), (_, other) = scenes(2, 6, seed=4)
    noisy, quiet = (planes(one, noise, KNOBS.clutter)[0].astype(float) for noise in (4.0, 0.0))
    assert abs((noisy - quiet).std() - np.sqrt(4.0**2 + 1 / 6)) < 0.15  # both are rounded: 1/12 each
    same = replace(other, noise_seed=one.noise_seed)
    apart = (noisy - quiet) - (planes(same, 4.0)[0].astype(float) - planes(same)[0])
    assert (np.abs(apart) <= 2).mean() > 0.99, "but for rounding, and where the pattern ends the range of luma"


def test_it_does_not_shake_with_the_picture() -> None:
    (_, still), *_ = scenes(1, 6, seed=5)
    shaken = replace(still, shake=np.ones_like(still.shake))
    of_still, of_shaken = (planes(one, 4.0)[0].astype(float) - planes(one)[0] for one in (still, shaken))
    assert (np.abs(of_still - of_shaken) <= 2).mean() > 0.99
    assert (np.abs(of_still - np.roll(of_shaken, 1, axis=1)) <= 2).mean() < 0.5, "and moved by a row it is another"
