"""The outline of a net for tables and drawings: its layers, and its storeys from the lowest fusion up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fusionlab.backbones.layers import class_word
from fusionlab.temporal.temporal import Temporal

if TYPE_CHECKING:
    from fusionlab.two_stream.control import ControlNet, Top
    from fusionlab.two_stream.fused import FusedNet


class NetLayer(NamedTuple):
    """One layer of a net. `part` and `name` as tables have them: fusion relu5, above fc6."""

    path: str  # of the module within the net
    part: str
    name: str
    text: str | None = None  # what it is, where the module itself does not say


class Shown(NamedTuple):
    """A layer in a drawing, by its part and name."""

    part: str
    name: str
    note: str = ""  # behind its name
    replaces_pooling: bool = False


@dataclass(frozen=True)
class Storey:
    """A fusion and the layers above it, up to the next fusion or to the logits."""

    fusion: Shown | None  # None where the towers stay apart
    title: str
    taps: tuple[str, str]  # where the two maps are taken, appearance's and motion's
    above: Sequence[Shown]  # of the tower that goes on
    beside: Sequence[Shown] | None  # of the other tower; None where it ends here


def fused_layers(net: FusedNet, snippets: int) -> Iterator[NetLayer]:
    yield from (NetLayer(net.path(k), "fusion", name) for k, name in enumerate(net.names))
    yield from _head_layers("temporal", "temporal", net.temporal, net.above.replaced, snippets)
    yield from (NetLayer(f"above.{name}", "above", name) for name in net.above)
    if net.beside is not None:
        if net.beside_head is not None:
            yield from _head_layers("beside_head", "beside", net.beside_head, net.beside.replaced, snippets)
        yield from (NetLayer(f"beside.{name}", "beside", name) for name in net.beside)
    if net.svm is not None:
        yield NetLayer("svm", "svm", "svm" if net.fusion.classifier == "svm" else "classifier")


def top_layers(top: Top, path: str, head: str, above: str, snippets: int) -> Iterator[NetLayer]:
    """The layers of one tower that is trained on. `path`: of the top within the net; `head`, `above`: its parts."""
    yield from _head_layers(f"{path}temporal", head, top.temporal, top.above.replaced, snippets)
    yield from (NetLayer(f"{path}above.{name}", above, name) for name in top.above)


def top_storey(net: ControlNet) -> Storey:
    """Both towers from the cut on, side by side."""
    columns = []
    for top, head, above in ((net.appearance, "temporal", "above"), (net.motion, "beside", "beside")):
        note = ", relu" if top.has_relu else ""
        own = [Shown(one.part, one.name, note) for one in _head_layers("", head, top.temporal, top.above.replaced, 1)
               if one.name != top.above.replaced]  # fmt: skip
        below, behind = (
            _shown(names, above, head, top.above.replaced) for names in (top.cut.until(top.headed), top.headed.above)
        )
        columns.append([*below, *own, *behind])
    return Storey(None, "", net.points[0].taps, *columns)


def _head_layers(path: str, part: str, head: Temporal, replaced: str | None, snippets: int) -> Iterator[NetLayer]:
    """The layers of a temporal head; its pooling has the name of the replaced pooling."""
    inside = [name for name, _ in head.named_children() if name != "pool"]
    own = any(True for _ in head.parameters(recurse=False))
    if own:
        yield NetLayer(path, part, class_word(head))
    for name in inside:
        yield NetLayer(f"{path}.{name}", part, name if own or len(inside) > 1 else class_word(head))
    if head.pool is not None:
        yield NetLayer(f"{path}.pool", part, replaced or "pool", " ".join(head.pool_text(snippets)))


def fused_storeys(net: FusedNet) -> Sequence[Storey]:
    storeys = []
    for k, name in enumerate(net.names):
        fusion = net.get_submodule(net.path(k))
        title = f"{class_word(fusion)} fusion" + (", relu" if net.has_relu(k, fusion) else "")
        above = _shown(net.steps[k], "above", "temporal", net.above.replaced)
        if k == net.headed:
            note = ", relu" if net.has_relu(k, net.temporal) else ""
            own = [one for one in fused_layers(net, 1) if one.part == "temporal" and one.name != net.above.replaced]
            above = [*(Shown(one.part, one.name, note) for one in own), *above]
        above += [Shown(one.part, one.name) for one in fused_layers(net, 1) if one.part == "svm"]
        goes_on = k < len(net.other_steps)
        replaced = net.beside.replaced if net.beside is not None else None
        beside = _shown(net.other_steps[k], "beside", "beside", replaced) if goes_on else None
        storeys.append(Storey(Shown("fusion", name), title, net.taps[k], above, beside))
    return storeys


def _shown(names: Sequence[str], part: str, head: str, replaced: str | None) -> list[Shown]:
    """A tower's layers; `head`: the part of the pooling that a temporal head replaces."""
    return [Shown(head, name, replaces_pooling=True) if name == replaced else Shown(part, name) for name in names]
