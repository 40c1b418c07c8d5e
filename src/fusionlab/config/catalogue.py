"""Where the config lies: `./conf` of the working directory first, then the packaged one. Listing it needs no hydra."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fusionlab.config.shorthand import spread
from fusionlab.errors import UserError, show, unknown

# Groups whose choices stand elsewhere than their name says, or at several places: each place has a word.
PLACES = {
    "appearance": "backbone@backbone.appearance",
    "motion": "backbone@backbone.motion",
    "flow": "flow@data.store.flow",
}

# What people type for what is called otherwise here; any case is accepted besides.
SPELLINGS = {
    "backbone": {
        "cnnm": "vgg_m", "cnnm2048": "vgg_m", "vggm2048": "vgg_m", "vggd": "vgg16", "vggverydeep16": "vgg16",
    },
    "fusion": {
        "concat": "cat", "concatenation": "cat", "convolution": "conv", "add": "sum", "addition": "sum",
        "maximum": "max", "mul": "product", "multiply": "product", "average": "late", "softmax": "late",
    },
    "flow": {"dualtvl1": "tvl1", "farnebäck": "farneback"},
    "temporal": {"2d": "pool2d", "3d": "pool3d", "2dpool": "pool2d", "3dpool": "pool3d", "3dconv": "conv3d"},
}  # fmt: skip


@cache
def packaged() -> Path:
    """`fusionlab/conf` in an installed wheel, `conf` beside `src` in a source tree."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "conf", here.parents[3] / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise UserError(
        "fusionlab is installed without its conf folder", got=here.parents[1], hint="install the wheel anew"
    )


def own() -> Path | None:
    """The user's own `./conf`, if there is one and it is not the packaged one."""
    folder = Path.cwd() / "conf"
    if not folder.is_dir() or folder.resolve() == packaged().resolve():
        return None
    if (folder / "config.yaml").exists():
        raise UserError(
            "the conf folder here is another program's: it has a config.yaml, which would replace all of fusionlab's",
            got=folder, hint="run from another folder, or keep only conf/<group>/<name>.yaml in it",
        )  # fmt: skip
    return folder


def say_own() -> None:
    """Say, once in a process, that a `./conf` is in use: whoever chooses from it runs what it names."""
    if (mine := own()) is not None:
        _say(mine)


@cache
def _say(folder: Path) -> None:
    show(f"using ./conf: {folder} (its yamls name code that is run)", file=sys.stderr)


def folders() -> list[Path]:
    """In the order in which they are searched."""
    mine = own()
    return [packaged()] if mine is None else [mine, packaged()]


def groups() -> dict[str, list[str]]:
    """Group -> its choices. `appearance` and `motion` choose from the folder of `backbone`."""
    found: dict[str, set[str]] = {}
    for folder in folders():
        for file in folder.glob("*/*.yaml"):
            found.setdefault(file.parent.name, set()).add(file.stem)
    for word in PLACES:
        found[word] = found.get(folder_of(word), set())
    return {group: sorted(found[group]) for group in sorted(found)}


def folder_of(word: str) -> str:
    """The folder that a word chooses from."""
    return PLACES.get(word, word).partition("@")[0]


def word_of(path: str) -> str | None:
    """The word that chooses what stands at this place of the tree."""
    return next((word for word, place in PLACES.items() if place.partition("@")[2] == path), None)


def placed(choices: Mapping[str, str]) -> dict[str, str]:
    """Choices by hydra's names for their places: {"backbone": x} -> {"backbone@backbone.appearance": x, …motion: x}."""
    return {PLACES.get(word, word): name for word, name in spread(choices).items()}


def words(choices: Mapping[str, str | None]) -> dict[str, str | None]:
    """The way back: choices by the words that set them alone."""
    of = {place: word for word, place in PLACES.items()}
    return {of.get(place, place): name for place, name in choices.items() if "/" not in place}


def choice(group: str, typed: str) -> str:
    """The choice that is meant by what was typed."""
    choices = groups()[group]
    flat = _flat(typed)
    by_flat = {_flat(name): name for name in reversed(choices)}
    for name in (typed, typed.lower(), SPELLINGS.get(folder_of(group), {}).get(flat, ""), by_flat.get(flat, "")):
        if name in choices:
            return name
    raise unknown(group, typed, choices, form=f"{group}={{}}")


def _flat(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
