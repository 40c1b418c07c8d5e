"""Masks secrets under `run:`: they are never written into a plan, a record, a folder's name or an error.

No part of fusionlab needs a secret: wandb reads WANDB_API_KEY from the environment. So a value under `run:` that is
named like a secret is replaced when the config is made. Hashed values are written unchanged: they determine results.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
LIKE = re.compile(r"key|token|secret|passw|passphrase|pwd|credential|bearer|auth(?!or(?!i))", re.IGNORECASE)


def secret(path: str) -> bool:
    """Whether a leaf is named like a secret, by its own name or by one above it.

    >>> secret("run.logger.api_key"), secret("run.table.rows.key"), secret("data.dataset.name")
    (True, False, False)
    """
    under, _, name = path.partition(".")
    return under == "run" and name.partition(".")[0] != "table" and LIKE.search(name) is not None  # a table has keys


def masked(value: Any, path: str) -> Any:
    """The value at this path of a config, with `***` for each secret in it.

    >>> masked({"name": "wandb", "api_key": "abc"}, "run.logger")
    {'name': 'wandb', 'api_key': '***'}
    """
    if path.partition(".")[0] != "run":
        return value
    if isinstance(value, Mapping):
        return {name: masked(one, f"{path}.{name}") for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked(one, path) for one in value]
    return MASK if value is not None and secret(path) else value


def hide_variables(text: str) -> str:
    """A text of another library, without the values of environment variables that are named like a secret."""
    for name, value in os.environ.items():
        if LIKE.search(name) and len(value) >= 8:
            text = text.replace(value, MASK)
    return text


def masked_word(word: str) -> str:
    """A typed option with `***` for its value, if that is or contains a secret.

    >>> masked_word("run.logger={name:wandb,api_key:abc}")
    'run.logger=***'
    """
    name, equals, value = word.partition("=")
    path = name.lstrip("+~")
    inside = f"{path}.{value}" if "{" in value or path == "run" else path
    return f"{name}={MASK}" if equals and secret(inside) else word
