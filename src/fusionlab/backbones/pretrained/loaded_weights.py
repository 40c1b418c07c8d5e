"""From what was typed to a tower that starts from it, and what it started from."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fusionlab.backbones.pretrained import imagenet, matconvnet, tensors
from fusionlab.backbones.pretrained.locate_weights import locate
from fusionlab.backbones.pretrained.match_tensors import fit
from fusionlab.backbones.pretrained.weight_file import Found
from fusionlab.backbones.tower import Tower
from fusionlab.errors import unknown

HEADS = ("keep", "fresh")


@dataclass(frozen=True)
class Loaded:
    """What a tower starts from. `origin` names the file, not the folder: it goes into records."""

    origin: str
    sha256: str
    notes: list[str] = field(default_factory=list)
    mean_image: NDArray[Any] | None = None  # of a .mat, (H, W, C) as it is there
    trained_on: dict[str, Any] = field(default_factory=dict)  # data set and split, where the file says so


def expect_head(head: str) -> None:
    """Raise a `UserError` for something that cannot be done with the classifier of loaded weights."""
    if head not in HEADS:
        raise unknown("choice for the classifier of loaded weights", str(head), HEADS, form="weights.head={}")


def load(tower: Tower, source: str, *, head: str = "keep", folder: str | os.PathLike[str] | None = None) -> Loaded:
    """Put the weights of a file into a tower that has its draws, and set how pixels enter.

    `source`: see `locate`. `head`: "keep" loads the classifier too, and its number of classes has to be the tower's;
    "fresh" leaves it as it was drawn. A tower that does not take all of it stays as it was.
    """
    expect_head(head)
    assert not any(parameter.is_meta for parameter in tower.parameters()), "a tower without storage"
    path = locate(source, tower, folder)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    imagenet.check(path, sha256)
    found = _read(path, tower)
    notes = fit(tower, found, fresh_head=head == "fresh", path=path)
    return Loaded(f"{found.layout}: {path.name}", sha256, notes, found.mean_image, found.trained_on)


def _read(path: Path, tower: Tower) -> Found:
    return (matconvnet if path.suffix.lower() == ".mat" else tensors).read(path, tower)
