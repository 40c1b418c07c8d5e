"""Weights as files and as a fingerprint: plain tensors by name, never a pickled object."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from fusionlab.backbones.pretrained.tensors import read_tensors, with_metadata
from fusionlab.records.files import write_through

State = dict[str, Tensor]


def copy_to_cpu(state: Mapping[str, Tensor]) -> State:
    """A copy on the CPU that later steps do not change."""
    return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """sha256 over name, type, shape and bytes of every tensor, sorted by name: equal weights have equal hashes."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_weights(
    path: Path, state: Mapping[str, Tensor], on: Mapping[str, Any] | None = None, *, sync: bool = True
) -> None:
    """Write atomically. `on`: the training data, stored in the file. `sync`: see `write_through`."""
    save(path, with_metadata(state, on) if on else dict(state), sync=sync)


def save(path: Path, content: Any, *, sync: bool = True) -> None:
    """`torch.save` atomically, straight into the file: no second copy in memory, whatever the size."""

    def write(file: BinaryIO) -> None:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch says "unexpected pos" where the disk is full
                raise error.__context__ from None
            raise

    write_through(path, write, sync=sync)


def read_weights(path: Path) -> State:
    """The tensors in a file of weights; no code in it is ever run."""
    return read_tensors(path)
