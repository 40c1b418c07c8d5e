"""A MATLAB file -> plain values: a struct is a dict, a struct array or a cell a list, a text a str, numbers an array.

This is "Level 5" of MathWorks' MAT-File Format, which versions 5 to 7 write. Every element has its type and its length
before its bytes, and a matrix is an element of elements:

    matrix    flags, size, name, then
    numbers     the real part, the imaginary part of complex ones     in the smallest type that holds them
    text        its characters
    cell        a matrix for each place
    struct      the longest name of a field, all names, then for each place a matrix for each field

Read here, and not by scipy.io: with a byte or two changed, one file in a hundred ends the process without a message
(scipy 1.17), and a weight file comes from anywhere. No number in the file is trusted: no byte is read beyond its
element, a compressed variable is at most `DENSEST` times as long as in the file (weights, 1.1; with nine zeros of ten,
7), and no more than `PLACES` structs and cells are made.

Version 7.3 is HDF5 and another format altogether. What a class wrote of itself (a DagNN that was saved as an object,
say) is not in the documented format: it is None here.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError

HEAD = 128  # bytes of text and version; the last two tell the order of bytes
HDF5 = b"\x89HDF\r\n\x1a\n"
TAG = 8  # bytes of type and length
MOST = 1 << 31  # bytes of one variable in these versions
DENSEST, FREE = 16, 16 << 20  # and so many bytes are free: a mean image may be of one colour
PLACES = 1 << 20  # in structs and cells together; a network has hundreds
CHUNK = 1 << 20
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CELL, STRUCT, TEXT = 1, 2, 4
NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
IMAGINARY = 0x0800  # a flag
TEXTS = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}


class _Damaged(Exception):
    pass


def read_mat(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Those of the variables `names` that are in the file, which is read to its end: part of one is none."""
    with path.open("rb") as file:
        head = file.read(512 + len(HDF5))
        if head.startswith((b"MATLAB 7.3", HDF5)) or HDF5 in head:
            raise UserError(
                "this .mat is of version 7.3, which cannot be read",
                got=path,
                hint="in MATLAB: net = load(file); save(file, '-struct', 'net', '-v7')",
            )
        try:
            return _variables(file, head, names)
        except Exception as error:
            reason = str(error)[:200] or type(error).__name__
            raise UserError("this MATLAB file is damaged", got=f"{path}: {reason}", hint="download it again") from error


def as_list(value: Any) -> list[Any]:
    """A struct array or a cell as a list, also where it has one entry or none."""
    if isinstance(value, list):
        return value
    return [] if isinstance(value, np.ndarray) and value.size == 0 else [value]


def _variables(file: BinaryIO, head: bytes, names: Sequence[str]) -> dict[str, Any]:
    order = {b"IM": "<", b"MI": ">"}.get(head[HEAD - 2 : HEAD])
    if order is None:
        raise _Damaged("it has no head of a MATLAB file")
    variables = {}
    at, end = HEAD, file.seek(0, os.SEEK_END)
    while at < end:
        file.seek(at)
        tag = file.read(TAG)
        if len(tag) < TAG:
            raise _Damaged("it is cut off")
        code, length = struct.unpack(f"{order}II", tag)
        at += TAG + length
        if at > end:
            raise _Damaged("it is cut off")
        content: bytes | memoryview
        if code == COMPRESSED:
            code, content = _inflated(file, length, order)
        else:
            content = file.read(length)
        if code == MATRIX:
            name, value = _Elements(content, order).matrix(names)
            if name in names:
                variables[name] = value
    return variables


def _inflated(file: BinaryIO, length: int, order: str) -> tuple[int, memoryview]:
    """One element that was compressed to the next `length` bytes: its type, and as many bytes as it says."""
    stream, element, most = zlib.decompressobj(), bytearray(), TAG
    allowed = min(MOST, max(FREE, DENSEST * length))
    while length and not stream.eof:
        packed = file.read(min(length, CHUNK))
        length -= len(packed)
        while packed and not stream.eof:
            element += stream.decompress(packed, most + 1 - len(element))
            packed = stream.unconsumed_tail
            if most == TAG and len(element) >= TAG:
                most += int(struct.unpack_from(f"{order}I", element, 4)[0])
            if most > allowed:
                raise _Damaged(f"a variable says that it has {most} bytes; {allowed} are allowed")
            if len(element) > most:
                raise _Damaged("a variable is longer than it says")
    if len(element) != most or not stream.eof:
        raise _Damaged("a variable is not as long as it says")
    return int(struct.unpack_from(f"{order}I", element)[0]), memoryview(element)[TAG:]


