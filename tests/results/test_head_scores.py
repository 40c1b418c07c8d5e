"""heads.npz: equal numbers give equal bytes, and a damaged or hostile file is an error in words."""

from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionlab.errors import UserError
from fusionlab.results import head_scores
from fusionlab.results.head_scores import Heads, largest_difference, parse_heads, read_heads, to_bytes, write_heads

VIDEOS, CLASSES = 7, 3


def heads(seed: int = 0) -> dict[str, Heads]:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(3, VIDEOS, CLASSES)).astype(np.float32)
    return {"appearance": Heads(values[0], values[1]), "fused": Heads(values[2], None)}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = write_heads(tmp_path / "heads.npz", heads())
    assert made == head_scores.digest((tmp_path / "heads.npz").read_bytes())
    seen = read_heads(tmp_path / "heads.npz", videos=VIDEOS, classes=CLASSES)
    assert list(seen) == ["appearance", "fused"] and seen["fused"].logits is None
    assert largest_difference(seen, heads()) == 0


def test_numpy_reads_it_without_pickles(tmp_path: Path) -> None:
    write_heads(tmp_path / "heads.npz", heads())
    with np.load(tmp_path / "heads.npz", allow_pickle=False) as seen:
        assert set(seen) == {"appearance.softmax", "appearance.logits", "fused.softmax"}
        assert (seen["appearance.logits"] == heads()["appearance"].logits).all()


def test_equal_numbers_give_equal_bytes_however_they_lie_in_memory() -> None:
    turned = {name: Heads(*(None if x is None else np.asfortranarray(x) for x in one)) for name, one in heads().items()}
    assert to_bytes(turned) == to_bytes(heads()) != to_bytes(heads(1))
    big = {name: Heads(*(None if x is None else x.astype(">f4") for x in one)) for name, one in heads().items()}
    assert to_bytes(big) == to_bytes(heads())


def test_3_783_videos_of_101_classes_take_3_megabytes_a_head() -> None:
    large = np.zeros((3783, 101), np.float32)
    assert 3.05e6 < len(to_bytes({"motion": Heads(large, large)})) < 3.06e6


