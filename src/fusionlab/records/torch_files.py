"""Checks a file of torch.save before torch reads it: does it request more memory than it contains?

torch runs no code with `weights_only`, but it trusts the sizes in a file: an entry of a zip may be 3 GB of zeros in 14
MB, a pickle of thirty bytes may request an array of a terabyte, and a tensor may be one number, repeated without end. A
dict's key that is nested in itself is hashed without end.

    zip (since torch 1.6)    entries are not compressed, as torch writes them, and together not larger than the file
    legacy                   five pickles, then the storages: together not larger than the file
    their pickles            only the names of tensors' parts; keys are texts or numbers; no tensor exceeds its storage

No name in a pickle is imported or called here: a `_Part` without content takes its place.
"""

from __future__ import annotations

import io
import math
import os
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MOST_PICKLED = 8 << 20  # bytes of pickles
ZIP, END, LOCATOR, END64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
ITEM = {
    "Byte": 1, "Char": 1, "Bool": 1, "Short": 2, "Half": 2, "BFloat16": 2, "Int": 4, "Float": 4, "Long": 8,
    "Double": 8, "ComplexFloat": 8, "ComplexDouble": 16, "Untyped": 1,
}  # fmt: skip
STORAGE = re.compile(rf"torch\.(?:storage\.)?({'|'.join(ITEM)})Storage")
DICT = "collections.OrderedDict"
TENSOR = re.compile(r"torch\._utils\._rebuild_tensor(_v2|_v3)?")
# Also sparse tensors and those without storage: the reader of the file refuses them.
OTHER = re.compile(
    r"collections\.OrderedDict|torch\.(Size|device|serialization\._get_layout|(u?int|float|bfloat|complex)\d+\w*|bool)"
    r"|torch\._utils\._rebuild_(parameter(_with_state)?|sparse_tensor|meta_tensor_no_storage)"
)
PLAIN = frozenset(["BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "LONG1"])
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class UnsafeTorchFile(ValueError):
    """The message says why the file is unsafe."""


def refuse_bombs(path: str | os.PathLike[str]) -> None:
    """Raise `UnsafeTorchFile`, or another error if torch did not write the file. Other errors may remain."""
    if not Path(path).is_file():
        raise FileNotFoundError(os.fspath(path))
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if file.read(len(ZIP)) == ZIP:
            _zipped(file, size)
        else:
            file.seek(0)
            _legacy(io.BytesIO(file.read(MOST_PICKLED)), size)


def _zipped(file: BinaryIO, size: int) -> None:
    _one_directory(file, size)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        sizes = {one.filename: one.file_size for one in entries}
        if any(one.compress_type != zipfile.ZIP_STORED or one.file_size != one.compress_size for one in entries):
            raise UnsafeTorchFile(f"its entries are compressed ({sum(sizes.values())} bytes); torch does not compress")
        if len(sizes) != len(entries) or sum(sizes.values()) > size:
            raise UnsafeTorchFile(f"its entries overlap: {sum(sizes.values())} bytes in a file of {size}")
        folder = entries[0].filename.partition("/")[0] if entries else ""
        if sizes.get(f"{folder}/data.pkl", 0) > MOST_PICKLED:
            raise UnsafeTorchFile(f"its pickle has more than {MOST_PICKLED} bytes")
        content = archive.read(f"{folder}/data.pkl")
    for key, asked in _storages(io.BytesIO(content)).items():
        if asked > sizes.get(f"{folder}/data/{key}", 0):
            raise UnsafeTorchFile(f"storage {key[:20]} claims {asked} bytes, more than it has")


def _one_directory(file: BinaryIO, size: int) -> None:
    """The list of entries must be right before the end, where every reader of zip files looks for it."""
    file.seek(max(0, size - 22 - 20 - 56))
    tail = file.read()
    end64, locator, end = tail[:-42], tail[-42:-22], tail[-22:]
    if len(end) < 22 or end[:4] != END or end[20:] != b"\0\0":
        raise UnsafeTorchFile("its end is not that of a torch file")
    behind = size - 22
    length, start = struct.unpack_from("<II", end, 12)
    if locator[:4] == LOCATOR:
        behind -= 20 + 56
        if len(end64) != 56 or end64[:4] != END64 or struct.unpack_from("<Q", locator, 8)[0] != behind:
            raise UnsafeTorchFile("its end is not that of a torch file")
        length, start = struct.unpack_from("<QQ", end64, 40)
    if start + length != behind:
        raise UnsafeTorchFile("its end is not that of a torch file")


def _legacy(pickles: BinaryIO, size: int) -> None:
    for _ in range(3):  # the magic number, the version, the machine
        _storages(pickles)
    asked = sum(_storages(pickles).values())
    _storages(pickles)  # their keys, in order
    if asked > size:
        raise UnsafeTorchFile(f"its storages claim {asked} bytes, the file has {size}")


@dataclass
class _Part:
    """The object that a name in a pickle stands for."""

    name: str = ""
    bytes: int = 0  # of a storage
    item: int = 1


class _Mark:
    pass


def _storages(pickled: BinaryIO) -> dict[str, int]:
    """The storages that one pickle requests: {key: bytes}. Reads on from the file's position."""
    storages: dict[str, int] = {}
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    argument: Any

    def marked() -> list[Any]:
        at = max(at for at, one in enumerate(stack) if one is _Mark)
        items = stack[at + 1 :]
        del stack[at:]
        return items

    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in PLAIN:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in TUPLES:
            stack[-TUPLES[name] :] = [tuple(stack[-TUPLES[name] :])]
        elif name == "TUPLE":
            stack.append(tuple(marked()))
        elif name == "MARK":
            stack.append(_Mark)
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append(_Part())
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else marked()
            stack[-1].extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else marked()
            _plain_keys(items[::2])
        elif name == "GLOBAL":
            stack.append(_named(argument.replace(" ", ".", 1)))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, called = stack.pop(), stack.pop()
            stack.append(_made(called, arguments))
        elif name == "BUILD":
            stack.pop()
            if stack[-1] != _Part(DICT):
                raise UnsafeTorchFile("it changes the attributes of a tensor")
        elif name == "BINPERSID":
            _, kind, key, _, numbers, *_ = stack.pop()
            stack.append(_Part("storage", _product([numbers]) * kind.item, kind.item))
            storages[str(key)] = max(storages.get(str(key), 0), stack[-1].bytes)
        elif name not in ("PROTO", "STOP"):
            raise UnsafeTorchFile(f"its pickle has {name}, which torch does not write")
    return storages


def _named(name: str) -> _Part:
    storage = STORAGE.fullmatch(name)
    if storage is None and not TENSOR.fullmatch(name) and not OTHER.fullmatch(name):
        raise UnsafeTorchFile(f"it names {name[:80]}, which is not part of a tensor")
    return _Part(name, item=ITEM[storage[1]] if storage else 1)


def _made(called: _Part, arguments: tuple[Any, ...]) -> _Part:
    """The result of calling a name, as far as it matters here."""
    if STORAGE.fullmatch(called.name):
        raise UnsafeTorchFile("it requests memory without content")
    if TENSOR.fullmatch(called.name):
        storage, _, shape, *_ = arguments
        if _product(shape) * storage.item > storage.bytes:
            raise UnsafeTorchFile(f"a tensor {shape} is larger than its storage")
    elif called.name == DICT:
        _plain_keys(pair[0] for items in arguments for pair in items)  # as Python 2 wrote it
    return _Part(called.name)


def _product(sizes: Iterable[Any]) -> int:
    if not all(type(one) is int and one >= 0 for one in sizes):
        raise UnsafeTorchFile("a size is not an integer from 0")
    return math.prod(sizes)


def _plain_keys(keys: Iterable[Any]) -> None:
    for key in keys:
        if not isinstance(key, str | int | float | None):
            raise UnsafeTorchFile("a key is neither text nor number")
