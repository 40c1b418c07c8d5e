"""Files that the jobs of a study need and nobody can make: what is not there, or is not what a tower can start from, is
said before anything starts, and torchvision's weights are downloaded once, here, and not by several jobs at a time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from fusionlab.backbones.tower import Tower
from fusionlab.config import build
from fusionlab.data.dataset import Dataset
from fusionlab.data.on_disk import OnDisk
from fusionlab.errors import UserError
from fusionlab.jobs.job_data import expect_data
from fusionlab.jobs.provenance import refuse_other_split
from fusionlab.planning.grid import Study
from fusionlab.records.record import read_records
from fusionlab.records.signature import value
from fusionlab.study.recipes import data_recipe


def look_ahead(study: Study) -> None:
    """Raise a `UserError` for the first file that cannot be worked with. A stream that is trained already needs no
    weights; but a file that is there has to be the one that it started from.
    """
    looked: dict[str, Dataset] = {}
    for arm in study.plan.arms:
        recipe, left_out = data_recipe(arm.config), value(arm.config, "data.quarantine")
        key = repr((recipe, left_out, arm.config["split"]))
        if key not in looked:
            looked[key] = expect_data(recipe, study.run, arm.config["split"], left_out)
        if arm.kind == "stream" and value(arm.config, "weights.source") is not None:
            published = study.plan.job(arm.job).path(study.folder) / "published"
            if published.is_dir():
                _unchanged(arm.config, study.run, published)
            else:
                _loads(arm.config, study.run, looked[key])


def _loads(recipe: dict[str, Any], run: Any, dataset: Dataset) -> None:
    """Load the file as the job will, into a tower that is thrown away."""
    from fusionlab.backbones.pretrained import load, locate

    weights = recipe["weights"]
    tower = _on_paper(recipe)
    locate(weights["source"], tower, Path(run["weights"]), head=weights["head"])
    loaded = load(tower.to_empty(device="cpu"), weights["source"], head=weights["head"], folder=run["weights"])
    # The lists of a set that makes itself may not be there yet.
    refuse_other_split(loaded, recipe, dataset if isinstance(dataset, OnDisk) else None)


def _unchanged(recipe: dict[str, Any], run: Any, published: Path) -> None:
    """A file is known by its name in a run's signature, and by its content in the record."""
    from fusionlab.backbones.pretrained import locate

    source = recipe["weights"]["source"]
    if source == "imagenet":  # torchvision's are checked by the hash in their name
        return
    try:
        path = locate(source, _on_paper(recipe), Path(run["weights"]))
    except UserError:  # not there any more, and not needed
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    for record in read_records(published):
        began = record["result"].get("initial_weights", {}).get("sha256", "") if record["status"] == "done" else found
        if began != found:
            raise UserError(
                f"the {recipe['stream']} stream started from other weights than {path.name} holds now",
                got=f"sha256 {found[:16]}…",
                allowed=[f"{began[:16]}…"],
                hint=f"another name for the new file: weights.{recipe['stream']}=…",
            )


def _on_paper(recipe: dict[str, Any]) -> Tower:
    with torch.device("meta"):
        classes = build.dataset(recipe).class_count
        return build.tower(recipe["tower"], recipe["stream"], recipe["data"], classes)
