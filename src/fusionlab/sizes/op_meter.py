"""Multiply-adds, shapes and bytes kept for the backward pass of a module's layers, measured while it runs.

On the meta device nothing is allocated.

    multiply-adds   of convolutions and matrix products, half of what torch's formulas count as operations; of Fourier
                    transforms, which torch does not count, as `fft_macs` has it
    kept            what autograd keeps for the backward pass, each piece of memory once; parameters apart

An operation belongs to the layer whose parameter it uses, or else to the layer that is running, or else, between two
layers, to the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from fusionlab.fusion.compact import fft_macs
from fusionlab.sizes.memory_meter import memory

Key = tuple[str, str]  # part, layer


@dataclass
class Seen:
    """One layer's share. `shape`: of its last output, as the layer leaves it."""

    shape: tuple[int, ...] = ()
    macs: int = 0
    kept: int = 0


class Meter(TorchDispatchMode):
    """with Meter(net, key) as meter: net(…)   ->   meter.seen, in the order in which the layers first ran.

    `key`: the layer that a submodule's path belongs to; None where it is only a container. `outside`: tensors whose
    memory is not counted as kept.
    """

    def __init__(self, module: nn.Module, key: Callable[[str], Key | None], outside: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: dict[Key, Seen] = {}
        self._module, self._key = module, key
        self._owners: dict[int, Key] = {}
        for path, parameter in module.named_parameters():
            if (owner := key(path)) is not None:
                self._owners[id(parameter)] = owner
        self._counted = {memory(one) for one in (*module.parameters(), *module.buffers(), *outside)}
        self._running: list[Key] = []
        self._before: Key | None = None
        self._exits: list[Any] = []

    def __enter__(self) -> Self:
        for path, part in self._module.named_modules():
            if path and (owner := self._key(path)) is not None:
                self._exits += [part.register_forward_pre_hook(self._began(owner))]
                self._exits += [part.register_forward_hook(self._ended(owner))]
        # Detached: an output that its own operation keeps would otherwise hold itself for good.
        keeping = torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: kept)
        keeping.__enter__()
        self._keeping = keeping
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *how: Any) -> None:
        super().__exit__(*how)  # type: ignore[no-untyped-call]
        self._keeping.__exit__(*how)
        for one in self._exits:
            one.remove()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        macs = _macs(func, args, kwargs or {}, out)
        owned = next((self._owners[id(one)] for one in args if id(one) in self._owners), None)
        owner = owned or self._here
        if owner is not None:
            seen = self._of(owner)
            seen.macs += macs
            if owned is not None and macs:  # the layer itself may not be called: its weights may be used directly
                seen.shape = tuple(out.shape)
        else:
            assert not macs, f"{func} belongs to no layer"
        return out

    @property
    def _here(self) -> Key | None:
        return self._running[-1] if self._running else self._before

    def _of(self, owner: Key) -> Seen:
        self._before = owner
        return self.seen.setdefault(owner, Seen())

    def _began(self, owner: Key) -> Callable[..., None]:
        return lambda *_: self._running.append(owner)

    def _ended(self, owner: Key) -> Callable[..., None]:
        def ended(part: nn.Module, given: tuple[Any, ...], out: Tensor) -> None:
            self._running.pop()
            self._of(owner).shape = tuple(out.shape)

        return ended

    def _keep(self, kept: Tensor) -> Tensor:
        where = memory(kept)
        if where not in self._counted:
            self._counted.add(where)
            assert self._here is not None, "kept before any layer ran"
            self._of(self._here).kept += kept.untyped_storage().nbytes()
        return kept.detach()


def _macs(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> int:
    """Half of the operations of one call."""
    packet = func._overloadpacket
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=out)) // 2
    if packet in _TRANSFORMS:
        return _transform(args[0], out, args[1])
    return 0


_TRANSFORMS = (torch.ops.aten._fft_r2c, torch.ops.aten._fft_c2r, torch.ops.aten._fft_c2c)


def _transform(x: Tensor, y: Tensor, axes: Sequence[int]) -> int:
    """Over all transforms of one call, which is real on one side or on none: a complex one counts as two."""
    real = x if not x.is_complex() else y
    length = prod(real.shape[axis] for axis in axes)
    transforms = real.numel() // length
    return fft_macs(length, transforms if not real.is_complex() else 2 * transforms)
