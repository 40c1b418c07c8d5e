"""From a typed `weights=` to a tower with the weights of that file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fusionlab.backbones.pretrained import imagenet, matconvnet, tensors
from fusionlab.backbones.pretrained.match_tensors import fit
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError, nearest, unknown

FORMS = (".mat", ".safetensors", ".pt", ".pth")
HEADS = ("keep", "fresh")


@dataclass(frozen=True)
class Loaded:
    """The origin of a tower's initial weights. `origin` names the file without its folder, for records."""

    origin: str
    sha256: str
    notes: list[str] = field(default_factory=list)
    mean_image: NDArray[Any] | None = None  # of a .mat, (H, W, C) as it is there
    trained_on: dict[str, Any] = field(default_factory=dict)  # data set and split, where the file has them


def expect_head(head: str) -> None:
    """Raise a `UserError` for an option that the classifier of loaded weights cannot have."""
    if head not in HEADS:
        raise unknown("choice for the classifier of loaded weights", str(head), HEADS, form="weights.head={}")


def load(tower: Tower, source: str, *, head: str = "keep", folder: str | os.PathLike[str] | None = None) -> Loaded:
    """Load a weight file into a tower whose weights are drawn, and set how pixels enter.

    `source`: see `locate`. `head`: "keep" loads the classifier too, which must have the tower's number of classes;
    "fresh" keeps the drawn one. On an error the tower is unchanged.
    """
    expect_head(head)
    assert not any(parameter.is_meta for parameter in tower.parameters()), "a tower without storage"
    path = locate(source, tower, folder)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    imagenet.check(path, sha256, tower)
    content = (matconvnet if path.suffix.lower() == ".mat" else tensors).read(path, tower)
    notes = fit(tower, content, fresh_head=head == "fresh", path=path)
    return Loaded(f"{content.layout}: {path.name}", sha256, notes, content.mean_image, content.trained_on)


def locate(source: str, tower: Tower, folder: str | os.PathLike[str] | None = None, *, head: str | None = None) -> Path:
    """The file that `weights=source` means, for this tower.

    `imagenet` is torchvision's file, downloaded if missing. Otherwise a file: by its name in `folder` (run.weights), or
    by its path from the working directory. The tower may be on the meta device. With `head`, a wrong number of classes
    is reported before the download.
    """
    if source == imagenet.NAME:
        return imagenet.locate(tower, folder, head)
    typed = Path(source).expanduser()
    if typed.suffix.lower() not in FORMS:
        near = nearest(source, [imagenet.NAME])
        raise UserError(
            "weights= does not name a weight file",
            got=f"weights={source}",
            allowed=["null", imagenet.NAME, "from:DATA", *(f"a file {form}" for form in FORMS)],
            hint=f"did you mean weights={near} ?" if near else None,
        )
    places = _places(typed, folder)
    for place in places:
        if os.path.exists(place):
            return _readable(place)
    looked = ", ".join(f"'{place}'" for place in places)
    raise UserError(
        "no such weight file", got=f"weights={source}", hint=f"put it at '{places[0]}' (looked for {looked})"
    )


def _places(typed: Path, folder: str | os.PathLike[str] | None) -> list[Path]:
    """The possible paths of a file. A name with ".." is not searched in the folder, but may be a path."""
    own = folder is not None and not typed.is_absolute() and ".." not in typed.parts
    return [Path(folder) / typed, typed] if own and folder is not None else [typed]


def _readable(place: Path) -> Path:
    if not place.is_file():
        raise UserError("weights= names something that is not a file", got=place, hint=f"{place}/weights.pt, say")
    if not os.access(place, os.R_OK):
        raise UserError("the weight file is not readable", got=place, hint=f"chmod u+r '{place}'")
    if place.stat().st_size == 0:
        raise UserError("the weight file is empty", got=place, hint="download it again")
    return place
