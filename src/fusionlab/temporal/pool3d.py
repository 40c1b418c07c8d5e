"""Pool3d: y_d(t, i, j) = max of x_d over a box in time and space, never across channels."""

from torch import Tensor, nn
from torch.nn import functional as F

from fusionlab import errors
from fusionlab.temporal import pool2d
from fusionlab.temporal.temporal import Temporal


def pool(x: Tensor, spatial: nn.MaxPool2d, extent: int, stride: int) -> Tensor:
    """y_d(t, i, j) = max x_d(t', i', j') over t' in stride·t … stride·t + extent - 1 and i', j' in the box at
    (i, j)

    A maximum over a box is the maximum in time of the maxima in space, so the spatial pooling is the tower's
    own (its padding and rounding too). Time goes first, as that leaves less to pool.
    """
    return pool2d.pool(F.max_pool3d(x, (extent, 1, 1), (stride, 1, 1)), spatial)


class Pool3d(Temporal):
    """The strongest response wherever it is in the box, so that a motion may happen a little earlier or
    later.

    `extent`: the box's length in frames. "all", the clip's length, is the released code's choice and leaves
    one time step; 3 is the paper's drawing and may leave several, whose predictions are averaged. A box
    longer than the clip is cut to it. `stride` is the step between two boxes.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        pool: nn.MaxPool2d | None,
        *,
        extent: int | str = "all",
        stride: int = 2,
    ) -> None:
        super().__init__(channels_in, channels_out, pool)
        whole = extent == "all"
        if not whole and not (isinstance(extent, int) and extent >= 1):
            raise errors.UserError(
                "the box of pool3d has no such length",
                got=extent,
                allowed=["all", "1", "2", "3", "…"],
                hint="temporal.extent=all",
            )
        if stride < 1:
            raise errors.UserError("the boxes of pool3d must move on", got=stride, hint="temporal.stride=2")
        self.extent = extent
        self.stride = stride

    def at_pool(self, x: Tensor) -> Tensor:
        assert self.pool is not None
        frames = x.shape[2]
        extent = frames if self.extent == "all" else min(int(self.extent), frames)
        return pool(x, self.pool, extent, self.stride)
