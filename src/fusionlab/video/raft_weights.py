"""RAFT's weights: torchvision's, downloaded once to torch hub's folder, or a file of a state dict."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import sys
from collections.abc import Iterator
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError, show
from fusionlab.records.files import disk_errors
from fusionlab.records.torch_files import UnsafeTorchFile, refuse_bombs

TORCHVISION = "torchvision"
PUBLISHED = {"small": "C_T_V2", "large": "C_T_SKHT_V2"}  # which of torchvision's, pinned: its default may change
ALLOWED = (TORCHVISION, "a file of its state dict")
TIMEOUT = 30.0  # seconds without a byte


def locate(weights: str, model: str, folder: str | None = None) -> Path:
    """The file of the weights; torchvision's is downloaded where it is missing, with a message."""
    if weights == TORCHVISION:
        return _published(model)
    typed = Path(weights).expanduser()
    places = [typed] if folder is None or typed.is_absolute() else [Path(folder) / typed, typed]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(f"'{place}'" for place in places)
    raise UserError(
        "file of RAFT's weights not found", got=f"data.store.flow.weights={weights}", allowed=ALLOWED,
        hint=f"put it at '{places[0]}' (looked for {looked})",
    )  # fmt: skip


def _published(model: str) -> Path:
    import torch
    from torchvision.models import optical_flow

    enums: Any = {"small": optical_flow.Raft_Small_Weights, "large": optical_flow.Raft_Large_Weights}
    url = enums[model][PUBLISHED[model]].url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not file.is_file():
        show(f"flow=raft: downloading torchvision's weights, {file.name}", file=sys.stderr)
        _download(url, file)
    return file


def _download(url: str, file: Path) -> None:
    import torch

    digits = file.stem.rpartition("-")[2]  # of its sha256
    try:
        with disk_errors(file), _timeout():
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), digits, progress=sys.stderr.isatty())
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: what came has another hash
        raise UserError(
            "RAFT's weights are missing, and the download failed",
            got=f"{url}: {error}",
            hint=f"download {file.name} from {url} on a machine with a network, and put it into {file.parent}; "
            "or data.store.flow.weights='a file of yours'",
        ) from error


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """A timeout: torch.hub has none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def read(file: Path, model: str) -> dict[str, Any]:
    """The tensors of a file, as data only: a pickle with code is refused before it runs."""
    import torch

    try:
        refuse_bombs(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except UnsafeTorchFile as error:
        raise unusable(file, model, str(error)) from error
    except Exception as error:  # torch's message also advises to load code, which is left out here
        _, known, message = str(error).rpartition("WeightsUnpickler error: ")
        reason = " ".join(message.split()).partition(". ")[0][:160] if known and "weights_only" not in message else ""
        raise unusable(file, model, reason or type(error).__name__) from error
    if not isinstance(state, dict):
        raise unusable(file, model, f"it holds a {type(state).__name__}")
    return dict(state)


def unusable(file: Path, model: str, why: str) -> UserError:
    return UserError(
        f"not weights of RAFT {model}", got=f"{file}: {why}",
        hint=f"torch.save(raft_{model}(…).state_dict(), …) writes one; or data.store.flow.weights={TORCHVISION}",
    )  # fmt: skip


def stamp(file: Path) -> tuple[Path, int, int]:
    """A file, with time and size, which tell whether it has changed."""
    about = file.stat()
    return file.resolve(), about.st_mtime_ns, about.st_size


@lru_cache(maxsize=4)
def sha256(file: Path, time: int, size: int) -> str:
    """The sha256 of a whole file; `time` and `size` are its stamp."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
