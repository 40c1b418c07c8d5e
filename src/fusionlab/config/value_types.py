"""Check that a typed value has the type of its option, which is the type of the option's default."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fusionlab.config.mask_secrets import secret
from fusionlab.errors import UserError

# Options that may be null although their default, or an experiment's value, is not.
OR_NULL = frozenset({
    "data.store.size", "data.dataset.group", "data.dataset.classes", "weights", "weights.appearance", "weights.motion",
    "temporal.side", "temporal.channels", "fusion.regulariser", "multitask", "multitask.appearance", "multitask.motion",
    "select", "run.table.select", "run.claim",
})  # fmt: skip
OR_NULL_OF_OPTIM = ("epochs", "steps", "micro_batch", "from_layer")  # of each block of optim
ANY_LENGTH = ("schedule.at", "schedule.factors")  # ends of options that are lists of any length


def check_type(path: str, default: Any, value: Any) -> None:
    """Raise a `UserError` if `value` cannot replace `default`; an option whose default is null takes anything."""
    if (value is None and _or_null(path)) or secret(path):  # a secret is masked and never read
        return
    if path.partition(".")[0] == "seed" and not isinstance(default, Mapping):
        _expect(_is_whole(value) and value >= 0, path, default, value, "a whole number from 0")
    elif isinstance(default, Mapping):
        _check_group(path, default, value)
    elif isinstance(default, bool):
        _expect(isinstance(value, bool), path, default, value, "true or false")
    elif isinstance(default, int):
        _expect(_is_whole(value) or _all(_is_whole, value), path, default, value, "a whole number")
    elif isinstance(default, float):
        _expect(_is_number(value), path, default, value, "a number")
    elif isinstance(default, str):
        _expect(isinstance(value, str | int | float), path, default, value, "a name or a text")
    elif isinstance(default, Sequence):
        _check_list(path, default, value)


def _or_null(path: str) -> bool:
    of_optim = path.startswith("optim.") and path.rpartition(".")[2] in OR_NULL_OF_OPTIM
    return path in OR_NULL or (of_optim and not path.endswith(".first.epochs"))


def _check_group(path: str, default: Mapping[str, Any], value: Any) -> None:
    if isinstance(value, Mapping) and path != "run":  # the mapping replaces the whole group
        return
    if not default:  # run.grid
        raise UserError(f"{path} holds options by name", got=f"{path}={value}", hint=f"'{path}={{fusion:[conv,sum]}}'")
    options = [f"{path}.{leaf}" for leaf in default]
    hint = f"{options[0]}=…" if len(options) > 1 else f"{options[0]}={value}"
    raise UserError(f"{path} is a group of options, not one", got=f"{path}={value}", allowed=options, hint=hint)


def _check_list(path: str, default: Sequence[Any], value: Any) -> None:
    numbers = len(default) > 0 and all(_is_number(one) for one in default)
    if path.endswith(ANY_LENGTH):
        _expect(isinstance(value, list) and _all(_is_number, value), path, default, value, "a list of numbers")
        return
    right = isinstance(value, list) and (not numbers or (_all(_is_number, value) and len(value) == len(default)))
    right = right or (_all(_is_whole, list(default)) and _is_whole(value))  # one number: both ends of a range
    what = f"a list of {len(default)} numbers" if numbers else "a list"
    _expect(right, path, "[" + ",".join(map(str, default)) + "]", value, what)


def _expect(right: bool, path: str, default: Any, value: Any, what: str) -> None:
    if not right:
        raise UserError(f"{path} is {what}", got=f"{path}={as_typed(value)}", hint=f"{path}={as_typed(default)}")


def as_typed(value: Any) -> str:
    """A value as it is written on a command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _all(right: Callable[[Any], bool], value: Any) -> bool:
    """Whether all items of a list pass the check: a list may replace a number where a range is allowed."""
    return isinstance(value, list) and len(value) > 0 and all(map(right, value))
