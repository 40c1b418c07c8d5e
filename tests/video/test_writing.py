"""Parts that are written, cut, and gone on with; each video is in a part whole or not at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fusionlab.errors import UserError
from fusionlab.video.store import BACKWARD, FLOW, FRAMES, Coding, Store
from fusionlab.video.writing import JOURNAL, PartWriter, write_index

MADE = {"decoder": "drawn", "flow": {"method": "drawn", "bound": 8.0}, "size": None}
CODINGS = [
    Coding(),
    Coding("jpeg", "lz4"),
    Coding("lz4", "jpeg"),
    Coding("raw", "raw", rule="field"),
    Coding("lz4", "lz4", rule="field"),
]


def drawn(seed: int, frames: int = 5, height: int = 8, width: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    shape = (frames - 1, 2, height, width)
    return (
        draw.integers(0, 256, (frames, height, width, 3), dtype=np.uint8),
        draw.integers(0, 256, shape, dtype=np.uint8),
        draw.integers(0, 256, shape, dtype=np.uint8),
    )


RANGES = np.array([[-3.0, 5.0], [-1.0, 1.0]], dtype=np.float32)


def ranges_of(seed: int, fields: int = 4) -> list[np.ndarray]:
    """Those of each field of a video."""
    return [RANGES * np.float32(1 + seed + number / 4) for number in range(fields)]


def put(writer: PartWriter, name: str, seed: int, back: bool = True) -> None:
    frames, flow, backward = drawn(seed)
    ranges = ranges_of(seed) if writer.coding.by_field else [None] * len(flow)
    with writer.video(name, seed) as packing:
        for frame in frames:
            packing.frame(frame)
        for field, own in zip(flow, ranges, strict=True):
            packing.field(field, own)
        for field, own in zip(backward, ranges, strict=True) if back else ():
            packing.field(field, own, backward=True)


def finished(folder: Path, writer: PartWriter) -> Store:
    write_index(folder, writer.videos, "0", {}, MADE, writer.coding, writer.notes)
    return Store.open(folder)


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_what_goes_in_comes_out_by_any_codec(tmp_path: Path, coding: Coding) -> None:
    with PartWriter(tmp_path / "p", "p", coding, MADE) as writer:
        for number in range(3):
            put(writer, f"v{number}", number)
    store = finished(tmp_path, writer)
    store.verify()
    assert store.has_backward
    for number in range(3):
        name, (frames, flow, backward) = f"v{number}", drawn(number)
        if coding.frames == "jpeg":
            codec = coding.codec(FRAMES)
            assert codec is not None
            frames = np.stack([codec.decode(codec.encode(f), f.shape) for f in frames])
        np.testing.assert_array_equal(store.frames(name, [3, 0, 3]), frames[[3, 0, 3]])
        np.testing.assert_array_equal(store.all_frames(name), frames)
        for back, whole in ((False, flow), (True, backward)):
            if coding.flow == "jpeg":
                codec = coding.codec(FLOW)
                assert codec is not None
                whole = np.stack([codec.decode(codec.encode(f), f.shape) for f in whole])
            if coding.by_field:
                whole = levelled(whole, ranges_of(number))
            for start in range(4):
                for count in range(1, 5 - start):
                    found = np.stack(list(store.flow(name, start, count, backward=back)))
                    np.testing.assert_array_equal(found, whole[start : start + count])


def levelled(levels: np.ndarray, ranges: list[np.ndarray], bound: float = 8.0) -> np.ndarray:
    """By the two rules one after the other, a value at a time."""
    out = np.empty_like(levels)
    for (t, c, y, x), level in np.ndenumerate(levels):
        low, high = ranges[t][c]
        pixels = low + (high - low) * level / 255
        out[t, c, y, x] = np.rint((np.clip(pixels, -bound, bound) + bound) * 255 / (2 * bound))
    return out


def test_without_backward_flow_there_is_none(tmp_path: Path) -> None:
    with PartWriter(tmp_path / "p", "p", Coding("lz4", "lz4"), MADE) as writer:
        put(writer, "a", 0, back=False)
    store = finished(tmp_path, writer)
    assert not store.has_backward and not (tmp_path / "p" / BACKWARD).exists()
    with pytest.raises(UserError, match="no backward flow"):
        store.flow("a", 0, 1, backward=True)


@pytest.mark.parametrize("coding", [Coding(), Coding("jpeg", "lz4")], ids=str)
@pytest.mark.parametrize("stage", ["frames", "flow", "table"])
def test_an_error_within_a_video_leaves_nothing_of_it(
    tmp_path: Path, coding: Coding, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, flow, _ = drawn(1)
    with PartWriter(tmp_path / "p", "p", coding, MADE) as writer:
        put(writer, "a", 0)
        sizes = {file.name: file.stat().st_size for file in (tmp_path / "p").glob("*.bin")}

        def stopped_at_a_stage() -> None:
            with writer.video("b", 1) as packing:
                for frame in frames:
                    packing.frame(frame)
                if stage == "frames":
                    stopped()
                for field in flow:
                    packing.field(field)
                if stage == "flow":
                    stopped()
                monkeypatch.setattr(writer, "_line", stopped)

        with pytest.raises(RuntimeError, match="stop"):
            stopped_at_a_stage()
        monkeypatch.undo()
        assert {file.name: file.stat().st_size for file in (tmp_path / "p").glob("*.bin")} == sizes
        assert list(writer.videos) == ["a"]
        put(writer, "c", 2)
    finished(tmp_path, writer).verify()


def stopped(*_: object) -> None:
    raise RuntimeError("stop")


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_writing as t
from fusionlab.video.store import Coding
from fusionlab.video.writing import PartWriter

with PartWriter(Path({folder!r}), "p", Coding("jpeg", "lz4"), t.MADE) as writer:
    t.put(writer, "a", 0)
    t.put(writer, "b", 1)
    with writer.video("c", 2) as packing:
        for frame in t.drawn(2)[0]:
            packing.frame(frame)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_within_a_video_the_part_goes_on_behind_the_last_whole_one(tmp_path: Path) -> None:
    code = KILLED.format(tests=str(Path(__file__).parents[1] / "fakes"), folder=str(tmp_path / "p"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60).returncode == -9
    with PartWriter(tmp_path / "p", "p", Coding("jpeg", "lz4"), MADE) as writer:
        assert list(writer.videos) == ["a", "b"]
        put(writer, "c", 2)
    with PartWriter(tmp_path / "q", "q", Coding("jpeg", "lz4"), MADE) as other:
        for number, name in enumerate("abc"):
            put(other, name, number)
    for file in (FRAMES, FLOW, BACKWARD):
        assert (tmp_path / "p" / file).read_bytes() == (tmp_path / "q" / file).read_bytes()
    finished(tmp_path, writer).verify()


@pytest.mark.parametrize("cut", range(1, 200, 23))
def test_a_journal_that_is_cut_anywhere_is_gone_on_with(tmp_path: Path, cut: int) -> None:
    with PartWriter(tmp_path / "p", "p", Coding(), MADE) as writer:
        put(writer, "a", 0)
        put(writer, "b", 1)
    journal = tmp_path / "p" / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-cut])
    with PartWriter(tmp_path / "p", "p", Coding(), MADE) as again:
        for number, name in enumerate("ab"):
            if name not in again.videos:
                put(again, name, number)
    assert again.videos == writer.videos
    finished(tmp_path, again).verify()


def test_what_was_not_synced_is_compared_with_its_digest(tmp_path: Path) -> None:
    """As after a power cut: the journal is there, the bytes are not."""
    with PartWriter(tmp_path / "p", "p", Coding(), MADE) as writer:
        put(writer, "a", 0)
        put(writer, "b", 1)
    journal, flow = tmp_path / "p" / JOURNAL, tmp_path / "p" / FLOW
    lines = journal.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[-1]) == {"synced": 2}
    content = bytearray(flow.read_bytes())
    content[-3:] = b"\0\0\0"
    flow.write_bytes(content)
    journal.write_bytes(b"".join(lines[:-1]))
    with PartWriter(tmp_path / "p", "p", Coding(), MADE) as again:
        assert list(again.videos) == ["a"]


@pytest.mark.parametrize("changed", [Coding("lz4"), Coding(rule="field")], ids=str)
def test_a_part_that_was_made_otherwise_is_begun_anew(tmp_path: Path, changed: Coding) -> None:
    with PartWriter(tmp_path / "p", "p", Coding(), MADE) as writer:
        put(writer, "a", 0)
    with PartWriter(tmp_path / "p", "p", changed, MADE) as other:
        assert not other.videos
        put(other, "a", 0)
    finished(tmp_path, other).verify()
    with PartWriter(tmp_path / "p", "p", changed, {**MADE, "size": 3}) as third:
        assert not third.videos


def test_a_size_that_changes_within_a_video_is_told(tmp_path: Path) -> None:
    with PartWriter(tmp_path / "p", "p") as writer, writer.video("a", 0) as packing:
        packing.frame(np.zeros((4, 6, 3), np.uint8))
        with pytest.raises(UserError, match="size of the frames changes"):
            packing.frame(np.zeros((6, 4, 3), np.uint8))
        packing.frame(np.zeros((4, 6, 3), np.uint8))
        packing.field(np.zeros((2, 4, 6), np.uint8))
    assert writer.videos["a"].frames == 2


def test_notes_are_kept_over_a_continuation(tmp_path: Path) -> None:
    with PartWriter(tmp_path / "p", "p", Coding(), MADE) as writer, writer.video("a", 0) as packing:
        for frame in drawn(0)[0]:
            packing.frame(frame)
        for field in drawn(0)[1]:
            packing.field(field)
        packing.notes.append("odd")
    with PartWriter(tmp_path / "p", "p", Coding(), MADE) as again:
        assert again.notes == {"a": ["odd"]}
    assert finished(tmp_path, again).notes == {"a": ["odd"]}


def test_a_store_of_more_parts_than_files_may_be_open(tmp_path: Path) -> None:
    videos = {}
    for number in range(140):
        with PartWriter(tmp_path / f"p{number}", f"p{number}", Coding("raw", "lz4"), MADE) as writer:
            writer.add(f"v{number}", 0, *drawn(number, frames=2, height=2, width=2)[:2])
        videos.update(writer.videos)
    write_index(tmp_path, videos, "0", {}, MADE, Coding("raw", "lz4"))
    store = Store.open(tmp_path)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    for _ in range(2):
        store.verify()
    if before:
        assert len(os.listdir("/proc/self/fd")) - before <= 2 * 128
    np.testing.assert_array_equal(store.all_frames("v0"), drawn(0, frames=2, height=2, width=2)[0])
