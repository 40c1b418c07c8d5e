"""Weights as files and as a fingerprint: plain tensors by name, never a pickled object."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fusionlab.backbones.pretrained.tensors import read_tensors, with_metadata
from fusionlab.records.files import write_bytes

State = dict[str, Tensor]


def copied(state: Mapping[str, Tensor]) -> State:
    """A copy on the CPU that later steps cannot reach."""
    return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """sha256 over name, type, shape and bytes of every tensor, in the order of the names: equal weights,
    equal hash, whatever file they lie in."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_weights(path: Path, state: Mapping[str, Tensor], on: Mapping[str, Any] | None = None) -> str:
    """Write atomically; returns the fingerprint. `on`: what they were trained on, which goes into the file too."""
    buffer = io.BytesIO()
    torch.save(with_metadata(state, on) if on else dict(state), buffer)
    write_bytes(path, buffer.getvalue())
    return fingerprint(state)


def read_weights(path: Path) -> State:
    """Tensors only: a weight file is data, and nothing in it is ever run."""
    return read_tensors(path)
