"""Two maps of unequal size made to lie on each other: zeros below and to the right of the smaller one.

VGG-16's relu5_3 has 14×14 places and VGG-M's relu5 13×13, both 16 pixels apart. The paper fills the smaller map
up with a row and a column of zeros and does not say on which side; below and to the right keeps the places'
numbers.
"""

from torch import Tensor
from torch.nn import functional as F

from fusionlab.two_stream.fusion_point import ROOM


def levelled(x_a: Tensor, x_b: Tensor) -> tuple[Tensor, Tensor]:
    """Both of the larger height and width, where they are as near as that; else as they are."""
    height, width = (max(x_a.shape[axis], x_b.shape[axis]) for axis in (3, 4))
    return _filled(x_a, height, width), _filled(x_b, height, width)


def _filled(x: Tensor, height: int, width: int) -> Tensor:
    below, right = height - x.shape[3], width - x.shape[4]
    if max(below, right) not in range(1, ROOM + 1):
        return x
    return F.pad(x, (0, right, 0, below))
