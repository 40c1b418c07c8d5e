import numpy as np
import pytest

from fusionlab.video.quantise import dequantise, mirror, quantise


@pytest.mark.parametrize("pixels, level", [(-25, 0), (-20, 0), (-1, 121), (0, 128), (1, 134), (20, 255), (25, 255)])
def test_golden_values_of_the_released_quantiser(pixels: float, level: int) -> None:
    assert quantise(np.array([pixels], dtype=np.float32), 20.0) == level


def test_round_trip_is_within_half_a_step() -> None:
    flow = np.linspace(-20, 20, 100_001).astype(np.float32)
    assert np.abs(dequantise(quantise(flow, 20.0), 20.0) - flow).max() <= 0.0785
    small = np.linspace(-8, 8, 10_001).astype(np.float32)
    assert np.abs(dequantise(quantise(small, 8.0), 8.0) - small).max() <= 8 / 255 + 1e-6


def test_every_level_comes_back_as_itself() -> None:
    levels = np.arange(256, dtype=np.uint8)
    for bound in (8.0, 20.0):
        np.testing.assert_array_equal(quantise(dequantise(levels, bound), bound), levels)


def test_mirror_mirrors_u_exactly_and_keeps_v() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (5, 2, 6, 7), dtype=np.uint8)
    mirrored = mirror(levels)
    for y in range(6):
        for x in range(7):
            np.testing.assert_array_equal(mirrored[:, 0, y, 6 - x], 255 - levels[:, 0, y, x])
            np.testing.assert_array_equal(mirrored[:, 1, y, 6 - x], levels[:, 1, y, x])
    np.testing.assert_array_equal(mirror(mirrored), levels)


def test_still_pixels_are_128_and_127_in_the_mirror() -> None:
    still = quantise(np.zeros((2, 3, 3), dtype=np.float32))
    assert (still == 128).all()
    assert (mirror(still)[0] == 127).all() and (mirror(still)[1] == 128).all()
