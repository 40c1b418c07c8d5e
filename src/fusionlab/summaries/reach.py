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


def unseen(net: Net, snippets: int) -> list[int]:
    """Snippets, from 1, that a clip has and no prediction of the fused tower sees: the boxes' steps pass them by."""
    if not isinstance(net, FusedNet) or not isinstance(net.temporal, Pool3d):
        return []
    found = {one for prediction in seen(net.temporal, snippets) for one in prediction}
    return [one + 1 for one in range(snippets) if one not in found]


def box(head: Temporal, snippets: int) -> int:
    """The length of the box that a head pools over, in snippets."""
    if not isinstance(head, Pool3d):
        return 1
    return snippets if head.extent == "all" else min(int(head.extent), snippets)


def seen(head: Temporal, snippets: int) -> list[range]:
    """The snippets that each prediction sees: its box, and what filters reach beyond it; a clip has no more than T."""
    margin = sum(part.kernel_size[0] // 2 for part in head.modules() if isinstance(part, nn.Conv3d))
    length, step = box(head, snippets), head.stride if isinstance(head, Pool3d) else 1
    starts = range(0, snippets - length + 1, step)
    return [range(max(0, first - margin), min(snippets, first + length + margin)) for first in starts]


def _of(head: Temporal, snippets: int) -> int:
    """Of the prediction that sees the most."""
    return max(map(len, seen(head, snippets)))
