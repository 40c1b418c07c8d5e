"""Pool2d: y_d(t, i, j) = max of x_d(t, ·, ·) over the spatial box at (i, j). Time stays; predictions are averaged."""

from torch import Tensor

from fusionlab.backbones.folding import run_layer
from fusionlab.temporal.temporal import Spatial, Temporal


def pool(x: Tensor, spatial: Spatial) -> Tensor:
    """y_d(t, i, j) = max x_d(t, i', j') over i', j' in the box at (i, j); the mean where the tower takes means"""
    return run_layer(spatial, x)


class Pool2d(Temporal):
    """Each frame alone: the tower's own pooling, and an average of the predictions."""

    needs_map = False
    anywhere = True

    @classmethod
    def sees_order(cls, snippets: int, **own: object) -> bool:
        return False

    def reach(self, snippets: int) -> list[range]:
        return [range(t, t + 1) for t in range(snippets)]

    def at_pool(self, x: Tensor) -> Tensor:
        return x if self.pool is None else pool(x, self.pool)

    def beside(self, channels: int, pool: Spatial | None) -> "Pool2d":
        return Pool2d(channels, channels, pool)
