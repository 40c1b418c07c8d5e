"""Is a typed value of its option's kind? The kind is that of the value which it takes the place of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionlab.config.mask_secrets import secret
from fusionlab.errors import UserError

# Where null is a value beside the one that a config has.
OR_NULL = frozenset({"data.store.size", "data.dataset.group", "data.dataset.classes"})


def fits(path: str, there: Any, value: Any) -> None:
    """Raise a `UserError` where `value` cannot stand in the place of `there`; null may become anything."""
    if (value is None and path in OR_NULL) or secret(path):  # a secret is masked and never read
        return
    if isinstance(there, Mapping):
        _group(path, there, value)
    elif isinstance(there, bool):
        _must(isinstance(value, bool), path, there, value, "true or false")
    elif isinstance(there, int):
        _must(_whole(value) or _all(_whole, value), path, there, value, "a whole number")
    elif isinstance(there, float):
        _must(_number(value), path, there, value, "a number")
    elif isinstance(there, str):
        _must(isinstance(value, str | int | float), path, there, value, "a name or a text")
    elif isinstance(there, Sequence):
        _list(path, there, value)


def _group(path: str, there: Mapping[str, Any], value: Any) -> None:
    if isinstance(value, Mapping) and path != "run":  # which would take the place of all of it
        return
    if not there:  # run.grid
        raise UserError(f"{path} holds options by name", got=f"{path}={value}", hint=f"'{path}={{fusion:[conv,sum]}}'")
    below = [f"{path}.{leaf}" for leaf in there]
    hint = f"{below[0]}=…" if len(below) > 1 else f"{below[0]}={value}"
    raise UserError(f"{path} is a group of options, not one", got=f"{path}={value}", allowed=below, hint=hint)


def _list(path: str, there: Sequence[Any], value: Any) -> None:
    numbers = len(there) > 0 and all(_number(one) for one in there)
    right = isinstance(value, list) and (not numbers or (_all(_number, value) and len(value) == len(there)))
    right = right or (_all(_whole, list(there)) and _whole(value))  # both ends of a range are the same
    what = f"a list of {len(there)} numbers" if numbers else "a list"
    _must(right, path, "[" + ",".join(map(str, there)) + "]", value, what)


def _must(right: bool, path: str, there: Any, value: Any, what: str) -> None:
    if not right:
        raise UserError(f"{path} is {what}", got=f"{path}={as_typed(value)}", hint=f"{path}={as_typed(there)}")


def as_typed(value: Any) -> str:
    """As it is written on a command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _all(right: Any, value: Any) -> bool:
    """A list may stand for a number where both ends of a range can be given (data.sampling.stride)."""
    return isinstance(value, list) and len(value) > 0 and all(map(right, value))
