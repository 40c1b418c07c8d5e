"""Shorthands for other options: `seed=3` sets all three seeds, `backbone=vgg_m` the towers of both streams.

The longer option overrides the short one, in any order: `backbone=vgg_m appearance=vgg16`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TypeVar

from fusionlab.errors import UserError
from fusionlab.records.other_tests import OPTIONS

SHORTHAND = {
    "backbone": ("appearance", "motion"),
    "seed": ("seed.init", "seed.data", "seed.dropout"),
    "weights": ("weights.appearance", "weights.motion"),
    "multitask": ("multitask.appearance", "multitask.motion"),
    "retries": ("run.retries",),
    "select": ("run.table.select",),
    "over": ("run.table.over",),
    **{word: (f"run.{option}",) for option, (word, *_) in OPTIONS.items()},
}
# Each takes several values, and no axis: the nets are the same.
LISTS = ("over", *(word for word, *_ in OPTIONS.values()))
Value = TypeVar("Value")
_OF = {1: "{} is", 2: "both streams are", 3: "all three seeds are"}  # by the number of options


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
                f"{option}= has no effect: {_OF[len(names)].format(*names)} set",
                got=", ".join(f"{name}=…" for name in (option, *names)),
                hint=f"leave {option}=… out",
            )
