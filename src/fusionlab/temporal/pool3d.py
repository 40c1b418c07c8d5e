"""Pool3d: y_d(t, i, j) = max of x_d over a box in time and space, never across channels."""

from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab import errors
from fusionlab.backbones.layers import Window, layer_text, over_places, takes_mean, window_text
from fusionlab.temporal import pool2d
from fusionlab.temporal.temporal import Spatial, Temporal

STRIDE = 2  # of the box in time, where none is set


def pool(x: Tensor, spatial: Spatial, extent: int, stride: int) -> Tensor:
    """y_d(t, i, j) = max x_d(t', i', j'), t' in stride·t … stride·t + extent - 1 and i', j' in the box at (i, j)

    A maximum over a box is the maximum in time of the maxima in space, so the spatial pooling is the tower's
    own (its padding and rounding too), without a window in time. Time goes first, as that leaves less to pool.
    Where the tower takes means over places, they are means of the maxima in time.
    """
    return pool2d.pool(F.max_pool3d(x, (extent, 1, 1), (stride, 1, 1)), spatial)


class Pool3d(Temporal):
    """The strongest response anywhere in the box, so that a motion may happen a little earlier or later.

    `extent`: the box's length in frames. "all", the clip's length, is the released code's choice and leaves
    one time step; 3 is the paper's drawing and may leave several, whose predictions are averaged. A box
    longer than the clip is cut to it. `stride` is the step between two boxes.

    `side`: the box's height and width. None is the tower's own pooling, as released: 2×2 in VGG-16, 3×3 in
    VGG-M; in a residual tower its average over all places, so that only time has a maximum. A number, as the
    paper's drawing has 3, moves on by 2 and rounds so that the layers above find what they expect: in VGG-16 14
    places become 7, in VGG-M 13 become 6. Above a mean over all places it moves on by 1, and the mean
    is one of all boxes.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        pool: Spatial | None,
        *,
        extent: int | str = "all",
        stride: int = STRIDE,
        side: int | None = None,
    ) -> None:
        super().__init__(channels_in, channels_out, None if pool is None else over_places(pool))
        if extent != "all" and not _counts(extent):
            raise errors.UserError(
                "not a valid length of a box",
                got=extent,
                allowed=["all", "1", "2", "3", "…"],
                hint="temporal.extent=all",
            )
        if not _counts(stride):
            raise errors.UserError("the boxes of pool3d must move on", got=stride, hint="temporal.stride=2")
        self.extent = extent
        self.stride = stride
        self.side = side
        self.own: Window | None = None  # of the tower's pooling, where the box has another side
        if side is not None:
            self._set_side(side)

    @classmethod
    def sees_order(cls, snippets: int, **own: object) -> bool:
        """Whether boxes are shorter than the clip: then the order of snippets can change the result."""
        extent = own.get("extent", "all")
        return isinstance(extent, int) and extent < snippets

    def _set_side(self, side: int) -> None:
        if not _counts(side):
            raise errors.UserError(
                "not a valid side of a box",
                got=side,
                allowed=["1", "2", "3", "…"],
                hint="temporal.side=3",
            )
        assert self.pool is not None
        own, mean = Window.of(self.pool), takes_mean(self.pool)
        if own is None or (mean and (own.stride != 1 or own.padding or own.size < side)):
            raise errors.UserError(
                "temporal.side= needs a tower whose next pooling takes a maximum, or the mean of all places of a map "
                "as large as the box",
                got=f"temporal.side={side}, the pooling is {layer_text(self.pool)}",
                hint="temporal=pool3d or conv3d: the maximum over time, then the tower's mean",
            )
        if mean:  # on any map it leaves as many places as the tower's own mean
            self.pool = nn.Sequential(nn.MaxPool2d(side, 1), nn.AvgPool2d(own.size - side + 1, 1))
        else:
            self.own, self.pool = own, nn.MaxPool2d(side, stride=2, ceil_mode=True)

    def at_pool(self, x: Tensor) -> Tensor:
        assert self.pool is not None
        return pool(x, self.pool, self._length(x.shape[2]), self.stride)

    def _length(self, snippets: int) -> int:
        """The length of the box; a box that is longer than the clip is cut to it."""
        return snippets if self.extent == "all" else min(int(self.extent), snippets)

    def reach(self, snippets: int) -> list[range]:
        length = self._length(snippets)
        return [range(first, first + length) for first in range(0, snippets - length + 1, self.stride)]

    def pool_text(self, snippets: int) -> tuple[str, str]:
        assert self.pool is not None
        box, *mean = self.pool if isinstance(self.pool, nn.Sequential) else (self.pool,)
        then = "".join(f", mean {window_text(one)}" for one in mean)
        return "pool3d", f"{self._length(snippets)}×{window_text(box, axes=2)}{then}"

    def beside(self, channels: int, pool: Spatial | None) -> "Pool3d":
        return Pool3d(channels, channels, pool, extent=self.extent, stride=self.stride, side=self.side)

    def no_effect(self) -> dict[str, tuple[str, str]]:
        if self.extent == "all" and self.stride != STRIDE:
            instead = f"temporal.extent=3 with it, or temporal.stride={STRIDE}"
            return {"stride": ("a box as long as the clip takes no steps", instead)}
        return {}

    def fits(self, side: int, own: int | None = None) -> None:
        if self.own is None or self.side is None:
            return
        expected = self.own.places(side if own is None else own)
        for round_up in (False, True):  # the paper's drawing does not show how it rounds
            self.pool = nn.MaxPool2d(self.side, stride=2, ceil_mode=round_up)
            left = Window(self.side, 2, 0, round_up).places(side)
            if left == expected:
                return
        raise errors.UserError(
            f"the layers above this pooling of {side}×{side} places expect {expected}×{expected} of them",
            got=f"temporal.side={self.side}, which leaves {left}×{left}",
            hint="temporal.side=3; or temporal=pool3d or conv3d: the tower's own pooling",
        )


def _counts(number: object) -> bool:
    """A whole number from 1 on."""
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1