class _Elements:
    """The elements within one, from first to last."""

    def __init__(self, content: bytes | memoryview, order: str, places: Iterator[int] | None = None) -> None:
        self.content = memoryview(content)
        self.order = order
        self.at = 0
        self.places = iter(range(PLACES)) if places is None else places  # that are left

    def next(self) -> tuple[int, memoryview]:
        """Type and bytes. Up to four bytes lie within the tag; what is longer is filled up to eight."""
        code, length = struct.unpack_from(f"{self.order}II", self.content, self.at)
        start = self.at + TAG
        if code >> 16:
            code, length, start = code & 0xFFFF, code >> 16, self.at + 4
            if length > 4:
                raise _Damaged("a short element that is long")
            self.at += TAG
        else:
            self.at = start + length + (-length % 8)
        if start + length > len(self.content):
            raise _Damaged("an element is longer than what holds it")
        return code, self.content[start : start + length]

    def matrix(self, names: Sequence[str] | None = None) -> tuple[str, Any]:
        """The name and value of the next matrix. If `names` lacks its name, the value is not read."""
        flags = self._whole_numbers()[0]
        if flags & 0xFF > max(NUMBERS):
            return "", None  # a function, or an object that only its class can read
        shape = self._whole_numbers()
        name = bytes(self.next()[1]).decode("latin-1")
        if names is not None and name not in names:
            return name, None
        if len(shape) < 2 or min(shape) < 0:
            raise _Damaged(f"a matrix of size {shape}")
        return name, self._value(flags, shape)

    def _value(self, flags: int, shape: list[int]) -> Any:
        code = flags & 0xFF
        if code in NUMBERS:
            array = self._numbers(NUMBERS[code], shape)
            return array + 1j * self._numbers(NUMBERS[code], shape) if flags & IMAGINARY else array
        if code == CELL:
            return [self._nested() for _ in range(prod(shape))]
        if code == STRUCT:
            return self._structs(prod(shape))
        if code == TEXT:
            return self._text()
        return None

    def _nested(self) -> Any:
        code, content = self.next()
        if code != MATRIX:
            raise _Damaged(f"an element of type {code} in the place of a matrix")
        if next(self.places, None) is None:
            raise _Damaged(f"more than {PLACES} structs and cells")
        return _Elements(content, self.order, self.places).matrix()[1] if len(content) else np.zeros((0, 0))

    def _structs(self, places: int) -> Any:
        longest, joined = self._whole_numbers()[0], bytes(self.next()[1])
        if not joined:
            return {} if places == 1 else []  # and not as many empty ones as the file declares
        if longest < 1:
            raise _Damaged("fields without a name")
        names = [joined[at : at + longest] for at in range(0, len(joined), longest)]
        fields = [name.partition(b"\0")[0].decode("latin-1") for name in names]
        made = [{name: self._nested() for name in fields} for _ in range(places)]
        return made[0] if places == 1 else made

    def _numbers(self, own: str, shape: list[int]) -> NDArray[Any]:
        code, content = self.next()
        if code not in STORED:
            raise _Damaged(f"numbers of type {code}")
        stored = np.frombuffer(content, dtype=f"{self.order}{STORED[code]}")
        return stored.astype(own, copy=False).reshape(shape, order="F")

    def _text(self) -> str:
        code, content = self.next()
        if code not in TEXTS:
            raise _Damaged(f"a text of type {code}")
        coding = TEXTS[code]
        if coding != "utf-8":
            coding += "-le" if self.order == "<" else "-be"
        return str(content, coding, "replace")

    def _whole_numbers(self) -> list[int]:
        code, content = self.next()
        if code not in (5, 6) or not len(content):
            raise _Damaged(f"an element of type {code} in the place of whole numbers")
        return [int(one) for one in np.frombuffer(content, dtype=f"{self.order}{STORED[code]}")]
