import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from fusionlab.errors import UserError
from fusionlab.video.store import INDEX, Store
from fusionlab.video.writing import PartWriter, write_index

MADE = {"decoder": "drawn", "flow": {"method": "drawn", "bound": 8.0}, "size": None}


def pixels(seed: int, frames: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return (
        draw.integers(0, 256, (frames, height, width, 3), dtype=np.uint8),
        draw.integers(0, 256, (frames - 1, 2, height, width), dtype=np.uint8),
    )


CONTENT = {"a/v1.avi": pixels(0, 5, 8, 10), "b/v2.avi": pixels(1, 9, 6, 6), "a/v3.avi": pixels(2, 2, 8, 12)}


def make(folder: Path, parts: list[list[str]]) -> Path:
    videos = {}
    for number, names in enumerate(parts):
        with PartWriter(folder / f"part-{number:05d}", f"part-{number:05d}") as writer:
            for name in names:
                writer.add(name, len(name), *CONTENT[name])
        videos.update(writer.videos)
    write_index(folder, videos, "0123", {"data": "drawn"}, MADE)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(make(tmp_path / "store", [["a/v1.avi", "b/v2.avi"], ["a/v3.avi"]]))


def test_what_went_in_comes_out(store: Store) -> None:
    for name, (frames, flow) in CONTENT.items():
        assert store.video(name).frames == len(frames)
        np.testing.assert_array_equal(store.frames(name, [1, 0, 1]), frames[[1, 0, 1]])
        np.testing.assert_array_equal(store.all_frames(name), frames)
        for start in range(len(flow)):
            for count in range(len(flow) - start + 1):
                np.testing.assert_array_equal(store.flow(name, start, count), flow[start : start + count])
    store.verify()
    assert store.made == MADE and store.recipe == {"data": "drawn"}


def test_a_store_pickles_without_its_maps(store: Store) -> None:
    store.all_frames("a/v1.avi")
    again = pickle.loads(pickle.dumps(store))
    assert not again._files._opened and store._files._opened
    np.testing.assert_array_equal(again.flow("b/v2.avi", 2, 3), store.flow("b/v2.avi", 2, 3))


def test_the_hash_is_that_of_the_content_not_of_the_parts(store: Store, tmp_path: Path) -> None:
    other = Store.open(make(tmp_path / "other", [["a/v3.avi"], ["b/v2.avi"], ["a/v1.avi"]]))
    assert other.hash == store.hash
    assert Store.open(make(tmp_path / "less", [["a/v3.avi"], ["b/v2.avi"]])).hash != store.hash


@pytest.mark.parametrize("file", ["frames.bin", "flow.bin"])
def test_a_cut_or_missing_part_is_refused(store: Store, file: str) -> None:
    path = store.folder / "part-00001" / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="missing or cut"):
        Store.open(store.folder)
    path.unlink()
    with pytest.raises(UserError, match="missing or cut"):
        Store.open(store.folder)


def test_a_changed_index_is_refused(store: Store) -> None:
    index = json.loads((store.folder / INDEX).read_text())
    index["videos"]["a/v1.avi"]["label"] = 99
    (store.folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(UserError, match="hash"):
        Store.open(store.folder)


def test_a_store_of_another_codec_is_refused(store: Store) -> None:
    index = json.loads((store.folder / INDEX).read_text())
    (store.folder / INDEX).write_text(json.dumps({**index, "codec": "jpeg"}))
    with pytest.raises(UserError, match="another version"):
        Store.open(store.folder)


def test_damaged_bytes_are_found(store: Store) -> None:
    path = store.folder / "part-00000" / "flow.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"b/v2\.avi"):
        Store.open(store.folder).verify()


def test_a_video_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(UserError, match="not in the store"):
        store.frames("a/absent.avi", [0])