def npz(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(values: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(values), **how)
    return buffer.getvalue()


GOOD = npy(np.ones((VIDEOS, CLASSES), np.float32))
HUGE = GOOD.replace(b"(7, 3), }      ", b"(7000000, 3), }")
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "no zip": (lambda: b"hello", "not a zip file"),
    "nothing": (lambda: npz({}), "no head"),
    "cut": (lambda: to_bytes(heads())[:-300], "not a zip file"),
    "a bit": (lambda: to_bytes(heads()).replace(heads()["appearance"].softmax[2].tobytes(), b"\1" * 12), "CRC"),
    "compressed": (lambda: npz({"motion.softmax.npy": GOOD}, zipfile.ZIP_DEFLATED), "compressed"),
    "bomb": (lambda: npz({"motion.softmax.npy": b"\0" * (50 << 20)}, zipfile.ZIP_DEFLATED), "compressed"),
    "objects": (lambda: npz({"motion.softmax.npy": npy(np.array([{"a": 1}] * 3))}), "type |O"),
    "pickle": (lambda: npz({"motion.softmax.npy": pickle.dumps([1])}), "no array"),
    "float64": (lambda: npz({"motion.softmax.npy": npy(np.ones((VIDEOS, CLASSES)))}), "type <f8"),
    "big end": (lambda: npz({"motion.softmax.npy": npy(np.ones((VIDEOS, CLASSES), ">f4"))}), "type >f4"),
    "turned": (
        lambda: npz({"motion.softmax.npy": npy(np.asfortranarray(np.ones((VIDEOS, CLASSES), np.float32)))}),
        "columns",
    ),
    "other shape": (lambda: npz({"motion.softmax.npy": npy(np.ones((CLASSES, VIDEOS), np.float32))}), "(3, 7) scores"),
    "flat": (lambda: npz({"motion.softmax.npy": npy(np.ones(21, np.float32))}), "(21,) scores, not (7, 3)"),
    "huge": (lambda: npz({"motion.softmax.npy": HUGE}), "(7000000, 3) scores"),
    "short": (lambda: npz({"motion.softmax.npy": GOOD[:-1]}), "bytes"),
    "code": (lambda: npz({"motion.softmax.npy": GOOD.replace(b"(7, 3)", b"open()")}), "no array"),
    "version": (
        lambda: npz({"motion.softmax.npy": npy(np.ones((VIDEOS, CLASSES), np.float32), version=(2, 0))}),
        "no array",
    ),
    "nan": (lambda: npz({"motion.softmax.npy": npy(np.full((VIDEOS, CLASSES), np.nan, np.float32))}), "finite"),
    "no softmax": (lambda: npz({"motion.logits.npy": GOOD}), "no softmax"),
    "another entry": (lambda: npz({"motion.softmax.npy": GOOD, "x.py": b""}), "an entry 'x.py'"),
    "outside": (lambda: npz({"../motion.softmax.npy": GOOD}), "an entry"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_or_hostile_file_is_refused(name: str) -> None:
    make, why = HOSTILE[name]
    with pytest.raises(UserError, match="damaged scores of heads") as caught:
        parse_heads(make(), "heads.npz", videos=VIDEOS, classes=CLASSES)
    assert why in caught.value.what


def test_entries_that_overlap_are_refused() -> None:
    whole = npz({"a.softmax.npy": GOOD, "b.softmax.npy": GOOD})
    first, second = (whole.rindex(name) for name in (b"a.softmax.npy", b"b.softmax.npy"))
    assert whole[second - 46 : second - 42] == b"PK\1\2" and second - first > 46
    larger = bytearray(whole)
    larger[second - 26 : second - 18] = 2 * (len(whole)).to_bytes(4, "little")  # both sizes
    with pytest.raises(UserError, match="overlap"):
        parse_heads(bytes(larger), "heads.npz", videos=VIDEOS, classes=CLASSES)


@pytest.mark.parametrize("seed", range(3))
def test_changed_bytes_never_raise_anything_else(seed: int) -> None:
    draw, content = np.random.default_rng(seed), to_bytes(heads())
    for _ in range(300):
        changed = bytearray(content)
        for place in draw.integers(len(changed), size=3):
            changed[place] = draw.integers(256)
        with contextlib.suppress(UserError):
            parse_heads(bytes(changed), "heads.npz", videos=VIDEOS, classes=CLASSES)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for _ in range(2):
            archive.writestr("motion.softmax.npy", GOOD)
    with pytest.raises(UserError, match="two entries"):
        parse_heads(buffer.getvalue(), "heads.npz", videos=VIDEOS, classes=CLASSES)


@pytest.mark.parametrize("counts", [(VIDEOS + 1, CLASSES), (VIDEOS, CLASSES - 1)])
def test_other_numbers_of_videos_or_classes_are_refused(tmp_path: Path, counts: tuple[int, int]) -> None:
    write_heads(tmp_path / "heads.npz", heads())
    with pytest.raises(UserError, match=r"\(7, 3\) scores, not"):
        read_heads(tmp_path / "heads.npz", videos=counts[0], classes=counts[1])


def test_differences_of_logits_are_a_share_of_the_largest() -> None:
    one = Heads(np.zeros((1, 2), np.float32), np.array([[-40.0, 8.0]], np.float32))
    other = Heads(one.softmax, np.array([[-40.0, 10.0]], np.float32))
    assert largest_difference({"a": other}, {"a": one}) == 2 / 40
    assert largest_difference({"a": one}, {"b": one}) == np.inf
    assert largest_difference({"a": one}, {"a": Heads(one.softmax, None)}) == np.inf
