"""Values that a config takes from outside: `${oc.env:X}` and the clock, `${now:…}`.

An option that determines a result may not have such a value: the same command would be another study in another shell.
Folders of `run` may; any other option of `run` (a key, say) would be written into plan.json and run.json.

To find the leaves that read the environment, each is resolved, since a leaf may refer to another one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from fusionlab.errors import UserError

ENV, NOW = "oc.env", "now"
FOLDERS = ("run.root", "run.folder", "run.data", "run.weights", "run.flow")
Leaf = tuple[tuple[Any, ...], str]
_read: list[str] = []  # what has been read since it was emptied


def watch() -> None:
    """Record each value that is read from outside from now on. Hydra sets its own `now` when it composes."""
    _read.clear()
    OmegaConf.register_new_resolver(ENV, _env, replace=True)
    OmegaConf.register_new_resolver(NOW, _now, replace=True)


def _env(*words: Any) -> Any:
    _read.append(f"{ENV}:{words[0]}")
    return oc.env(*words)


def _now(pattern: str) -> str:
    _read.append(NOW)
    return time.strftime(pattern)


def refuse_chosen() -> None:
    """Raise a `UserError` if the choice of a group was read from outside while a config was composed."""
    if variables := [one for one in _read if one.startswith(ENV)]:  # hydra names its own folders by the clock
        raise UserError(
            "a choice may not come from the environment: it determines the result", got=f"${{{variables[0]}}}",
            hint="type the choice: fusion=conv",
        )  # fmt: skip


def interpolated(content: DictConfig) -> list[Leaf]:
    """The leaves that are interpolations, and their text."""
    return list(_interpolated(OmegaConf.to_container(content, resolve=False), ()))


def refuse_outside(content: DictConfig, leaves: Iterable[Leaf]) -> None:
    """Raise a `UserError` for the first of these leaves that reads from outside and may not."""
    for path, raw in leaves:
        name = ".".join(map(str, path))
        if name in FOLDERS or not _reads(content, path):
            continue
        if path[0] == "run":
            raise UserError(
                "of `run`, only folders may come from the environment: the rest would be written down",
                got=f"{name}: {raw}", allowed=FOLDERS,
                hint=f"{name}=…, typed; wandb reads WANDB_API_KEY and its other variables by itself",
            )  # fmt: skip
        raise UserError(
            "what determines a result may not come from the environment", got=f"{name}: {raw}", hint=f"{name}=…, typed"
        )


def _interpolated(tree: Any, at: tuple[Any, ...]) -> Iterator[Leaf]:
    if isinstance(tree, dict | list):
        for name, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _interpolated(child, (*at, name))
    elif isinstance(tree, str) and "${" in tree:
        yield at, tree


def _reads(content: Any, path: tuple[Any, ...]) -> bool:
    """Whether a leaf reads from outside before it gives a value or an error."""
    _read.clear()
    try:
        for name in path:
            content = content[name]
        if OmegaConf.is_config(content):
            OmegaConf.to_container(content, resolve=True)
    except (OmegaConfBaseException, TypeError):
        pass  # the error is raised when the whole config is resolved
    return bool(_read)
