"""Shorthands for other options: `seed=3` sets all three seeds, `backbone=vgg_m` the towers of both streams.

The longer option overrides the short one, in any order: `backbone=vgg_m appearance=vgg16`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TypeVar

from fusionlab.errors import UserError

SHORTHAND = {
    "backbone": ("appearance", "motion"),
    "seed": ("seed.init", "seed.data", "seed.dropout"),
    "weights": ("weights.appearance", "weights.motion"),
    "multitask": ("multitask.appearance", "multitask.motion"),
    "retries": ("run.retries",),
    "select": ("run.table.select",),
    "test": ("run.tests",),
    "combine": ("run.combine",),
    "ablate": ("run.ablate",),
}
SET = {
    "seed": "all three seeds are", "retries": "run.retries is", "select": "run.table.select is",
    "test": "run.tests is", "combine": "run.combine is", "ablate": "run.ablate is",
}  # fmt: skip
LISTS = ("test", "combine", "ablate")  # each takes several values, which are no axis: the nets are the same
Value = TypeVar("Value")


def expand_shorthand(options: Mapping[str, Value]) -> dict[str, Value]:
    """Replace each shorthand by the options it stands for; `seed={init: 1}` becomes seed.init=1.

    >>> expand_shorthand({"appearance": "vgg16", "backbone": "vgg_m"})
    {'appearance': 'vgg16', 'motion': 'vgg_m'}
    """
    expanded: dict[str, Value] = {}
    for option, value in options.items():
        if option in SHORTHAND and isinstance(value, Mapping):
            expanded.update({f"{option}.{name}": one for name, one in value.items()})
        elif option in SHORTHAND:
            expanded.update({name: value for name in SHORTHAND[option] if name not in options})
        else:
            expanded[option] = value
    return expanded


def is_determined(option: str, typed: Container[str]) -> bool:
    """Whether the typed options already determine this one."""
    shorthand = (short for short, names in SHORTHAND.items() if option in names)
    return option in typed or any(short in typed for short in shorthand) or has_no_effect(option, typed)


def has_no_effect(option: str, typed: Container[str]) -> bool:
    """Whether this is a shorthand, and each of its options was typed."""
    return option in SHORTHAND and all(name in typed for name in SHORTHAND[option])


def reject_useless_shorthand(typed: Container[str]) -> None:
    """Raise a `UserError` for a shorthand without effect."""
    for option, names in SHORTHAND.items():
        if option in typed and has_no_effect(option, typed):
            raise UserError(
                f"{option}= has no effect: {SET.get(option, 'both streams are')} set",
                got=", ".join(f"{name}=…" for name in (option, *names)),
                hint=f"leave {option}=… out",
            )
