"""Files that the jobs of a study need and nobody can make: what is not there is said before anything starts, and
torchvision's weights are downloaded once, here, and not by several jobs at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fusionlab.door import build
from fusionlab.door.data import expect_data
from fusionlab.door.grid import Study
from fusionlab.records.signature import value
from fusionlab.study.recipes import data_recipe


def look_ahead(study: Study) -> None:
    """Raise a `UserError` for the first file that is not there. A stream that is trained already needs no weights."""
    looked: set[str] = set()
    for arm in study.plan.arms:
        if repr((recipe := data_recipe(arm.config), arm.config["split"])) not in looked:
            looked.add(repr((recipe, arm.config["split"])))
            expect_data(recipe, study.run, arm.config["split"])
        if arm.kind == "stream" and not (study.plan.job(arm.job).path(study.folder) / "published").is_dir():
            _weights(arm.config, study.run)


def _weights(recipe: dict[str, Any], run: Any) -> None:
    source = value(recipe, "weights.source")
    if source is None:
        return
    from fusionlab.backbones.pretrained import locate

    with torch.device("meta"):
        classes = build.dataset(recipe).class_count
        tower = build.tower(recipe["tower"], recipe["stream"], recipe["data"], classes)
    locate(source, tower, Path(run["weights"]), head=recipe["weights"]["head"])
