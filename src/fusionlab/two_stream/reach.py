"""How far one prediction sees in time, in snippets: one below a temporal head, then what its filters and box add."""

from torch import nn

from fusionlab.temporal.pool3d import Pool3d
from fusionlab.temporal.temporal import Temporal
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import Net


def reach(net: Net, snippets: int) -> tuple[int, ...]:
    """Of each head's predictions, for clips of T = `snippets`."""
    if not isinstance(net, FusedNet):
        return (1,)
    kept = (net.beside_head,) if net.two_losses else ()
    return tuple(1 if head is None else _of(head, snippets) for head in (net.temporal, *kept))


def box(head: Temporal, snippets: int) -> int:
    """The length of the box that a head pools over, in snippets."""
    if not isinstance(head, Pool3d):
        return 1
    return snippets if head.extent == "all" else min(int(head.extent), snippets)


def _of(head: Temporal, snippets: int) -> int:
    """Σ (k − 1) + 1 over its filters in time and its box; a clip has no more than T."""
    filters = sum(part.kernel_size[0] - 1 for part in head.modules() if isinstance(part, nn.Conv3d))
    return min(snippets, filters + box(head, snippets))
