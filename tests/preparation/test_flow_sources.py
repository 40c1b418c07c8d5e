"""Files of flow images that cannot be used: each is named with its reason, and all other videos are packed."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from film_fakes import moving
from film_fakes import write as write_film
from flow_images import FRAMES, HEIGHT, NAMES, WIDTH, Two, packed, picture, planes, write, write_videos

from fusionlab.errors import UserError
from fusionlab.preparation.prepare import prepare
from fusionlab.video.decode import PyAV
from fusionlab.video.flow import Farneback
from fusionlab.video.imported import Imported
from fusionlab.video.store import FLOW, Coding, Store
from fusionlab.video.store import FRAMES as FRAMES_FILE

HOP, RUN = NAMES
Plant = Callable[[Path], object]


def encoded(ending: str, image: np.ndarray, *flags: int) -> bytes:
    return cv2.imencode(ending, image, list(flags))[1].tobytes()


GREY = picture(1, HEIGHT, WIDTH)
COLOURS = picture(2, HEIGHT, WIDTH, 3)
CMYK = bytearray(encoded(".jpg", COLOURS))  # a header of four components is enough: it is not decoded further
CMYK[CMYK.index(b"\xff\xc0") + 9] = 4
FADED = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 254)])


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nothing.jpg"))


def content(blob: bytes) -> Plant:
    return lambda path: path.write_bytes(blob)


# what is wrong with an image of flow or of a frame -> (it, a part of the reason)
PLANTS: dict[str, tuple[Plant, str]] = {
    "empty": (content(b""), "neither as a JPEG"),
    "text": (content(b"this is no image\n" * 99), "neither as a JPEG"),
    "cut JPEG": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "damaged"),
    "JPEG without its end": (lambda path: path.write_bytes(path.read_bytes()[:-2]), "damaged"),
    "cut PNG": (content(encoded(".png", COLOURS)[:700]), "damaged"),
    "header alone": (content(encoded(".png", COLOURS)[:30]), "damaged"),
    "16 bits": (content(encoded(".png", GREY.astype(np.uint16) * 257)), "16 bits"),
    "CMYK": (content(bytes(CMYK)), "CMYK"),
    "transparent": (content(encoded(".png", FADED)), "transparent"),
    "another size": (content(encoded(".jpg", GREY[:, 2:])), f"{WIDTH - 2}×{HEIGHT}"),
    "folder": (folder, "a folder"),
    "pipe": (pipe, "a pipe"),
    "dangling link": (dangling, "no such file"),
    "twin": (lambda path: path.with_suffix(".png").write_bytes(encoded(".png", GREY)), "two images have one number"),
    "other digits": (
        lambda path: path.with_name(path.name.replace("0000", "")).write_bytes(path.read_bytes()),
        "two images have one number",
    ),
}  # fmt: skip
ONLY_OF_FLOW: dict[str, tuple[Plant, str]] = {
    "colours": (content(encoded(".jpg", COLOURS)), "has colours"),
    "colours in PNG": (content(encoded(".png", COLOURS)), "has colours"),
    "missing": (lambda path: path.unlink(), "missing in between"),
}


def refused(videos: Two, folder: Path, into: Path, coding: Coding, **assumed: object) -> str:
    """The message about the one video; the other one is then packed without it."""
    with pytest.raises(UserError, match="cannot be used; all others are packed") as error:
        packed(videos, folder, into, coding, **assumed)
    message = str(error.value)
    assert "1 of 2" in message and HOP in message and RUN not in message
    flow = Imported(**assumed)  # type: ignore[arg-type]
    made = prepare(videos, into, flow, recipe={"of": str(assumed)}, coding=coding, images=folder, quarantine={HOP})
    assert set(Store.open(made).videos) == {RUN}
    return message


@pytest.mark.parametrize("name", [*PLANTS, *ONLY_OF_FLOW])
@pytest.mark.parametrize("codec", ["jpeg", "lz4"])
def test_an_unusable_image_of_flow_is_named(tmp_path: Path, name: str, codec: str) -> None:
    write(tmp_path / "flow", "tsn")
    plant, reason = {**PLANTS, **ONLY_OF_FLOW}[name]
    plant(tmp_path / "flow" / Path(HOP).stem / "flow_y_00003.jpg")
    message = refused(write_videos(tmp_path / "videos"), tmp_path / "flow", tmp_path / "s", Coding("raw", codec))
    assert reason in message and "flow_y_" in message and "3" in message, message


@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.parametrize("codec", ["jpeg", "raw"])
def test_an_unusable_image_of_a_frame_is_named(tmp_path: Path, name: str, codec: str) -> None:
    write(tmp_path / "flow", "xy")
    plant, reason = PLANTS[name]
    plant(tmp_path / "flow" / Path(HOP).stem / "img_00003.jpg")
    where = Two(tmp_path / "nowhere")
    message = refused(where, tmp_path / "flow", tmp_path / "s", Coding(codec, "jpeg"), frames="images")
    assert reason in message and "img_0" in message and "3" in message, message


def test_a_folder_that_cannot_be_read_and_an_offset_behind_the_last_image_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "flow", "tsn")
    videos = write_videos(tmp_path / "videos")
    with pytest.raises(UserError, match=r"no image is left behind the offset: 6, offset=6|: 6, offset=6"):
        packed(videos, tmp_path / "flow", tmp_path / "s", Coding(), offset=6)
    listed = Path.iterdir

    def forbidden(path: Path) -> object:
        if path.name == Path(HOP).stem:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", forbidden)
    message = refused(videos, tmp_path / "flow", tmp_path / "t", Coding())
    assert "Permission denied" in message and str(tmp_path / "flow" / Path(HOP).stem) in message


def test_images_that_are_no_grey_jpeg_are_packed_where_they_are_exact(tmp_path: Path) -> None:
    """A grey PNG, an opaque one with alpha, grey levels as colours, a progressive JPEG."""
    write(tmp_path / "flow", "xy")
    first = tmp_path / "flow" / Path(HOP).stem
    u, v = planes(HOP, 0), planes(HOP, 1)
    opaque = np.dstack([u[1], u[1], u[1], np.full_like(u[1], 255)])
    for number, image in ((1, u[0]), (2, opaque)):
        (first / f"x_{number:05d}.jpg").unlink()
        cv2.imwrite(str(first / f"x_{number:05d}.png"), image)
    (first / "x_00003.jpg").write_bytes(encoded(".jpg", np.dstack([u[2]] * 3)))
    progressive = encoded(".jpg", u[3], cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    (first / "x_00004.jpg").write_bytes(progressive)
    videos = write_videos(tmp_path / "videos")
    exact = packed(videos, tmp_path / "flow", tmp_path / "lz4", Coding("raw", "lz4"))
    fields = list(exact.flow(HOP, 0, FRAMES - 1))
    np.testing.assert_array_equal([fields[0][0], fields[1][0]], u[:2])
    assert np.abs(fields[2][0].astype(int) - u[2]).max() < 12 and HOP not in exact.notes
    np.testing.assert_array_equal(fields[3][0], cv2.imdecode(np.frombuffer(progressive, np.uint8), 0))
    np.testing.assert_array_equal(fields[0][1], cv2.imdecode(np.frombuffer(encoded(".jpg", v[0]), np.uint8), 0))

    lossy = packed(videos, tmp_path / "flow", tmp_path / "jpeg", Coding("raw", "jpeg"))
    blobs = [bytes(blob) for pair in lossy.coded(HOP, FLOW, 0, FRAMES - 1) for blob in pair]
    assert all(blob.startswith(b"\xff\xd8") for blob in blobs), "a PNG in a file of JPEGs"
    assert blobs[6] == progressive
    assert any("2 fields of PNG images" in note for note in lossy.notes[HOP]) and RUN not in lossy.notes
    for field, same in zip(lossy.flow(HOP, 0, FRAMES - 1), fields, strict=True):
        assert np.abs(field.astype(int) - same).max() < 12


def test_a_png_of_a_frame_is_encoded_where_frames_are_jpeg(tmp_path: Path) -> None:
    write(tmp_path / "flow", "xy")
    first = tmp_path / "flow" / Path(HOP).stem
    (first / "img_00002.jpg").unlink()
    cv2.imwrite(str(first / "img_00002.png"), COLOURS)
    store = packed(Two(tmp_path / "nowhere"), tmp_path / "flow", tmp_path / "s", Coding("jpeg", "lz4"), frames="images")
    blobs = [bytes(blob) for (blob,) in store.coded(HOP, FRAMES_FILE, 0, FRAMES)]
    assert all(blob.startswith(b"\xff\xd8") for blob in blobs)
    assert blobs[2] == (first / "img_00003.jpg").read_bytes()
    assert np.abs(store.frames(HOP, [1])[0].astype(int) - COLOURS[..., ::-1]).mean() < 5


@pytest.mark.parametrize("size", [(12, 16), (16, 12), (24, 36)], ids=["transposed", "of a portrait", "too high"])
def test_images_of_another_aspect_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    """The images are 24×32 (height, width), or their transpose."""
    height, width = size
    videos = write_videos(tmp_path / "videos", height, width)
    write(tmp_path / "flow", "tsn", transposed=size == (12, 16))
    with pytest.raises(UserError, match="another aspect") as error:
        packed(videos, tmp_path / "flow", tmp_path / "s", Coding("raw", "jpeg"))
    message = str(error.value)
    assert "2 of 2" in message and f"frames {width}×{height}" in message and "data.store.flow.aspect=any" in message
    assert ("(transposed?)" in message) == (size != (24, 36))
    store = packed(videos, tmp_path / "flow", tmp_path / "s", Coding("raw", "jpeg"), aspect="any")
    assert all("the aspect of the frames is lost" in store.notes[name][0] for name in NAMES)
    assert store.made["flow"]["aspect"] == "any"


def test_all_videos_quarantined_is_told(tmp_path: Path) -> None:
    write(tmp_path / "flow", "tsn")
    with pytest.raises(UserError, match="all videos of this data set are quarantined"):
        prepare(
            write_videos(tmp_path / "videos"), tmp_path / "s", Imported(), recipe={}, images=tmp_path / "flow",
            quarantine=frozenset(NAMES),
        )  # fmt: skip


def test_a_video_whose_frames_change_their_size_is_named(tmp_path: Path) -> None:
    videos = write_videos(tmp_path / "videos")
    films = [tmp_path / name for name in ("a.mpg", "b.mpg")]
    for film, frames in zip(films, (moving(5), moving(5, 32, 96)), strict=True):
        write_film(film, frames, "mpeg2video")
    videos.path(HOP).write_bytes(b"".join(film.read_bytes() for film in films))
    with pytest.raises(UserError, match="cannot be used; all others are packed") as error:
        prepare(videos, tmp_path / "s", Farneback(), recipe={}, with_reader=PyAV())
    assert f"{HOP}: the size of its frames changes" in str(error.value) and "1 of 2" in str(error.value)
