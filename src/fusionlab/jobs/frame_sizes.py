"""Whether an arm's net can take the whole frames that a test looks at: tried on the meta device, where there are only
shapes, since whether two unlike towers leave equal maps of a larger frame depends on its very size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from fusionlab.config.build import Blueprint
from fusionlab.errors import UserError
from fusionlab.two_stream.net import STREAMS


def expect_frames(config: Mapping[str, Any], sizes: Iterable[tuple[int, int]], blueprint: Blueprint) -> None:
    """Raise a `UserError` for the first height and width with which the arm's net cannot work."""
    sampling = config["data"]["sampling"]
    larger = [size for size in sizes if size != (sampling["crop"], sampling["crop"])]
    if not larger:
        return
    net, towers = blueprint.net(config).eval(), blueprint.towers(config)
    for height, width in larger:
        try:
            with torch.device("meta"), torch.no_grad():
                features = {}
                for stream, tower in zip(STREAMS, towers, strict=True):
                    shape = (1, tower.in_channels, sampling["snippets"], height, width)
                    features[stream] = tower.collect(torch.zeros(shape, dtype=torch.uint8), net.needs[stream])
                net(features)
        except (UserError, RuntimeError) as error:
            told = error.got if isinstance(error, UserError) else str(error).partition("\n")[0]
            raise UserError(
                "this arm cannot be tested on whole frames of this size",
                got=f"layer={config['layer']}, frames {width}×{height}: {told}",
                hint="data.sampling.test=middle; or a layer where both towers have maps, or two towers of one kind",
            ) from error
