"""The folders of the config and the groups in them; `./conf` is searched first. Listing them needs no hydra."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fusionlab.config.shorthand import expand_shorthand
from fusionlab.errors import UserError, show, unknown
from fusionlab.records.signature import STREAMS

# Words of a command line that shape the grid of the axes; an experiment has them in `run`.
GRID_WORDS = ("exclude", "zip", "grids")

TITLED = ("fusion", "temporal")  # groups whose yamls may have a `title`: presentation, and no part of the config

# What a yaml says of its choice, and is no option.
NOTES = (
    *(f"{group}.title" for group in TITLED), *(f"backbone.{stream}.recipe" for stream in STREAMS),
    "optim.source", "optim.val",
)  # fmt: skip
# Group -> where another choice names its choice: a backbone its recipe, of mixed towers appearance's, a recipe its
# validation list.
NAMED = {"optim": "backbone.appearance.recipe", "val": "optim.val"}

# Options that choose from another group's folder, or set another place than their name: option -> hydra's group@place.
PLACES = {
    "appearance": "backbone@backbone.appearance",
    "motion": "backbone@backbone.motion",
    "flow": "flow@data.store.flow",
}

# Other spellings that are accepted; case, `-` and `_` are ignored.
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
        "fusionlab is installed without its conf folder", got=here.parents[1], hint="install the wheel again"
    )


def own_conf() -> Path | None:
    """The user's `./conf`, if it exists and is not the packaged one."""
    folder = Path.cwd() / "conf"
    if not folder.is_dir() or folder.resolve() == packaged().resolve():
        return None
    if (folder / "config.yaml").exists():
        raise UserError(
            "./conf has a config.yaml, which would replace all of fusionlab's: it belongs to another program",
            got=folder, hint="run from another folder, or keep only conf/<group>/<name>.yaml in it",
        )  # fmt: skip
    return folder


def announce_own_conf() -> None:
    """Show once per process that `./conf` is in use, since its yamls name code that runs."""
    if (folder := own_conf()) is not None:
        _announce(folder)


@cache
def _announce(folder: Path) -> None:
    show(f"using ./conf: {folder} (its yamls name code that is run)", file=sys.stderr)


def folders() -> list[Path]:
    """The folders of the config, in search order."""
    own = own_conf()
    return [packaged()] if own is None else [own, packaged()]


def groups() -> dict[str, list[str]]:
    """Group -> its choices. `appearance` and `motion` choose from the folder of `backbone`."""
    choices: dict[str, set[str]] = {}
    for folder in folders():
        for file in folder.glob("*/*.yaml"):
            choices.setdefault(file.parent.name, set()).add(file.stem)
    for option in PLACES:
        choices[option] = choices.get(folder_of(option), set())
    return {group: sorted(choices[group]) for group in sorted(choices)}


def folder_of(option: str) -> str:
    """The folder that an option chooses from."""
    return PLACES.get(option, option).partition("@")[0]


def option_of(path: str) -> str | None:
    """The option that chooses the part at this path of the tree."""
    return next((option for option, place in PLACES.items() if place.partition("@")[2] == path), None)


def hydra_choices(choices: Mapping[str, str]) -> dict[str, str]:
    """Choices under hydra's names: {"backbone": x} -> {"backbone@backbone.appearance": x, …motion: x}."""
    return {PLACES.get(option, option): name for option, name in expand_shorthand(choices).items()}


def choices_by_option(choices: Mapping[str, str | None]) -> dict[str, str | None]:
    """The inverse of `hydra_choices`."""
    options = {place: option for option, place in PLACES.items()}
    return {options.get(place, place): name for place, name in choices.items() if "/" not in place}


def choice(group: str, typed: str) -> str:
    """The choice with this name or another spelling of it."""
    choices = groups()[group]
    flat = _flat(typed)
    by_flat = {_flat(name): name for name in reversed(choices)}
    for name in (typed, typed.lower(), SPELLINGS.get(folder_of(group), {}).get(flat, ""), by_flat.get(flat, "")):
        if name in choices:
            return name
    if "/" in typed and any((folder / folder_of(group) / f"{typed}.yaml").is_file() for folder in folders()):
        return typed  # of a folder below, such as debug/steps, which is not offered
    raise unknown(group, typed, choices, form=f"{group}={{}}")


def _flat(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
