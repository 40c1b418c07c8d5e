import numpy as np
import pytest
from numpy.typing import NDArray

from fusionlab.video.quantise import (
    dequantise,
    dequantise_by_field,
    mirror,
    quantise,
    quantise_by_field,
    to_bound,
)

SCALES = (1e-3, 0.4, 7.0, 60.0)


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


# --- each field by its own range ---


def drawn(scale: float, seed: int = 0) -> NDArray[np.float32]:
    """u and v of very different ranges, neither about zero."""
    field = np.random.default_rng(seed).standard_normal((2, 9, 11)) * [[[scale]], [[scale * 5]]]
    return (field + np.array([[[scale]], [[-2 * scale]]])).astype(np.float32)


@pytest.mark.parametrize("scale", SCALES)
def test_a_field_by_itself_is_the_loop_of_2014(scale: float) -> None:
    field = drawn(scale)
    levels, ranges = quantise_by_field(field)
    assert levels.dtype == np.uint8 and levels.shape == field.shape and ranges.dtype == np.float32
    for component in range(2):
        lowest, highest = min(field[component].flat), max(field[component].flat)
        assert (ranges[component, 0], ranges[component, 1]) == (lowest, highest)
        for y in range(9):
            for x in range(11):
                part = (float(field[component, y, x]) - float(lowest)) / (float(highest) - float(lowest))
                assert levels[component, y, x] == round(255 * part)


@pytest.mark.parametrize("scale", SCALES)
def test_a_field_by_itself_comes_back_within_half_a_step_and_its_ends_exactly(scale: float) -> None:
    for seed in range(20):
        field = drawn(scale, seed)
        levels, ranges = quantise_by_field(field)
        back = dequantise_by_field(levels, ranges)
        assert back.dtype == np.float32
        half = (ranges[:, 1] - ranges[:, 0]) / 510
        off = np.abs(back.astype(float) - field).max(axis=(1, 2))
        assert (off <= half * (1 + 1e-4)).all()
        assert (levels.min(axis=(1, 2)) == 0).all() and (levels.max(axis=(1, 2)) == 255).all()
        np.testing.assert_array_equal(back.min(axis=(1, 2)), ranges[:, 0])
        np.testing.assert_array_equal(back.max(axis=(1, 2)), ranges[:, 1])


@pytest.mark.parametrize("still", [0.0, 0.1, -3.7])
def test_a_component_without_motion_of_its_own_is_exact(still: float) -> None:
    field = np.stack([np.full((3, 4), still), np.linspace(-1, 1, 12).reshape(3, 4)]).astype(np.float32)
    levels, ranges = quantise_by_field(field)
    np.testing.assert_array_equal(dequantise_by_field(levels, ranges)[0], field[0])
    assert (quantise(dequantise_by_field(levels, ranges), 20.0)[0] == quantise(field, 20.0)[0]).all()
    assert (levels[0] == 0).all()


@pytest.mark.parametrize("bound", [4.0, 20.0])
@pytest.mark.parametrize("scale", SCALES)
def test_the_table_is_both_functions_one_after_the_other(scale: float, bound: float) -> None:
    levels, ranges = quantise_by_field(drawn(scale))
    table = to_bound(ranges, bound)
    assert table.shape == (2, 256) and table.dtype == np.uint8
    expected = quantise(dequantise_by_field(levels, ranges), bound)
    for component in range(2):
        np.testing.assert_array_equal(table[component][levels[component]], expected[component])
        assert (np.diff(table[component].astype(int)) >= 0).all(), "more is more"
    # Against the field itself it is off by half a step of each rule.
    allowed = bound / 255 + (ranges[:, 1] - ranges[:, 0]) / 510
    clipped = np.clip(drawn(scale), -bound, bound)
    assert (np.abs(dequantise(expected, bound) - clipped).max(axis=(1, 2)) <= allowed * (1 + 1e-4)).all()


def test_a_field_whose_range_is_the_bound_is_quantised_alike_by_both_rules() -> None:
    field = np.random.default_rng(1).uniform(-20, 20, (2, 8, 8)).astype(np.float32)
    field[:, 0, 0], field[:, 0, 1] = -20, 20
    levels, ranges = quantise_by_field(field)
    np.testing.assert_array_equal(levels, quantise(field, 20.0))
    np.testing.assert_array_equal(to_bound(ranges, 20.0), np.stack([np.arange(256)] * 2))
