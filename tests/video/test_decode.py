import csv
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from film_fakes import counted, covered, edited, moving, with_matrix, write

from fusionlab.errors import UserError
from fusionlab.video import decode, encode
from fusionlab.video.decode import READERS, Decord, PyAV, read, reader, why_not_decord
from fusionlab.video.film import Film
from fusionlab.video.inspection import inspect
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
    """Bit for bit, but for UCF101's Xvid: a few pixels in a million, by two levels at most (see `video.decode`)."""
    assert CLIPS is not None
    path = Path(CLIPS) / row["file"]
    others, pixels = 0, 0
    for one, other in zip(Decord().frames(path), PyAV().frames(path), strict=True):
        if not np.array_equal(one, other):
            assert row["file"].startswith("v_") and np.abs(one.astype(int) - other).max() <= 2
            others += int((one != other).any(axis=2).sum())
        pixels += one.shape[0] * one.shape[1]
    assert others < 1e-5 * pixels


# codec, suffix, format of pixels, height, width -> why decord does not read it
ENCODED: dict[tuple[str, str, str, int, int], str | None] = {
    ("mpeg4", "avi", "yuv420p", 48, 65): None,
    ("mpeg4", "mp4", "yuv420p", 34, 64): None,
    ("mpeg4", "mkv", "yuv420p", 47, 64): "an odd height",
    ("libx264", "mp4", "yuv420p", 48, 64): None,
    ("libx264", "mov", "yuv422p", 48, 98): None,
    ("libx264", "mkv", "yuv444p", 47, 65): None,
    ("libx264", "mp4", "yuvj420p", 48, 64): None,
    ("libx264", "mp4", "yuv420p10le", 48, 64): "pixels in yuv420p10le",
    ("libx264", "mkv", "yuv422p10le", 50, 98): "pixels in yuv422p10le",
    ("libx264", "mkv", "yuv444p10le", 48, 64): "pixels in yuv444p10le",
    ("mpeg2video", "mpg", "yuv420p", 48, 64): None,
    ("mpeg2video", "avi", "yuv422p", 47, 65): "an odd height",
    ("mjpeg", "avi", "yuvj422p", 48, 65): None,
    ("mjpeg", "mov", "yuvj420p", 49, 64): "an odd height",
    ("ffv1", "mkv", "gray", 47, 65): None,
    ("ffv1", "avi", "yuv420p10le", 48, 64): "pixels in yuv420p10le",
    ("libx264rgb", "mkv", "rgb24", 47, 65): None,
    ("rawvideo", "avi", "nv12", 48, 64): "pixels in nv12",
    ("libvpx-vp9", "webm", "yuv420p", 48, 65): None,
    ("libvpx-vp9", "webm", "yuva420p", 48, 64): None,
    ("libvpx-vp9", "mkv", "yuv420p", 47, 65): "an odd height",
}


@pytest.mark.parametrize("kind", ENCODED, ids=lambda kind: "-".join(map(str, kind)))
def test_no_pixel_depends_on_the_reader(kind: tuple[str, str, str, int, int], tmp_path: Path) -> None:
    codec, suffix, pixels, height, width = kind
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    path = write(tmp_path / f"v.{suffix}", moving(8, height, width), codec, pixels=pixels)
    assert why_not_decord(path) == ENCODED[kind]
    found = {name: read(path, reader(name)) for name in ("auto", *READERS)}
    assert found["auto"].shape == (8, height, width, 3)
    np.testing.assert_array_equal(found["decord"], found["auto"])
    np.testing.assert_array_equal(found["pyav"], found["auto"])


def test_auto_is_pyav() -> None:
    assert reader() == reader("auto") == PyAV()


def remark_of(frames: Any) -> tuple[int, str | None]:
    """How many frames a generator gives, and what it returns."""
    count = 0
    while True:
        try:
            next(frames)
        except StopIteration as end:
            return count, end.value
        count += 1


def test_what_decord_cannot_read_is_read_by_pyav_and_said(tmp_path: Path) -> None:
    sound = write(tmp_path / "v.avi", moving(9), "mpeg4")
    assert remark_of(Decord().frames(sound)) == (9, None)
    uncounted = counted(sound, tmp_path / "0.avi", 0)  # a header without a number: decord refuses it
    assert why_not_decord(uncounted) is None
    count, remark = remark_of(Decord().frames(uncounted))
    assert count == 9 and remark is not None
    assert remark.startswith(f"read by {PyAV().info}; {Decord().info}: ") and "broken metadata" in remark
    np.testing.assert_array_equal(read(uncounted, Decord()), read(sound, PyAV()))
    for frames in (10**9, 2**31, 2**32 - 1):
        many = counted(sound, tmp_path / f"{frames}.avi", frames)
        assert remark_of(Decord().frames(many)) == (
            9, f"read by {PyAV().info}; {Decord().info}: the header declares more frames than bytes"
        )  # fmt: skip


