"""MATLAB's files are read as scipy reads them, whatever lies in them, and nothing else is."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretrained_fakes import cell, structs
from scipy.io import loadmat, savemat

from fusionlab.backbones.pretrained.mat import as_list, read_mat
from fusionlab.errors import UserError

TYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "c16"]


def anything(draws: np.random.Generator, depth: int = 3) -> Any:
    """A value as MATLAB could hold it."""
    kind = draws.integers(4 if depth else 2)
    if kind == 0:
        shape = tuple(draws.integers(0, 4, draws.integers(2, 5)))
        return (100 * draws.normal(size=shape)).astype(TYPES[draws.integers(len(TYPES))])
    if kind == 1:
        return ["", "a", "name", "größer als eins", "N κ α β"][draws.integers(5)]
    if kind == 2:
        return cell([anything(draws, depth - 1) for _ in range(draws.integers(1, 4))])
    fields = ["a", "weights", "a_long_name_of_a_field"][: draws.integers(1, 4)]
    return structs([{name: anything(draws, depth - 1) for name in fields} for _ in range(draws.integers(1, 4))])


def plain(value: Any) -> Any:
    """What scipy gives, as `read_mat` has it."""
    if value.dtype.names is not None:
        rows = [{name: plain(one[name]) for name in value.dtype.names} for one in value.ravel(order="F")]
        return rows[0] if len(rows) == 1 else rows
    if value.dtype.kind == "O":
        return [plain(one) for one in value.ravel(order="F")]
    return "".join(value.ravel()) if value.dtype.kind == "U" else value


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, str):
        return bool(one == other)
    return one.shape == other.shape and one.dtype == other.dtype and bool(np.array_equal(one, other))


@pytest.mark.parametrize("compressed", [False, True])
def test_as_scipy_reads_it(compressed: bool, tmp_path: Path) -> None:
    path, draws = tmp_path / "x.mat", np.random.default_rng(int(compressed))
    for _ in range(60):
        savemat(path, {name: anything(draws) for name in ("net", "other", "meta")}, do_compression=compressed)
        expected = loadmat(path, struct_as_record=True)
        found = read_mat(path, ["net", "meta", "layers"])
        assert list(found) == ["net", "meta"]
        for name, value in found.items():
            assert same(value, plain(expected[name])), expected[name]


def element(order: str, kind: int, content: bytes) -> bytes:
    return struct.pack(f"{order}II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(order: str, kind: int, shape: tuple[int, ...], *parts: bytes, name: bytes = b"") -> bytes:
    head = element(order, 6, struct.pack(f"{order}II", kind, 0))
    head += element(order, 5, struct.pack(f"{order}{len(shape)}i", *shape)) + element(order, 1, name)
    return element(order, 14, head + b"".join(parts))


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_orders_and_what_matlab_writes_small(order: str, tmp_path: Path) -> None:
    """By hand, from the format's description: doubles stored as bytes, short elements, UTF-16."""
    doubles = matrix(order, 6, (2, 3), element(order, 2, bytes([1, 2, 3, 4, 5, 250])))
    short = matrix(order, 7, (1, 1), struct.pack(f"{order}If", (4 << 16) | 7, 1.5))
    text = matrix(order, 4, (1, 3), element(order, 4, "α+β".encode("utf-16-le" if order == "<" else "utf-16-be")))
    opaque = element(order, 14, element(order, 6, struct.pack(f"{order}II", 17, 0)) + element(order, 1, b"MCOS"))
    nothing = element(order, 14, b"")
    fields = [
        struct.pack(f"{order}II", (4 << 16) | 5, 8),
        element(order, 1, b"".join(name.ljust(8, b"\0") for name in (b"d", b"s", b"t", b"o", b"n"))),
    ]
    net = matrix(order, 2, (1, 1), *fields, doubles, short, text, opaque, nothing, name=b"net")
    path = tmp_path / "x.mat"
    path.write_bytes(b"by hand".ljust(124) + struct.pack(f"{order}HH", 0x0100, 0x4D49) + net)
    found = read_mat(path, ["net"])["net"]
    assert found["d"].dtype == np.float64 and found["d"].tolist() == [[1, 3, 5], [2, 4, 250]], "columns first"
    assert found["s"].tolist() == [[1.5]] and found["s"].dtype == np.float32
    assert (found["t"], found["o"], found["n"].shape) == ("α+β", None, (0, 0))


