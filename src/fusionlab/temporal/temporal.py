"""What every temporal head is: what it does right at the fusion, and what takes the place of the next pooling
layer.
"""

from collections.abc import Callable

from torch import Tensor, nn

from fusionlab import errors

# A tower's own pooling over places: a maximum, or the average that stands at the end of a residual tower.
Spatial = nn.MaxPool2d | nn.AvgPool2d


class NeedsMap(errors.UserError):
    """A head that pools over places stands where there are none; the net, which knows where, says more."""


class Temporal(nn.Module):
    """Built from the channels that the fusion leaves, the channels that the layer above expects, and the
    spatial pooling that it takes the place of (None where no pooling is left above: fully connected layers,
    or no map).
    """

    needs_map = True  # pools over places and time, so it needs a map and a pooling layer above the fusion

    @classmethod
    def sees_order(cls, snippets: int, **own: object) -> bool:
        """Whether another order of a clip's T snippets can give another answer. `own`: its configured numbers."""
        return snippets > 1

    def __init__(self, channels_in: int, channels_out: int, pool: Spatial | None) -> None:
        super().__init__()
        if self.needs_map and pool is None:
            raise NeedsMap(f"{type(self).__name__.lower()} needs a layer with a map", hint="temporal=pool2d")
        self.out_channels = channels_in  # what at_fusion hands on
        self.pool = pool

    def at_fusion(self, x: Tensor) -> Tensor:
        """(N, D, T, H, W) -> (N, out_channels, T, H, W), on the fused map."""
        return x

    def at_pool(self, x: Tensor) -> Tensor:
        """(N, D, T, H, W) -> (N, D, T', H', W'), in place of the pooling layer."""
        raise NotImplementedError

    def beside(self, channels: int, pool: Spatial | None) -> "Temporal":
        """The same box for a tower that is kept whole beside the fused one: no filters, since nothing is fused
        there.
        """
        raise NotImplementedError

    def fits(self, side: int, own: int | None = None) -> None:
        """Raise a UserError where, on a map of this side, it cannot leave as many places as the pooling that it stands
        for leaves of its own map (of side `own`, where that is another one), so that the layers above would not fit.
        """

    def no_effect(self) -> dict[str, tuple[str, str]]:
        """Its own numbers that were set and change nothing here -> (why, what to type instead)."""
        return {}

    def forward(self, x: Tensor) -> Tensor:
        """Both, as when the pooling follows the fusion directly."""
        return self.at_pool(self.at_fusion(x))


TemporalFactory = Callable[[int, int, Spatial | None], Temporal]
