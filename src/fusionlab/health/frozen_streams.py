"""Features of trained streams: the maps that a tower with weights from a file computes from pictures."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fusionlab.backbones.pretrained import load
from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.config.run_config import RunConfig
from fusionlab.config.schema import ArmConfig
from fusionlab.data.dataset import Dataset
from fusionlab.health.brush_proof import LAYER, Features
from fusionlab.study.recipes import FROM
from fusionlab.two_stream.net import STREAMS

BATCH = 100


def stream_features(config: ArmConfig, run: RunConfig, dataset: Dataset) -> dict[str, Features]:
    """stream -> its features, for each stream with weights."""
    features: dict[str, Features] = {}
    for stream in STREAMS:
        weights = config.weights.of_stream(stream)
        if weights.source is None or weights.source.startswith(FROM):  # of a study, which has them in no known file
            continue
        tower = build.tower(config.backbone.of_stream(stream), stream, config.data, len(dataset.classes))
        load(tower, weights.source, head=weights.head, folder=run.weights)
        features[stream] = partial(_maps, tower.eval())
    return features


def _maps(tower: Tower, pictures: NDArray[np.uint8]) -> NDArray[Any]:
    """(n, C, H, W) -> (n, D, h, w) at the probed layer."""
    with torch.no_grad():
        maps = [
            tower.collect(torch.from_numpy(np.ascontiguousarray(pictures[at : at + BATCH]))[:, :, None], [LAYER])[LAYER]
            for at in range(0, len(pictures), BATCH)
        ]
    return np.asarray(torch.cat(maps)[:, :, 0])
