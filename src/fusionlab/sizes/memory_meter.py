"""The memory that a run holds at a time, counted while it runs; on the meta device nothing is allocated."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryMeter(TorchDispatchMode):
    """with MemoryMeter() as meter: …   ->   meter.now, and meter.most so far: bytes of the tensors made inside.

    Each piece of memory counts once, from when it is made until it is freed. `outside`: tensors that existed before.
    Memory that an operation takes and frees by itself, as a convolution's workspace, is not counted.
    """

    def __init__(self, outside: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._known = {memory(one) for one in outside}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, Tensor) and (where := memory(one)) not in self._known:
                storage = one.untyped_storage()
                self._known.add(where)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._let_go, where, storage.nbytes())
        self.most = max(self.most, self.now)
        return out

    def _let_go(self, where: int, size: int) -> None:
        self._known.discard(where)
        self.now -= size


def memory(x: Tensor) -> int:
    """The identity of a tensor's memory; equal for views of one tensor."""
    return x.untyped_storage()._cdata


class SameLayout(TorchDispatchMode):
    """Convolutions on the meta device keep the memory layout of their input, as on every other device.

    Without it the layers behind them would seem to need copies.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default and out.is_meta:
            layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(out.ndim)
            if layout is not None and args[0].is_contiguous(memory_format=layout):
                return torch.empty_like(out, memory_format=layout)
        return out
