"""Contract tests for every fusion, temporal head and tower, those of fusionlab and your own."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

NOTES = ("title", "recipe")  # of a yaml about its part, no numbers of it


def load_parts(folder: Path) -> dict[str, Callable[..., Any]]:
    """name -> factory, for each yaml of a conf folder; its numbers are bound."""
    return {
        file.stem: load_part(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in sorted(folder.glob("*.yaml"))
    }


def load_part(config: dict[str, Any]) -> Callable[..., Any]:
    """{_target_, _partial_: true, numbers} -> the target with its numbers, and parts within it, bound."""
    assert config["_partial_"] is True, "a part gets its channels later, so its yaml has `_partial_: true`"
    module, _, name = config["_target_"].rpartition(".")
    numbers = {
        key: load_part(value) if isinstance(value, dict) and "_target_" in value else value
        for key, value in config.items()
        if not key.startswith("_") and key not in NOTES
    }
    return partial(getattr(import_module(module), name), **numbers)
