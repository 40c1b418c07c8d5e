"""Parts from their configs: the only module that instantiates.

Records are data, conf is code. A config may come from a plan.json of a stranger, and a `_target_` can be any
function that Python can import. So an object is built only if some yaml of the conf in use (`./conf`, or the
packaged one) has its `_target_` in the same group, at every depth. Hydra's own list of forbidden targets also
applies, but is no protection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf.errors import OmegaConfBaseException

from fusionlab.config import catalogue
from fusionlab.errors import UserError
from fusionlab.records.signature import TARGET, moved
from fusionlab.study.plan import Plan

# A part under such a name, in a yaml or a plan, belongs to this group; else to the group around it.
GROUP_OF = {
    "backbone": "backbone", "tower": "backbone", "fusion": "fusion", "temporal": "temporal",
    "data": "data", "dataset": "data", "flow": "flow", "callbacks": "callbacks",
}  # fmt: skip


def part(config: Any, group: str) -> Any:
    """An object from its `_target_` and numbers; errors of the part are raised unchanged."""
    if not isinstance(config, Mapping) or TARGET not in config:
        raise UserError(
            f"a part is a `{TARGET}` and its numbers", got=f"{group}: {config}",
            hint=f"conf/{group} has examples",
        )  # fmt: skip
    config = moved(config)
    refuse_foreign(config, group)
    try:
        return instantiate(config, _convert_="all")
    except (HydraException, OmegaConfBaseException, TypeError) as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError("a part cannot be built from its config", got=f"{config[TARGET]}: {cause or error}") from error


def refuse_foreign_plan(plan: Plan) -> None:
    """Refuse a plan with a foreign part before any of its jobs starts; what configs share is looked at once."""
    configs = [*(job.config for job in plan.jobs), *(arm.config for arm in plan.arms)]
    parts = {(name, id(one)): {name: one} for config in configs for name, one in config.items()}
    refuse_foreign(moved([*parts.values()]), "")


def refuse_foreign(tree: Any, group: str) -> None:
    """Raise a `UserError` for the first part in a tree that no yaml has in its group, or that is not plain data."""
    named = _named(tuple(catalogue.folders()))
    for of, config in _parts(tree, group):
        target = config[TARGET]
        if target not in named.get(of, ()):
            _named.cache_clear()  # a yaml may be new
            named = _named(tuple(catalogue.folders()))
        if target not in named.get(of, ()):
            raise UserError(
                f"a part cannot be built: no yaml in conf/{of} has this `{TARGET}`", got=f"{of}: {target}",
                allowed=named.get(of, ()), hint=f"./conf/{of}/<name>.yaml with this `{TARGET}`, if you trust it",
            )  # fmt: skip
        if (text := next(_interpolations(config), None)) is not None:
            raise UserError(
                "a part's config is plain data, in which nothing is looked up", got=f"{target}: {text}",
                hint="the value itself in the place of ${…}",
            )  # fmt: skip


def _parts(tree: Any, group: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(group, config) of each part, also of nested ones. Nothing in the `run` of a config is built."""
    if isinstance(tree, Mapping):
        if group and TARGET in tree:
            yield group, tree
        for name, child in tree.items():
            if group or name != "run":
                yield from _parts(child, GROUP_OF.get(name, group))
    elif isinstance(tree, list | tuple):
        for child in tree:
            yield from _parts(child, group)


def _interpolations(tree: Any) -> Iterator[str]:
    """Texts that hydra would resolve."""
    if isinstance(tree, Mapping):
        yield from _interpolations([*tree, *tree.values()])
    elif isinstance(tree, list | tuple):
        for child in tree:
            yield from _interpolations(child)
    elif isinstance(tree, str) and "${" in tree:
        yield tree


@lru_cache(maxsize=4)
def _named(folders: tuple[Path, ...]) -> dict[str, list[str]]:
    """Group -> every `_target_` that a yaml of these folders has in it, at any depth."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast; not in every build of yaml
    catalogue.announce_own_conf()
    targets: dict[str, set[str]] = {}
    for folder in folders:
        for file in folder.rglob("*.yaml"):
            try:
                text = file.read_text(encoding="utf-8")
                tree = yaml.load(text, loader) if TARGET in text else None
            except (OSError, UnicodeDecodeError, yaml.YAMLError):
                continue  # composing reports it if it is chosen; it allows no part
            for group, config in _parts(tree, file.relative_to(folder).parts[0]):
                if isinstance(config[TARGET], str):
                    targets.setdefault(group, set()).add(config[TARGET])
    return {group: sorted(names) for group, names in targets.items()}
