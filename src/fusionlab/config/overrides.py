"""The words of a command line -> what is fixed, what is an axis, what is left out.

Hydra's own grammar reads them: `fusion=conv,sum`, `seed=range(5)`, `exclude=[{fusion:sum,layer:fc8}]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException

from fusionlab.config import catalogue
from fusionlab.config.mask_secrets import masked, masked_word
from fusionlab.config.shorthand import refuse_overruled
from fusionlab.errors import UserError


@dataclass(frozen=True)
class Words:
    """`groups` and `leaves` are fixed; `axes` take several values each, in the order as typed."""

    groups: Mapping[str, str] = field(default_factory=dict)
    leaves: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, list[Any]] = field(default_factory=dict)
    exclude: Sequence[Mapping[str, Any]] = ()

    @property
    def typed(self) -> set[str]:
        """Every option that was named."""
        return {*self.groups, *self.leaves, *self.axes}


def parse(words: Sequence[str]) -> Words:
    """Sort the words; every name of a group's choice is spelled right afterwards."""
    known = catalogue.groups()
    groups: dict[str, str] = {}
    leaves: dict[str, Any] = {}
    axes: dict[str, list[Any]] = {}
    exclude: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    for word in words:
        override = _override(word)
        name = override.key_or_group
        if name in seen:
            hint = "one list: 'exclude=[{…},{…}]'" if name == "exclude" else f"{name}=a,b for an axis of two values"
            raise UserError("an option is given twice", got=name, hint=hint)
        seen.add(name)
        if override.is_sweep_override():
            axes[name] = [masked(value(name, one, known), name) for one in _swept(override, masked_word(word))]
        elif name == "exclude":
            exclude = excluded(plain(override.value()), known)
        elif name in known:
            groups[name] = str(value(name, plain(override.value()), known))
        else:
            leaves[name] = masked(plain(override.value()), name)
    refuse_overruled(seen)
    return Words(groups, leaves, axes, exclude)


def excluded(entries: object, known: Mapping[str, list[str]]) -> list[Mapping[str, Any]]:
    """A list of partial points, with choices spelled right."""
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UserError("exclude is a list of points", got=entries, hint="'exclude=[{fusion:sum,layer:fc8}]'")
    return [{axis: value(axis, one, known) for axis, one in entry.items()} for entry in entries]


def value(name: str, typed: Any, known: Mapping[str, list[str]]) -> Any:
    """One value of a group or leaf: a group's choice is spelled right, anything else stays."""
    if name not in known:
        return typed
    if not isinstance(typed, str | int):
        several = isinstance(typed, list) and typed
        hint = f"{name}={','.join(map(str, typed))}" if several else f"{name}={known[name][0]}"
        raise UserError(f"{name} takes a name", got=f"{name}={typed}", allowed=known[name], hint=hint)
    return catalogue.choice(name, str(typed))


def plain(found: Any) -> Any:
    """Hydra's value as plain data."""
    if isinstance(found, QuotedString):
        return found.text
    if isinstance(found, list):
        return [plain(one) for one in found]
    if isinstance(found, dict):
        return {str(plain(key)): plain(one) for key, one in found.items()}
    return found


def _swept(override: Override, word: str) -> list[Any]:
    try:
        return list(override.sweep_iterator(plain))
    except HydraException as error:  # glob(…), which needs hydra's own loader
        raise UserError("this axis cannot be read", got=word, hint=f"{override.key_or_group}=a,b") from error


def _override(word: str) -> Override:
    if "=" not in word:
        raise UserError("an option is typed as name=value", got=word, hint="fusion=conv,sum layer=relu5")
    shown = masked_word(word)
    if word[0] in "+~":
        raise UserError("options are set, not added or removed", got=shown, hint=shown.lstrip("+~"))
    try:
        parsed = OverridesParser.create().parse_override(word)
    except HydraException as error:
        hint = (
            "'exclude=[{fusion:sum,layer:fc8}]'"
            if word.startswith("exclude=")
            else f"fusion=conv,sum; or quoted: '{word.partition('=')[0]}=\"a b\"'"
        )
        raise UserError("this option cannot be read", got=shown, hint=hint) from error
    if "@" in word.partition("=")[0]:
        raise _at_a_place(shown)
    return parsed


def _at_a_place(word: str) -> UserError:
    """Hydra's own way to name a group and its place; here each place has a word."""
    group, _, place = word.partition("=")[0].partition("@")
    near = [known for known, where in catalogue.PLACES.items() if where.endswith(f"@{place}")] or [group]
    choice = word.partition("=")[2]
    return UserError(
        "a group is named without its place", got=word, allowed=catalogue.groups(), hint=f"{near[0]}={choice}"
    )
