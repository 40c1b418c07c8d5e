"""Parts from their configs: the one place that instantiates. What it is given was composed from conf, never read from a
record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.errors import HydraException
from hydra.utils import instantiate

from fusionlab.errors import UserError


def part(config: Mapping[str, Any]) -> Any:
    """An object from its `_target_` and numbers; what the part itself has to say about them is passed on."""
    try:
        return instantiate(dict(config), _convert_="all")
    except HydraException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(
            "a part cannot be built from its config", got=f"{config.get('_target_')}: {cause or error}"
        ) from error