def test_what_decord_leaves_in_the_middle_is_read_on_by_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "v.avi", moving(9), "mpeg4")
    true = read(path, PyAV())

    class Failing:
        count = 0

        def next(self) -> Any:
            self.count += 1
            if self.count > 5:
                raise RuntimeError("it is tired")
            return SimpleNamespace(asnumpy=lambda: true[self.count - 1])

    monkeypatch.setattr(decode, "decord_opened", lambda _: Failing())
    np.testing.assert_array_equal(read(path, Decord()), true)
    assert "it is tired" in str(remark_of(Decord().frames(path))[1])


def test_av1_is_read_by_both(tmp_path: Path) -> None:
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this FFmpeg has no libsvtav1")
    path = write(tmp_path / "v.mkv", moving(6, 64, 64), "libsvtav1")
    np.testing.assert_array_equal(read(path, Decord()), read(path, PyAV()))
    assert len(read(path, Decord())) == 6


MATRICES = [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, -1, 0),
            (0, -1, -1, 0)]  # fmt: skip


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_each_turned_or_mirrored_picture_is_shown_as_its_matrix_says(
    tmp_path: Path, matrix: tuple[int, int, int, int], name: str
) -> None:
    plain = write(tmp_path / "plain.mp4", moving(3, 24, 32), "libx264")
    path = with_matrix(plain, tmp_path / "v.mp4", *matrix)
    frame, shown = read(plain, PyAV())[1], read(path, reader(name))
    a, b, c, d = matrix
    places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(32) for y in range(24)}
    left, top = min(x for x, _ in places.values()), min(y for _, y in places.values())
    for (x, y), (to_x, to_y) in places.items():
        np.testing.assert_array_equal(shown[1, to_y - top, to_x - left], frame[y, x])
    found = inspect(path)
    assert found.whole and (found.height, found.width) == shown.shape[1:3]
    with Film(path, reader(name)) as film:
        np.testing.assert_array_equal(film.frames([2, 0]), shown[[2, 0]])


@pytest.mark.parametrize("name", READERS)
def test_an_odd_angle_is_refused_in_words(tmp_path: Path, name: str) -> None:
    plain = write(tmp_path / "plain.mp4", moving(3), "libx264")
    path = with_matrix(plain, tmp_path / "v.mp4", 0.7071, 0.7071, -0.7071, 0.7071)
    with pytest.raises(UserError, match="turned by an odd angle, 45°"):
        read(path, reader(name))
    found = inspect(path)
    assert not found.whole and found.error == "this video is shown turned by an odd angle, 45°"


@pytest.mark.parametrize("name", READERS)
def test_a_cover_is_no_video(tmp_path: Path, name: str) -> None:
    path = covered(tmp_path / "v.mp4", moving(9))
    assert read(path, reader(name)).shape == (9, 48, 64, 3)
    found = inspect(path)
    assert found.whole and (found.streams, found.decoded, found.height) == (1, 9, 48)
    assert found.notes == () and len(Film(path, reader(name)).times) == 9


@pytest.mark.parametrize("name", READERS)
def test_what_an_edit_list_leaves_out_is_not_missing(tmp_path: Path, name: str) -> None:
    plain = write(tmp_path / "plain.mp4", moving(30), "libx264", bf="0")
    path = edited(plain, tmp_path / "v.mp4", 5)
    np.testing.assert_array_equal(read(path, reader(name)), read(plain, PyAV())[5:])
    found = inspect(path)
    assert found.whole and found.notes == (), found
    film = Film(path, reader(name))
    np.testing.assert_allclose(film.times, np.arange(25) / 25, atol=1e-6)
    np.testing.assert_array_equal(film.frames([20, 3]), read(plain, PyAV())[[25, 8]])


@real
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("file", sorted(BROKEN))
def test_broken_real_clips_are_told(name: str, file: str) -> None:
    assert CLIPS is not None
    with pytest.raises(UserError):
        read(Path(CLIPS) / file, reader(name))
