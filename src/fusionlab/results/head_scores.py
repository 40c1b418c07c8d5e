"""heads.npz: per head of a net, the mean softmax and the mean logits of each video.

    <head>.softmax.npy    float32 (videos, classes)
    <head>.logits.npy     float32 (videos, classes); not of margins of a support vector machine, which are no logits

Row r belongs to line r of the predictions.csv beside it. From these numbers streams are fused again without a network
(`combine`). The file is numpy's, not compressed and without pickles, so that equal numbers give equal bytes. A head of
3,783 videos of 101 classes takes 3.1 MB.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.records.files import read_whole, write_bytes
from fusionlab.records.other_test_file import HEADS

FILE = HEADS
Array = NDArray[np.float32]
LARGEST = 1 << 30  # bytes; two heads of 40,000 videos of 700 classes have 448 MB
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_FLOAT32 = np.dtype("<f4")
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(rb"\{'descr': '?([^']{1,9})[^(]*'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), *\} *\n")


class Heads(NamedTuple):
    """One head's means over a video's views and predictions, each (videos, classes)."""

    softmax: Array
    logits: Array | None


def to_bytes(heads: Mapping[str, Heads]) -> bytes:
    """The file's content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, head in heads.items():
            assert _NAME.fullmatch(name), f"no name of a head: {name}"
            for part, values in head._asdict().items():
                if values is None:
                    continue
                assert values.ndim == 2 and values.shape == head.softmax.shape, "(videos, classes)"
                # ZipInfo has one fixed date; on every system the same bytes.
                entry = zipfile.ZipInfo(f"{name}.{part}.npy")
                entry.create_system = 3
                with archive.open(entry, "w") as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(values, _FLOAT32), (1, 0), allow_pickle=False)
    return buffer.getvalue()


def write_heads(path: str | os.PathLike[str], heads: Mapping[str, Heads], *, sync: bool = True) -> str:
    """Write the file atomically, and return its digest. `sync`: see `write_bytes`."""
    content = to_bytes(heads)
    write_bytes(path, content, sync=sync)
    return digest(content)


def digest(content: bytes) -> str:
    """The sha256 of a file's content, as records have it."""
    return hashlib.sha256(content).hexdigest()


def read_heads(path: str | os.PathLike[str], *, videos: int, classes: int) -> dict[str, Heads]:
    """The heads in a file, in its order; a `UserError` if it is damaged or has other numbers of videos or classes."""
    return parse_heads(read_whole(path, LARGEST), Path(path), videos=videos, classes=classes)


def parse_heads(content: bytes, source: object, *, videos: int, classes: int) -> dict[str, Heads]:
    """The heads in a file's content."""
    try:
        found = _entries(content, (videos, classes))
        heads = {}
        for name, parts in found.items():
            if "softmax" not in parts:
                raise ValueError(f"{name} has no softmax")
            heads[name] = Heads(parts["softmax"], parts.get("logits"))
        if not heads:
            raise ValueError("it has no head")
    except (ValueError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        hint = "restore the file, or test the arm again"
        raise UserError(f"damaged scores of heads ({str(error)[:100]})", got=source, hint=hint) from None
    return heads


def largest_difference(heads: Mapping[str, Heads], others: Mapping[str, Heads]) -> float:
    """The largest difference of two numbers, of logits as a share of the largest; infinite if the heads are others."""
    if list(heads) != list(others):
        return math.inf
    most = 0.0
    for head, other in zip(heads.values(), others.values(), strict=True):
        for one, two in zip(head, other, strict=True):
            if one is None or two is None or one.shape != two.shape:
                if one is not two:
                    return math.inf
                continue
            scale = max(1.0, float(np.abs(two).max(initial=0.0)))
            most = max(most, float(np.abs(one.astype(np.float64) - two).max(initial=0.0)) / scale)
    return most


def _entries(content: bytes, shape: tuple[int, int]) -> dict[str, dict[str, Array]]:
    """Head -> part -> its array. Nothing is unpacked or allocated that the file does not have."""
    found: dict[str, dict[str, Array]] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > len(content):
            raise ValueError("its entries overlap or are compressed")
        for entry in archive.infolist():
            name, _, part = entry.filename.removesuffix(".npy").partition(".")
            if not entry.filename.endswith(".npy") or not _NAME.fullmatch(name) or part not in Heads._fields:
                raise ValueError(f"an entry {entry.filename[:40]!r}")
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise ValueError("its entries are compressed")
            if part in found.setdefault(name, {}):
                raise ValueError(f"two entries {entry.filename}")
            found[name][part] = _array(archive.read(entry), shape)  # checks its CRC
    return found


def _array(content: bytes, shape: tuple[int, int]) -> Array:
    """numpy's own reader would evaluate the header as Python, and allocate what it claims."""
    start = len(_MAGIC) + 2 + int.from_bytes(content[len(_MAGIC) : len(_MAGIC) + 2], "little")
    header = _HEADER.fullmatch(content[len(_MAGIC) + 2 : start])
    if not content.startswith(_MAGIC) or header is None:
        raise ValueError("no array as this file has them")
    dtype, fortran, own = (group.decode("latin-1") for group in header.groups())
    if dtype != _FLOAT32.str or fortran != "False":
        raise ValueError(f"numbers of type {dtype}, not float32" if dtype != _FLOAT32.str else "columns, not rows")
    if own != f"{shape[0]}, {shape[1]}":
        raise ValueError(f"({own}) scores, not ({shape[0]}, {shape[1]})")
    if len(content) - start != math.prod(shape) * _FLOAT32.itemsize:
        raise ValueError("too few or too many bytes")
    values = np.frombuffer(content, _FLOAT32, offset=start).reshape(shape)
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    return values
