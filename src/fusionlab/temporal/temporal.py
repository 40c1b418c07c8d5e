"""A temporal head: what happens to time right at the fusion, and in place of the next pooling layer."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from fusionlab import errors
from fusionlab.backbones.layers import class_word, window_text

Spatial = nn.Module  # a tower's own pooling over places, a maximum or a mean


class NeedsMap(errors.UserError):
    """Raised by a head that needs a map where there is none; the net, which knows the layer, adds details."""


class Temporal(nn.Module):
    """Built from the fusion's channels, the channels that the layer above expects, and the pooling that it replaces.

    The pooling is None where none is left above: fully connected layers, or no map.
    To write another: subclass, write `at_pool` and `beside`, and `reach` where a prediction does not see all snippets.
    """

    needs_map = True  # needs a map, and a pooling layer above the fusion
    anywhere = False  # True: a tower with it is the same net, whichever of the tower's layers it stands at
    keeps_channels = True  # at its start a channel that it leaves shows what this channel of the fused map showed

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

    def reach(self, snippets: int) -> Sequence[range]:
        """The snippets, from 0, that each prediction sees in a clip of T = `snippets`; by default all."""
        return [range(snippets)]

    def pool_text(self, snippets: int) -> tuple[str, str]:
        """The text of the head's pooling for tables: its name, and its kernel / stride."""
        assert self.pool is not None
        return class_word(self), window_text(self.pool)

    def beside(self, channels: int, pool: Spatial | None) -> "Temporal":
        """The same box for a tower that is kept beside the fused one; without filters, since it is not fused."""
        raise NotImplementedError

    def fits(self, side: int, own: int | None = None) -> None:
        """Raise a UserError if the layers above do not fit what it leaves of a map of this side.

        They expect as many places as the replaced pooling leaves of its own map, whose side is `own` if it differs.
        """

    def no_effect(self) -> dict[str, tuple[str, str]]:
        """Its own numbers that were set but have no effect here -> (why, what to type instead)."""
        return {}

    def forward(self, x: Tensor) -> Tensor:
        """Both steps, for a pooling that follows the fusion directly."""
        return self.at_pool(self.at_fusion(x))


TemporalFactory = Callable[[int, int, Spatial | None], Temporal]
