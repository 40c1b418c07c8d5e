"""How many boxes of a pooling lie along a side."""

from typing import NamedTuple, Self

from torch import nn


class Window(NamedTuple):
    """Boxes of `size` places, `stride` apart, on a side with `padding` at either end. `up`: a last box that hangs over
    the end counts, as long as it starts before it.
    """

    size: int
    stride: int
    padding: int
    up: bool

    @classmethod
    def of(cls, pool: nn.MaxPool2d) -> Self:
        sizes = pool.kernel_size, pool.stride, pool.padding
        assert all(isinstance(one, int) for one in sizes), "towers pool by squares"
        size, stride, padding = (int(one) for one in sizes)  # type: ignore[arg-type]
        return cls(size, stride, padding, bool(pool.ceil_mode))

    def places(self, side: int) -> int:
        """
        >>> Window(size=3, stride=2, padding=0, up=True).places(14), Window(3, 2, 0, True).places(13)
        (7, 6)
        """
        room = side + 2 * self.padding - self.size
        steps = -(-room // self.stride) if self.up else room // self.stride
        if self.up and steps * self.stride >= side + self.padding:
            steps -= 1
        return max(steps + 1, 0)
