"""What a person typed as `weights=` -> the file that is meant."""

from __future__ import annotations

import os
from pathlib import Path

from fusionlab.backbones.pretrained import imagenet
from fusionlab.backbones.tower import Tower
from fusionlab.errors import UserError, nearest

FORMS = (".mat", ".safetensors", ".pt", ".pth")


def locate(source: str, tower: Tower, folder: str | os.PathLike[str] | None = None, *, head: str | None = None) -> Path:
    """`imagenet`: torchvision's file for this tower, downloaded where it is not there yet. Else a file: by its name in
    `folder` (run.weights), or by its path from the working directory.

    The tower may be without storage. With `head`, what can be known of the classes before the file is read is said.
    """
    if source == imagenet.NAME:
        return imagenet.locate(tower, folder, head)
    typed = Path(source).expanduser()
    if typed.suffix.lower() not in FORMS:
        near = nearest(source, [imagenet.NAME])
        raise UserError(
            "these are no weights that can be loaded",
            got=f"weights={source}",
            allowed=["null", imagenet.NAME, *(f"a file {form}" for form in FORMS)],
            hint=f"did you mean weights={near} ?" if near else None,
        )
    places = _places(typed, folder)
    for place in places:
        if os.path.exists(place):
            return _readable(place)
    looked = ", ".join(f"'{place}'" for place in places)
    raise UserError(
        "there is no such weight file", got=f"weights={source}", hint=f"put it at '{places[0]}' (looked for {looked})"
    )


def _places(typed: Path, folder: str | os.PathLike[str] | None) -> list[Path]:
    """Where a file may lie. A name that climbs out of the folder is none of the folder's, but may be a path."""
    own = folder is not None and not typed.is_absolute() and ".." not in typed.parts
    return [Path(folder) / typed, typed] if own and folder is not None else [typed]


def _readable(place: Path) -> Path:
    if not place.is_file():
        raise UserError("a weight file is meant, and this is none", got=place, hint=f"{place}/weights.pt, say")
    if not os.access(place, os.R_OK):
        raise UserError("this weight file may not be read", got=place, hint=f"chmod u+r '{place}'")
    if place.stat().st_size == 0:
        raise UserError("this weight file is empty", got=place, hint="get it once more")
    return place
