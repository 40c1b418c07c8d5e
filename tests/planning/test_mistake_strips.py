"""Strips show the store's own bytes; what cannot be shown has its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_fakes import noise, places

from fusionlab.config.compose import tree
from fusionlab.data.views import Sampling
from fusionlab.errors import UserError
from fusionlab.planning.mistake_strips import GAP, LARGEST, SIDE, Strips, encode, folders, scaled, strip
from fusionlab.preparation.prepare import place
from fusionlab.results.load import Entry
from fusionlab.results.mistakes import Mistake
from fusionlab.study.recipes import data_recipe
from fusionlab.video.flow_colours import colours
from fusionlab.video.opencv import cv2
from fusionlab.video.store import FLOW, Store
from fusionlab.video.writing import PartWriter, write_index

HOW = Sampling(snippets=3, fields=6, crop=48)
CENTRES = (3, 10, 17)  # of 21 frames, whose first and last valid ones are 3 and 17
VIDEO = 'b/<i>"v1&.avi'


def test_a_strip_is_the_store_pixel_by_pixel() -> None:
    store = noise(21, 48, 48)
    picture = strip(store.store, "v", HOW)
    assert picture.shape == (2 * SIDE + GAP, 3 * SIDE + 2 * GAP, 3)
    for number, time in enumerate(CENTRES):
        left = number * (SIDE + GAP)
        np.testing.assert_array_equal(picture[0:SIDE:2, left : left + SIDE : 2], store.pixels[time])
        np.testing.assert_array_equal(picture[1:SIDE:2, left + 1 : left + SIDE : 2], store.pixels[time])
        speeds = np.hypot(*(store.fields[False][list(CENTRES)].astype(np.float32).swapaxes(0, 1) * 8 / 255 - 4))
        expected = colours(store.fields[False][time], 4.0, float(speeds.max()))
        np.testing.assert_allclose(picture[SIDE + GAP :: 2, left : left + SIDE : 2].astype(int), expected, atol=1)


def test_a_strip_is_misaligned_as_the_test_was_and_shows_few_frames() -> None:
    store = noise(31, 48, 48)
    later = strip(store.store, "v", replace(HOW, delay=4))
    np.testing.assert_array_equal(later[0:SIDE:2, 0:SIDE:2], store.pixels[7])
    assert strip(store.store, "v", replace(HOW, snippets=9)).shape[1] == 5 * SIDE + 4 * GAP
    assert strip(store.store, "v", replace(HOW, snippets=1)).shape[1] == SIDE


def test_rest_is_white_and_noise_stays_pale() -> None:
    store = noise(21, 48, 48, bound=20.0)
    store.fields[False][:] = 128
    picture = strip(store.store, "v", HOW)
    assert picture[SIDE + GAP :].min() >= 200


def test_large_frames_are_reduced_and_written_small() -> None:
    large = noise(12, 256, 340)
    picture = strip(large.store, "v", Sampling(snippets=5, fields=6, crop=224))
    assert picture.shape == (2 * SIDE + GAP, 5 * SIDE + 4 * GAP, 3)
    assert len(encode(picture)) <= LARGEST
    assert scaled(np.zeros((120, 240, 3), np.uint8)).shape == (96, 192, 3)
    small = np.zeros((40, 30, 3), np.uint8)
    written = cv2.imdecode(np.frombuffer(encode(small), np.uint8), cv2.IMREAD_COLOR)
    assert encode(small).startswith(b"\x89PNG")
    np.testing.assert_array_equal(written, small)


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """An arm of a study whose store lies in the folder of the data."""
    monkeypatch.setenv("FUSIONLAB_DATA", str(tmp_path / "data"))
    config: dict[str, Any] = tree({"data.sampling.snippets": "2"}).with_leaves({})
    folder = place(tmp_path / "data" / "stores", data_recipe(config))
    drawn = places(21, 48, 48)
    with PartWriter(folder / "part-00000", "part-00000") as writer:
        writer.add(VIDEO, 0, drawn.pixels, np.array(drawn.fields[False]))
    write_index(folder, dict(writer.videos), folder.name, {}, {"decoder": "drawn", "flow": {"bound": 4.0}})
    record = {"config": config, "result": {"data": Store.open(folder).hash}, "circumstances": {}}
    return Entry("x", "fused", "done", None, None, {}, record, tmp_path)


def mistake(entry: Entry, video: str = VIDEO) -> Mistake:
    return Mistake(video, "b", "a", "", entry=entry)


def store_of(tmp_path: Path) -> Path:
    return next((tmp_path / "data" / "stores").iterdir())


def test_the_store_of_the_record_is_read(entry: Entry) -> None:
    content = Strips().draw(mistake(entry))
    assert content.startswith(b"\x89PNG") and content == Strips().draw(mistake(entry))


def test_no_data_other_data_and_a_video_that_is_not_there_are_reasons(entry: Entry, tmp_path: Path) -> None:
    strips = Strips()
    with pytest.raises(UserError, match="a video is not in the store"):
        strips.draw(mistake(entry, "b/other.avi"))
    other = replace(entry, record={**entry.record, "result": {"data": "0" * 64}})
    for _ in range(2):  # the second time from memory
        with pytest.raises(UserError, match="not those of the record"):
            strips.draw(mistake(other))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="not on this machine"):
        Strips().draw(mistake(entry))
    around = {"run": {"data": str(tmp_path / "elsewhere")}}
    moved = replace(entry, record={**entry.record, "circumstances": around})
    assert Strips().draw(mistake(moved)).startswith(b"\x89PNG")


def test_a_damaged_store_is_a_reason(entry: Entry, tmp_path: Path) -> None:
    file = store_of(tmp_path) / "part-00000" / FLOW
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="the content of this store is damaged"):
        Strips().draw(mistake(entry))
    file.write_bytes(content[:50])
    with pytest.raises(UserError, match="missing or cut"):
        Strips().draw(mistake(entry))


def test_the_own_folder_is_searched_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONLAB_DATA", "mine")
    assert folders({"run": {"data": "/theirs"}}) == [Path("mine"), Path("/theirs")]
    monkeypatch.delenv("FUSIONLAB_DATA")
    assert folders({"run": {"data": 3}}) == [Path("data")] == folders({})
