"""Options that turn nothing at a point of the grid are refused there: of two arms that are one net under two names
both would be trained, and the difference of their draws read as an effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionlab.door.kinds import as_typed
from fusionlab.errors import UserError
from fusionlab.records.signature import NEUTRAL, value
from fusionlab.two_stream.fused import FusedNet
from fusionlab.two_stream.net import Net

OF_A_FUSED_NET = ("into", "keep_motion", "tower_weight")


def refuse_idle(config: Mapping[str, Any], net: Net) -> None:
    """Raise a `UserError` for an option that is turned and does nothing to this net."""
    turned = [leaf for leaf in OF_A_FUSED_NET if value(config, leaf) != NEUTRAL[leaf]]
    if not isinstance(net, FusedNet):
        for leaf in turned:
            raise _idle("late fusion has both towers whole and nothing above them", config, leaf)
        return
    if "tower_weight" in turned and not net.two_losses:
        raise _idle("one tower's scores have nothing to be weighed against", config, "tower_weight", "keep_motion=true")
    if "into" in turned and not net.two_losses and not any(True for _ in net.above.parameters()):
        raise _idle(f"nothing stands above the fusion at {config['layer']}", config, "into")


def _idle(what: str, config: Mapping[str, Any], leaf: str, instead: str | None = None) -> UserError:
    plain = f"{leaf}={as_typed(NEUTRAL[leaf])}"
    got = f"{leaf}={as_typed(value(config, leaf))}"
    return UserError(what, got=got, hint=f"{instead}, or {plain}" if instead else plain)
