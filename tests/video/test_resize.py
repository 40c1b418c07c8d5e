"""The size of stored pictures."""

import numpy as np
import pytest

from fusionlab.video.resize import fitted, resize


@pytest.mark.parametrize(
    "height, width", [(240, 320), (241, 427), (427, 241), (1080, 1920), (100, 333), (256, 342), (3, 999)]
)
def test_both_sides_are_even_and_nearest_to_the_aspect(height: int, width: int) -> None:
    """By a loop over all even numbers."""
    for short in (32, 64, 256):
        exact = [side * short / min(height, width) for side in (height, width)]
        for got, side in zip(fitted(height, width, short), exact, strict=True):
            assert abs(got - side) <= min(abs(even - side) for even in range(2, int(side) + 4, 2)) + 1e-9
            assert got % 2 == 0 and got >= 2


def test_a_frame_of_the_right_size_is_left_alone() -> None:
    frame = np.zeros((256, 342, 3), dtype=np.uint8)
    assert resize(frame, 256) is frame and resize(frame, None) is frame
    assert resize(frame, 64).shape == (64, 86, 3)
