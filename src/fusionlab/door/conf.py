"""Where the config lies: `./conf` of the working directory first, then the packaged one. Listing it needs no hydra."""

from __future__ import annotations

from pathlib import Path

from fusionlab.errors import UserError, unknown

# What people type for what is called otherwise here; any case is accepted besides.
SPELLINGS = {
    "fusion": {
        "concat": "cat", "concatenation": "cat", "convolution": "conv", "add": "sum", "addition": "sum",
        "maximum": "max", "mul": "product", "multiply": "product", "average": "late", "softmax": "late",
    },
    "temporal": {"2d": "pool2d", "3d": "pool3d", "2dpool": "pool2d", "3dpool": "pool3d", "3dconv": "conv3d"},
}  # fmt: skip


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


def folders() -> list[Path]:
    """In the order in which they are searched."""
    mine = own()
    return [packaged()] if mine is None else [mine, packaged()]


def groups() -> dict[str, list[str]]:
    """Group -> its choices."""
    found: dict[str, set[str]] = {}
    for folder in folders():
        for file in folder.glob("*/*.yaml"):
            found.setdefault(file.parent.name, set()).add(file.stem)
    return {group: sorted(found[group]) for group in sorted(found)}


def choice(group: str, typed: str) -> str:
    """The choice that is meant by what was typed."""
    choices = groups()[group]
    for name in (
        typed,
        typed.lower(),
        SPELLINGS.get(group, {}).get(typed.lower().replace("-", "").replace("_", ""), ""),
    ):
        if name in choices:
            return name
    raise unknown(group, typed, choices, form=f"{group}={{}}")
