"""Hydra as a library: from overrides to a composed tree.

`hydra.main` is never used: a sweep composes its whole grid before anything runs.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fusionlab.config import catalogue, env_values, quarantine_file
from fusionlab.config.instead import KEY, Instead
from fusionlab.config.mask_secrets import masked
from fusionlab.config.shorthand import SHORTHAND, expand_shorthand
from fusionlab.config.value_types import check_type
from fusionlab.errors import UserError, nearest, unknown
from fusionlab.records.signature import flatten
from fusionlab.study.recipes import STREAMS

_NAME = re.compile(r"[^.\[\]]+(\.[^.\[\]]+)*")
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}")  # an option's whole name, and nothing beside it


class OwnConfFirst(SearchPathPlugin):
    """Hydra searches `./conf` before the packaged folder, so that a user can add or change a part."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        mine = catalogue.own_conf()
        if mine is not None:
            search_path.prepend(provider="working directory", path=f"file://{mine}")


class Tree:
    """A composed config with its interpolations, in which leaves can be set."""

    def __init__(self, content: DictConfig, choices: Mapping[str, str | None]) -> None:
        self.content, self.choices = content, dict(choices)
        self._interpolated = env_values.interpolated(content)
        self._looked_up: dict[tuple[str, frozenset[tuple[str, str]]], Any] = {}

    def get(self, path: str) -> Any:
        """A leaf or subtree as plain data."""
        env_values.refuse_outside(self.content, self._interpolated)
        node = OmegaConf.select(self.content, path)
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node

    def depends_on(self, group: str) -> bool:
        """Whether an option outside this group may be looked up in it."""
        return any(path[0] != group and group in text for path, text in self._interpolated)

    def with_leaves(self, leaves: Mapping[str, Any]) -> dict[str, Any]:
        """The plain, resolved config with these leaves set. Values from the environment are refused."""
        return cast(dict[str, Any], _copied(self.sharing(leaves)))

    def sharing(self, leaves: Mapping[str, Any]) -> dict[str, Any]:
        """The same, not to be changed: its subtrees belong to the configs of other leaves too."""
        leaves = quarantine_file.named({path: masked(one, path) for path, one in leaves.items()})
        for part, whole in itertools.permutations(leaves, 2):
            if part.startswith(f"{whole}.") and whole not in SHORTHAND:
                raise UserError(
                    "an option is given whole and in part", got=f"{whole}={leaves[whole]} and {part}={leaves[part]}",
                    hint=f"{part} inside {whole}={{…}}",
                )  # fmt: skip
        leaves = self._for_both_streams(leaves)
        plain = self._set_in_plain(leaves) or self._set_in_content(leaves)
        names = quarantine_file.names(plain["data"].get("quarantine"))  # as an experiment has it
        return plain if plain["data"].get("quarantine") == names else _replaced(plain, quarantine_file.LEAF, names)

    def _for_both_streams(self, leaves: Mapping[str, Any]) -> Mapping[str, Any]:
        """Also without what the yaml of a recipe has for one stream, where it is typed for both."""
        typed = {path.removeprefix("optim.streams.") for path in leaves if path.startswith("optim.streams.")}
        for stream in STREAMS if typed else ():
            own = self.get(f"optim.streams.{stream}") or {}
            if stream not in typed and typed & own.keys():
                kept = {leaf: one for leaf, one in own.items() if leaf not in typed}
                leaves = {f"optim.streams.{stream}": kept, **leaves}
        return leaves

    def _set_in_plain(self, leaves: Mapping[str, Any]) -> dict[str, Any] | None:
        """The same without omegaconf, which takes a hundred times as long; None where only omegaconf can do it.

        That is, where a value is looked up by more than another option's name, or the place is not a plain name.
        """
        if self._plain is None or any("${" in str(one) or not _NAME.fullmatch(path) for path, one in leaves.items()):
            return None
        expanded = expand_shorthand(leaves)
        names = [*expanded, *self._references, *self._folders]
        if any(name.startswith(f"{leaf}.") for leaf in names for name in names):  # one is inside another
            return None
        plain = self._plain
        for path, value in leaves.items():
            for leaf, one in expand_shorthand({path: value}).items():
                above, _, name = leaf.rpartition(".")
                parent = _select(self._plain, above) if above else self._plain
                if isinstance(parent, dict) and name in parent:
                    default = parent[name]
                elif _known(self.content, leaf):
                    default = _select(self._plain, _of_both(leaf))
                else:
                    raise _unknown(self.content, leaf, one)
                self._check(leaf, path, value, one, default)
        for leaf, value in expanded.items():
            plain = _replaced(plain, leaf, _copied(value))
        for name in self._folders:
            if name not in expanded:
                plain = _replaced(plain, name, self._folder(name))
        looked_up = {name: of for name, of in self._references.items() if name not in expanded}
        for name, source in looked_up.items():
            while source in looked_up:
                source = looked_up[source]
            plain = _replaced(plain, name, _select(plain, source))
        return plain

    @cached_property
    def _references(self) -> dict[str, str]:
        """Option -> the option that it is looked up in, where it is nothing else."""
        hits = {".".join(map(str, path)): _REFERENCE.fullmatch(text) for path, text in self._interpolated}
        return {name: hit[1] for name, hit in hits.items() if hit and not hit[1].startswith("run.")}

    @cached_property
    def _folders(self) -> list[str]:
        """The folders that the environment may name, now or later."""
        names = (".".join(map(str, path)) for path, _ in self._interpolated)
        return [name for name in names if name in env_values.FOLDERS and name not in self._references]

    def _folder(self, name: str) -> Any:
        """A folder as the environment names it now; to look it up takes omegaconf a millisecond."""
        environment = frozenset(os.environ.items())
        if (name, environment) not in self._looked_up:
            self._looked_up[name, environment] = OmegaConf.select(self.content, name)
        return self._looked_up[name, environment]

    @cached_property
    def _plain(self) -> dict[str, Any] | None:
        """The plain, resolved config; None where something is looked up in other ways."""
        names = [".".join(map(str, path)) for path, _ in self._interpolated]
        if any(name not in self._references and name not in self._folders for name in names):
            return None
        try:
            plain = cast(dict[str, Any], OmegaConf.to_container(self.content, resolve=True))
        except OmegaConfBaseException:
            return None
        targets = (_select(plain, target) for target in self._references.values())
        return None if any(isinstance(one, dict | list) for one in targets) else plain

    def _set_in_content(self, leaves: Mapping[str, Any]) -> dict[str, Any]:
        content = self.content.copy()
        for path, value in leaves.items():
            for leaf, one in expand_shorthand({path: value}).items():
                if not _known(content, leaf):
                    raise _unknown(content, leaf, one)
                above, _, name = leaf.rpartition(".")
                lacking = above and name not in OmegaConf.select(content, above)
                self._check(leaf, path, value, one, OmegaConf.select(content, _of_both(leaf) if lacking else leaf))
        for leaf, value in expand_shorthand(leaves).items():
            OmegaConf.update(content, leaf, value, merge=False, force_add=True)
        looked_up = any("${" in str(one) for one in leaves.values())
        env_values.refuse_outside(content, env_values.interpolated(content) if looked_up else self._interpolated)
        try:
            return cast(dict[str, Any], OmegaConf.to_container(content, resolve=True))
        except OmegaConfBaseException as error:
            raise UserError("the config cannot be resolved", got=str(error).splitlines()[0]) from error

    def _check(self, leaf: str, path: str, value: Any, one: Any, default: Any) -> None:
        """Raise a `UserError` if a leaf cannot have this value. `path`, `value`: as they were typed."""
        if isinstance(one, str) and (word := catalogue.option_of(leaf)):
            raise UserError(
                "this is a config group; set it with its own option", got=f"{leaf}={one}", hint=f"{word}={one}"
            )
        check_type(leaf if isinstance(value, Mapping) else path, default, one)


