"""Options that turn nothing at a point of the grid are refused there: of two arms that are one net under two names
both would be trained, and the difference of their draws read as an effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionlab.config.value_types import as_typed
from fusionlab.errors import UserError
from fusionlab.records.signature import NEUTRAL, value
from fusionlab.temporal.conv3d import Conv3d
from fusionlab.temporal.pool3d import Pool3d
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
    _above(config, net)
    _head(config, net)
    if "tower_weight" in turned and not net.two_losses:
        raise _idle("one tower's scores have nothing to be weighed against", config, "tower_weight", "keep_motion=true")
    if "into" in turned and not net.two_losses and not any(True for _ in net.above.parameters()):
        raise _idle(f"nothing stands above the fusion at {config['layer']}", config, "into")


def _above(config: Mapping[str, Any], net: FusedNet) -> None:
    """From where layers start, where there are none."""
    if config["above"] != value(config, "into") and not any(True for _ in net.above.parameters()):
        raise UserError(
            f"nothing stands above the fusion at {config['layer']}",
            got=f"above={config['above']}",
            hint=f"above={value(config, 'into')}",
        )


def _head(config: Mapping[str, Any], net: FusedNet) -> None:
    """Numbers of a temporal head that this one does not read."""
    head, numbers = net.temporal, config["temporal"]
    if isinstance(head, Conv3d) and len(head.weights) == 1:
        for leaf, plain in (("weight_a", 0.25), ("weight_b", 0.75)):
            if numbers.get(leaf, plain) != plain:
                raise UserError(
                    "conv3d weighs the streams where it takes a stack of both, and this fusion leaves one map",
                    got=f"temporal.{leaf}={numbers[leaf]}",
                    hint=f"fusion=cat, or temporal.{leaf}={plain}",
                )
    if isinstance(head, Pool3d) and head.extent == "all" and head.stride != 2:
        raise UserError(
            "a box as long as the clip takes no steps",
            got=f"temporal.stride={head.stride}",
            hint="temporal.extent=3 with it, or temporal.stride=2",
        )


def _idle(what: str, config: Mapping[str, Any], leaf: str, instead: str | None = None) -> UserError:
    plain = f"{leaf}={as_typed(NEUTRAL[leaf])}"
    got = f"{leaf}={as_typed(value(config, leaf))}"
    return UserError(what, got=got, hint=f"{instead}, or {plain}" if instead else plain)