def test_one_of_several_or_none() -> None:
    assert as_list([1, 2]) == [1, 2] and as_list({"a": 1}) == [{"a": 1}] and as_list(np.zeros((0, 0))) == []


def head() -> bytes:
    return b"x".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49)


def squeezed(content: bytes) -> bytes:
    packed = zlib.compress(content)
    return struct.pack("<II", 15, len(packed)) + packed


NET = matrix("<", 6, (1, 2), element("<", 9, struct.pack("<2d", 1, 2)), name=b"net")
LIES = {
    "cut in a tag": NET + b"\0" * 5,
    "cut in a variable": NET[:-9],
    "a variable that is longer than the file": struct.pack("<II", 14, 1 << 30) + NET[8:],
    "fewer numbers than the size says": matrix("<", 6, (9, 9), element("<", 9, bytes(16)), name=b"net"),
    "a size below zero": matrix("<", 6, (-1, -2), element("<", 9, bytes(16)), name=b"net"),
    "a size of one axis": matrix("<", 6, (2,), element("<", 9, bytes(16)), name=b"net"),
    "an enormous cell": matrix("<", 1, (2**31 - 1, 2**31 - 1), name=b"net"),
    "fields without a name": matrix("<", 2, (1, 1), element("<", 5, bytes(4)), element("<", 1, b"ab"), name=b"net"),
    "no numbers": matrix("<", 6, (1, 2), element("<", 14, bytes(16)), name=b"net"),
    "a text of numbers": matrix("<", 4, (1, 2), element("<", 9, bytes(16)), name=b"net"),
    "numbers within a cell": matrix("<", 1, (1, 1), element("<", 9, bytes(8)), name=b"net"),
    "not what zlib writes": struct.pack("<II", 15, 40) + bytes(range(40)),
    "compressed, and cut": struct.pack("<II", 15, len(zlib.compress(NET)) - 5) + zlib.compress(NET)[:-5],
    "compressed, longer than it says": squeezed(NET + b"more than that"),
    "compressed, and other bits": squeezed(NET)[:-1] + b"?",
    "compressed, and gigantic": squeezed(struct.pack("<II", 14, 0xFFFFFFF8) + bytes(1000)),
}


@pytest.mark.parametrize("lie", list(LIES))
def test_nothing_that_a_file_says_is_believed(lie: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(head() + LIES[lie])
    with pytest.raises(UserError, match="this MATLAB file is damaged"):
        read_mat(path, ["net"])


@pytest.mark.parametrize("places, value", [(1, {}), (2**30, [])])
def test_a_struct_without_fields_is_nothing(places: int, value: Any, tmp_path: Path) -> None:
    empty = matrix("<", 2, (1, places), element("<", 5, bytes([32, 0, 0, 0])), element("<", 1, b""), name=b"net")
    (tmp_path / "x.mat").write_bytes(head() + empty)
    assert read_mat(tmp_path / "x.mat", ["net"]) == {"net": value}


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    inner = matrix("<", 6, (1, 1), element("<", 9, bytes(8)))
    for _ in range(3000):
        inner = matrix("<", 1, (1, 1), inner)
    (tmp_path / "x.mat").write_bytes(head() + matrix("<", 1, (1, 1), inner, name=b"net"))
    with pytest.raises(UserError, match="this MATLAB file is damaged"):
        read_mat(tmp_path / "x.mat", ["net"])


def test_any_changed_byte_is_read_or_refused(tmp_path: Path) -> None:
    path, draws = tmp_path / "x.mat", np.random.default_rng(0)
    savemat(path, {"net": {"layers": cell([anything(draws) for _ in range(4)]), "meta": anything(draws)}})
    whole = path.read_bytes()
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        content[draws.integers(len(content))] = draws.integers(256)
        path.write_bytes(content)
        try:
            read_mat(path, ["net"])
        except UserError:
            refused += 1
    assert refused > 100
