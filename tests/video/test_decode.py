import csv
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fusionlab.errors import UserError
from fusionlab.video import encode
from fusionlab.video.decode import READERS, Decord, PyAV, read, reader
from fusionlab.video.resize import fitted, resize

CLIPS = os.environ.get("FUSIONLAB_CLIPS")
real = pytest.mark.skipif(not CLIPS, reason="FUSIONLAB_CLIPS does not name a folder of real clips")
BROKEN = {"corrupted.mp4", "result.webm"}


def rows() -> Iterator[dict[str, str]]:
    if CLIPS:
        with open(Path(CLIPS) / "MANIFEST.csv", newline="") as file:
            yield from csv.DictReader(file)


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 20, 26, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", READERS)
def test_what_is_written_is_what_is_read(name: str, frames: np.ndarray, tmp_path: Path) -> None:
    encode.write(tmp_path / "a folder" / "v.avi", frames)
    np.testing.assert_array_equal(read(tmp_path / "a folder" / "v.avi", reader(name)), frames)
    assert [p.name for p in (tmp_path / "a folder").iterdir()] == ["v.avi"]


def test_the_same_frames_give_the_same_bytes(frames: np.ndarray, tmp_path: Path) -> None:
    for name in "ab":
        encode.write(tmp_path / f"{name}.avi", frames)
    assert (tmp_path / "a.avi").read_bytes() == (tmp_path / "b.avi").read_bytes()


@pytest.mark.parametrize("name", READERS)
def test_a_video_that_ends_still_keeps_its_frames(name: str, frames: np.ndarray, tmp_path: Path) -> None:
    frames[-3:] = frames[-3]
    encode.write(tmp_path / "v.avi", frames)
    np.testing.assert_array_equal(read(tmp_path / "v.avi", reader(name)), frames)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("width", [1, 2, 24, 48, 52, 56, 64, 96, 144])
def test_every_width_is_read_exactly(name: str, width: int, tmp_path: Path) -> None:
    """decord 0.6.0 hands out frames of 4 and more channels for widths that divide its padded rows."""
    frames = np.random.default_rng(width).integers(0, 256, (3, 9, width, 3), dtype=np.uint8)
    encode.write(tmp_path / "v.avi", frames)
    np.testing.assert_array_equal(read(tmp_path / "v.avi", reader(name)), frames)


@pytest.mark.parametrize("name", READERS)
def test_one_frame_is_a_video_too(name: str, frames: np.ndarray, tmp_path: Path) -> None:
    encode.write(tmp_path / "v.avi", frames[:1])
    np.testing.assert_array_equal(read(tmp_path / "v.avi", reader(name)), frames[:1])


@pytest.mark.parametrize("name", READERS)
def test_bad_files_are_told_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.avi").touch()
    (tmp_path / "text.avi").write_text("no video " * 100)
    for file, what in (("absent.avi", "no such"), ("empty.avi", "empty"), ("text.avi", "cannot be decoded")):
        with pytest.raises(UserError, match=what) as error:
            read(tmp_path / file, reader(name))
        assert file in str(error.value)


def test_frames_of_the_wrong_shape_are_not_written(tmp_path: Path) -> None:
    for wrong in (np.zeros((3, 8, 8), np.uint8), np.zeros((3, 8, 8, 3), np.float32)):
        with pytest.raises(UserError, match="uint8 RGB"):
            encode.write(tmp_path / "v.avi", wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_reader_is_named_and_pickles() -> None:
    assert reader("pyav") == PyAV() and isinstance(reader(), Decord | PyAV)
    assert pickle.loads(pickle.dumps(reader())) == reader()
    assert reader("pyav").info.startswith("pyav ")
    with pytest.raises(UserError, match="did you mean reader=decord"):
        reader("decrod")


def test_sizes_keep_the_aspect_and_are_even() -> None:
    assert fitted(240, 320, 256) == (256, 342)
    assert fitted(320, 240, 256) == (342, 256)
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert resize(frame, None) is frame
    assert resize(frame, 60) is frame
    assert resize(frame, 30).shape == (30, 40, 3)


@real
@pytest.mark.parametrize("row", [r for r in rows() if r["file"] not in BROKEN], ids=lambda r: r["file"])
@pytest.mark.parametrize("name", READERS)
def test_real_clips_have_as_many_frames_as_can_be_decoded(name: str, row: dict[str, str]) -> None:
    assert CLIPS is not None
    shapes = [frame.shape for frame in reader(name).frames(Path(CLIPS) / row["file"])]
    assert len(shapes) == int(row["frames_pyav"])
    upright = (int(row["height"]), int(row["width"]), 3)
    turned = (upright[1], upright[0], 3)
    assert set(shapes) == {turned if row["rotation"] in ("90", "-90") else upright}


@real
@pytest.mark.parametrize("row", [r for r in rows() if r["file"] not in BROKEN], ids=lambda r: r["file"])
def test_both_readers_show_the_same_pictures_of_real_clips(row: dict[str, str]) -> None:
    assert CLIPS is not None
    path = Path(CLIPS) / row["file"]
    for one, other in zip(Decord().frames(path), PyAV().frames(path), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 2  # two conversions from YUV; a wrong frame is far off


@real
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("file", sorted(BROKEN))
def test_broken_real_clips_are_told(name: str, file: str) -> None:
    assert CLIPS is not None
    with pytest.raises(UserError):
        read(Path(CLIPS) / file, reader(name))
