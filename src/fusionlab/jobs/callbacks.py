"""The callbacks of `conf/callbacks/`: any `pytorch_lightning.Callback`, built from the config of an arm or a stream.

They belong to the cohort's one Trainer. A checkpoint has their `state_dict` if it consists of tensors, numbers and
text. `trainer.callback_metrics` has `<arm>/val_loss` and `<arm>/val_accuracy` after each validation. A callback that
sets `trainer.should_stop` ends all arms, each with its best weights. fusionlab writes its own checkpoints, so
`on_save_checkpoint` and `on_load_checkpoint` are not called. After a resume, the hooks at the start of a fit or an
epoch are called again.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from fusionlab.config.instantiate import part
from fusionlab.errors import UserError
from fusionlab.records.signature import TARGET
from fusionlab.training.checkpoint import plain

GROUP = "callbacks"


class UserCallbacks:
    """Callbacks by name, and the names of those that a resumed training cannot restore."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        blocks = {"callback": config} if TARGET in config else config
        self.made = {name: make_callback(name, block) for name, block in blocks.items()}
        self._before = {name: _attributes(one) for name, one in self.made.items()}

    def not_restored(self) -> list[str]:
        """The callbacks whose attributes have changed but are not in the checkpoint."""
        return [
            name
            for name, one in self.made.items()
            if _attributes(one) != self._before[name] and not _has_plain_state(one)
        ]


def make_callback(name: str, block: Any) -> pl.Callback:
    made = part(block, GROUP)
    if not isinstance(made, pl.Callback):
        raise UserError(
            "not a callback of pytorch_lightning", got=f"{name}: {block[TARGET]} is a {type(made).__name__}",
            hint="import Callback from pytorch_lightning, not from lightning.pytorch",
        )  # fmt: skip
    return made


def _has_plain_state(callback: pl.Callback) -> bool:
    return type(callback).state_dict is not pl.Callback.state_dict and plain(callback.state_dict())


def _attributes(callback: pl.Callback) -> dict[str, bytes | str]:
    """The content of each attribute, to see whether it changes. Lightning sets two by itself."""
    return {name: _content(value) for name, value in vars(callback).items() if name not in ("log", "log_dict")}


def _content(value: Any) -> bytes | str:
    try:
        return pickle.dumps(value)
    except Exception:
        return repr(value)