def _select(plain: Any, path: str) -> Any:
    for name in path.split("."):
        plain = plain.get(name) if isinstance(plain, dict) else None
    return plain


def _replaced(plain: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The tree with another value at this path; all that does not change is shared."""
    name, _, rest = path.partition(".")
    return {**plain, name: _replaced(plain[name], rest, value) if rest else value}


def _copied(value: Any) -> Any:
    """Plain data as omegaconf leaves it: lists and dicts, not what they were made of."""
    if isinstance(value, Mapping):
        return {name: _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list | tuple) else value


def has_grid(group: str, name: str) -> bool:
    """Whether a choice of a group has axes or excluded points, as an experiment may."""
    files = (folder / group / f"{name}.yaml" for folder in catalogue.folders())
    file = next((file for file in files if file.is_file()), None)
    try:
        run = OmegaConf.select(OmegaConf.load(file), "run") if file else None
    except (OmegaConfBaseException, yaml.YAMLError):  # reported when it is composed
        return False
    return isinstance(run, DictConfig) and any(run.get(leaf) for leaf in ("grid", *catalogue.GRID_WORDS))


def to_yaml(content: Mapping[str, Any]) -> str:
    """Plain data as YAML, in the order of the config."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(content))).rstrip()


def tree(group_choices: Mapping[str, str]) -> Tree:
    """The composed tree, made once for each set of group choices."""
    catalogue.announce_own_conf()
    return _composed(tuple(sorted(catalogue.hydra_choices(group_choices).items())), catalogue.own_conf())


@lru_cache(maxsize=256)
def _composed(group_choices: tuple[tuple[str, str], ...], _mine: Path | None) -> Tree:
    logging.getLogger("hydra").setLevel(logging.ERROR)
    if OwnConfFirst not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(OwnConfFirst)
    overrides = [f"{group}={name}" for group, name in group_choices]
    instead = Instead.of(dict(group_choices).get("debug"))
    try:
        with initialize_config_dir(str(catalogue.packaged()), version_base="1.3"):
            env_values.watch()
            content = hydra_compose("config", overrides, return_hydra_config=True)
            if others := instead.chosen(content.hydra.runtime.choices):
                overrides = [f"{group}={name}" for group, name in {**dict(group_choices), **others}.items()]
                content = hydra_compose("config", overrides, return_hydra_config=True)
            for group, place in catalogue.NAMED.items():
                named = OmegaConf.select(content, place)
                if named is not None and not _is_chosen(group, overrides):
                    overrides = [*overrides, f"{group}={named}"]
                    content = hydra_compose("config", overrides, return_hydra_config=True)
            env_values.refuse_chosen()
    except HydraException as error:
        message = str(error).strip().splitlines()[0]
        own = _fixed_flow(message, dict(group_choices))
        raise own or UserError("the config cannot be composed", got=message) from error
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        message = " ".join(str(error).split())
        raise UserError(
            "a file of the config cannot be read", got=message, hint="correct it; conf/ has examples"
        ) from error
    choices = {str(group): name for group, name in content.hydra.runtime.choices.items()}
    OmegaConf.set_struct(content, False)
    content.pop("hydra")
    content.pop(KEY, None)
    instead.in_content(content)
    for group in choices:
        place = group.rpartition("@")[2]
        if isinstance(value := OmegaConf.select(content, place), str):  # a yaml has a name where the part belongs
            hint = f"defaults: [override /{group}: {value}]; or for a grid, run.grid: {{{place}: [{value}]}}"
            raise UserError("a choice of a group is no value of it", got=f"{place}: {value}, in a yaml", hint=hint)
    for note in catalogue.NOTES:
        above, _, leaf = note.rpartition(".")
        OmegaConf.select(content, above).pop(leaf, None)
    _leave_out_repeated(content.optim.streams)
    run = cast(dict[str, Any], OmegaConf.to_container(content["run"], resolve=False))
    content["run"] = masked(instead.run(run), "run")
    OmegaConf.set_struct(content, True)
    return Tree(content, catalogue.choices_by_option(choices))


def _is_chosen(group: str, overrides: list[str]) -> bool:
    """Whether a choice of this group was typed, or an experiment made it."""
    loader = GlobalHydra.instance().config_loader()
    return group in loader.compute_defaults_list("config", overrides, RunMode.RUN).overrides.override_choices


def _leave_out_repeated(streams: DictConfig) -> None:
    """Leave out what is written for one stream and is the same for both, as after debug=fast."""
    for stream in STREAMS:
        for leaf, one in list((streams.get(stream) or {}).items()):
            if leaf in streams and streams[leaf] == one:
                streams[stream].pop(leaf)


def title(group: str, choice: str) -> str | None:
    """The title for tables in a choice's yaml."""
    return _note(group, choice, "title")


def source_recipe(optim: str) -> str | None:
    """The recipe in an optim's yaml of a stream that starts from nothing, and from which one of this recipe starts."""
    return _note("optim", optim, "source")


def _note(group: str, choice: str, key: str) -> str | None:
    """What a choice's yaml says of it under a key that is no option."""
    for folder in catalogue.folders():
        file = folder / group / f"{choice}.yaml"
        if file.is_file():
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            return str(content[key]) if isinstance(content, dict) and content.get(key) else None
    return None


def _fixed_flow(message: str, choices: Mapping[str, str]) -> UserError | None:
    """The error for a flow= with a user's data set whose yaml fixes its flow."""
    flow = catalogue.PLACES["flow"]
    if f"override '{flow}'" not in message:
        return None
    return UserError(
        "flow= has no effect: the yaml of this data set fixes its flow",
        got=f"data={choices.get('data')} flow={choices[flow]}",
        hint=f"write into its yaml, instead of store.flow: defaults: [/flow@store.flow: {choices[flow]}, _self_]",
    )  # fmt: skip


def _known(content: DictConfig, path: str) -> bool:
    above, _, leaf = path.rpartition(".")
    parent = OmegaConf.select(content, above) if above else content
    both = _of_both(path)
    return OmegaConf.is_dict(parent) and (leaf in parent or (both != path and _known(content, both)))


def _of_both(path: str) -> str:
    """The option of both streams, for one of a stream that a recipe may lack: optim.streams.motion.lr."""
    return re.sub(r"^(optim\.streams)\.(?:appearance|motion)(?=\.(?!appearance$|motion$)\w+$)", r"\1", path)


def _unknown(content: DictConfig, path: str, value: Any) -> UserError:
    """Leaves with this name elsewhere; or the leaves beside it, as deep as the path is right."""
    above, _, leaf = path.rpartition(".")
    while above and not OmegaConf.is_dict(OmegaConf.select(content, above)):
        above = above.rpartition(".")[0]
    there = OmegaConf.select(content, above) if above else content
    if (both := _of_both(f"{above}.all").removesuffix(".all")) != above:
        there = [name for name in OmegaConf.select(content, both) if name not in ("appearance", "motion")]
    if above:
        beside = [f"{above}.{name!s}" for name in there if not str(name).startswith("_")]
    else:
        beside = sorted({*map(str, there), *catalogue.groups(), *catalogue.GRID_WORDS})
    if above and not beside:  # a group that holds options by name, and holds none
        return UserError("unknown option", got=path, hint=f"'{above}={{{leaf}: {masked(value, path)}}}'")
    near = nearest(path, beside) or path
    shown = str(masked(masked(value, path), near)).replace("{", "{{").replace("}", "}}")
    error = unknown("option", path, beside, form=f"{{}}={shown}")
    plain = flatten(OmegaConf.to_container(content))  # type: ignore[arg-type]
    below = [name for name in plain if not above or name.startswith(f"{above}.")]
    # appearance.width is that of one tower; width may be either's, and so may backbone.width.
    elsewhere = [name for name in below if name.endswith(f".{path}")]
    if not elsewhere and (above or "." not in path):
        elsewhere = [name for name in below if name.rpartition(".")[2] == leaf]
    if elsewhere and (error.hint is None or "." in path):
        hint = " or ".join(f"{name}={masked(value, name)}" for name in elsewhere[:4])
        error = UserError(error.what, got=path, allowed=beside, hint=hint)
    return error
