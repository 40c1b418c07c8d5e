import cv2
import numpy as np
import pytest

from fusionlab.errors import UserError
from fusionlab.video.codecs import CODECS, JpegFields, JpegFrames, Lz4, fields_codec, frames_codec


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(128, 60, shape).astype(np.float32)
    for axis in (-1, -2) if shape[0] == 2 else (0, 1):
        for _ in range(6):
            noise = (np.roll(noise, 1, axis) + noise + np.roll(noise, -1, axis)) / 3
    return np.clip(noise, 0, 255).astype(np.uint8)


FRAME, FIELD = smooth((41, 30, 3)), smooth((2, 41, 30))


@pytest.mark.parametrize("picture", [FRAME, FIELD, FRAME[::2, ::-1], np.zeros((2, 1, 1), np.uint8)])
def test_lz4_loses_nothing(picture: np.ndarray) -> None:
    blobs = Lz4().encode(picture)
    assert len(blobs) == Lz4().pieces
    np.testing.assert_array_equal(Lz4().decode(blobs, picture.shape), picture)
    np.testing.assert_array_equal(Lz4().decode([memoryview(blobs[0])], picture.shape), picture)


def test_a_jpeg_of_a_frame_is_an_ordinary_jpeg_in_rgb() -> None:
    (blob,) = JpegFrames(95).encode(FRAME)
    found = JpegFrames().decode([blob], FRAME.shape)
    other = cv2.cvtColor(cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(found, other)
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert JpegFrames().decode(JpegFrames().encode(red), red.shape)[8, 8].tolist() == pytest.approx([200, 0, 0], abs=3)


def test_a_jpeg_of_a_field_is_one_of_u_and_one_of_v() -> None:
    blobs = JpegFields(95).encode(FIELD)
    found = JpegFields().decode(blobs, FIELD.shape)
    for plane, blob, before in zip(found, blobs, FIELD, strict=True):
        np.testing.assert_array_equal(plane, cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_GRAYSCALE))
        assert np.abs(plane.astype(int) - before).mean() < 2


def test_a_lower_quality_is_smaller_and_less_exact() -> None:
    low, high = (JpegFrames(q).encode(FRAME)[0] for q in (40, 95))
    assert len(low) < len(high)
    off = [np.abs(JpegFrames().decode([b], FRAME.shape).astype(int) - FRAME).mean() for b in (low, high)]
    assert off[0] > off[1]


@pytest.mark.parametrize("codec", [Lz4(), JpegFrames()])
def test_bytes_that_are_no_picture_are_a_value_error(codec: Lz4 | JpegFrames) -> None:
    for wrong in ([b"no picture at all"], [codec.encode(FRAME)[0][:30]], codec.encode(FRAME[:20])):
        with pytest.raises(ValueError):
            codec.decode(wrong, FRAME.shape)


def test_codecs_by_name() -> None:
    assert [frames_codec(name) for name in CODECS] == [None, Lz4(), JpegFrames()]
    assert [fields_codec(name, 80) for name in CODECS] == [None, Lz4(), JpegFields(80)]
    with pytest.raises(UserError, match="unknown codec") as error:
        frames_codec("jepg")
    assert "data.store.codec.frames=jpeg" in str(error.value)
