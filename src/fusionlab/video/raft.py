"""RAFT: optical flow by a network (Teed & Deng 2020), torchvision's, small or large.

It reads colour and has learnt what moves like what. It runs on a GPU where there is one, else on one core, where a
pair of 340×256 takes half a second (small) or two (large).

Only this estimator needs torch, and only once it works: torch is imported inside the functions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError, unknown
from fusionlab.video import raft_weights
from fusionlab.video.flow import RGB, Picture
from fusionlab.video.raft_weights import TORCHVISION

MODELS = tuple(raft_weights.PUBLISHED)
LEAST = 128  # pixels of a side: at the fourth scale of an eighth of it two places are left
MULTIPLE = 8


@dataclass(frozen=True)
class Raft:
    """A model and its weights. Pickled without the network, which is built once in each process."""

    model: str = "small"
    weights: str | None = TORCHVISION
    updates: int = 12
    folder: str | None = field(default=None, compare=False, repr=False)  # where weights are looked for first

    reads: ClassVar[str] = RGB

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise unknown("model of RAFT", str(self.model), MODELS, form="data.store.flow.model={}")
        if not isinstance(self.weights, str) or not self.weights:
            raise UserError(
                "RAFT needs trained weights",
                got=f"data.store.flow.weights={'null' if self.weights is None else self.weights}",
                allowed=[TORCHVISION, "a file of its state dict"], hint=f"data.store.flow.weights={TORCHVISION}",
            )  # fmt: skip
        if type(self.updates) is not int or self.updates < 1:
            raise UserError(
                "updates of RAFT is a whole number", got=f"data.store.flow.updates={self.updates}",
                allowed=["1, 2, …"], hint="data.store.flow.updates=12",
            )  # fmt: skip

    def looking_in(self, folder: str | Path) -> Raft:
        """The same estimator with its file of weights in this folder, if the file exists."""
        return replace(self, folder=str(folder))

    def __call__(self, previous: Picture, following: Picture) -> NDArray[np.float32]:
        import torch

        device = _device()
        network = _network(self.model, device, *raft_weights.stamp(self._file()))
        height, width = previous.shape[:2]
        above, below = _margins(height)
        left, right = _margins(width)
        with _deterministic(), torch.inference_mode():
            pair = torch.from_numpy(np.stack([previous, following])).to(device)
            pair = pair.permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.5)  # −1 … 1, as torchvision does it
            pair = torch.nn.functional.pad(pair, (left, right, above, below), mode="replicate")
            flow = network(pair[:1], pair[1:], num_flow_updates=self.updates)[-1][0]
            inside = flow[:, above : above + height, left : left + width].float().cpu().numpy()
        return np.ascontiguousarray(inside)

    def describe(self) -> dict[str, Any]:
        """Its description with the device, which changes last bits; without the folder of the weights."""
        import torch
        import torchvision

        file, device = self._file(), _device()
        return {
            "method": "raft", "model": self.model, "updates": self.updates, "weights": file.name,
            "weights_sha256": raft_weights.sha256(*raft_weights.stamp(file)), "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "device": device if device == "cpu" else torch.cuda.get_device_name(),
        }  # fmt: skip

    def expect(self) -> None:
        """Raise a `UserError` for a missing file of weights; it is quick and needs no torch."""
        if self.weights != TORCHVISION:
            self._file()

    def _file(self) -> Path:
        return raft_weights.locate(str(self.weights), self.model, self.folder)


def _margins(side: int) -> tuple[int, int]:
    """The padding before and behind a side, which repeats the edge."""
    more = max(LEAST, -(-side // MULTIPLE) * MULTIPLE) - side
    return more // 2, more - more // 2


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """One thread, and on a GPU the same algorithm at each call, in full float32."""
    import torch

    threads = torch.get_num_threads()
    if threads != 1:
        torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        if threads != 1:
            torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _network(model: str, device: str, file: Path, time: int, size: int) -> Any:
    """The network of a process."""
    from torchvision.models import optical_flow

    network: Any = {"small": optical_flow.raft_small, "large": optical_flow.raft_large}[model](weights=None)
    state = raft_weights.read(file, model)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise raft_weights.unusable(file, model, " ".join(str(error).split())[:160] + " …") from error
    return network.eval().requires_grad_(False).to(device)
