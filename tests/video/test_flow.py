import pickle

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.video.flow import Dis, Estimator, Farneback, fields, gray
from fusionlab.video.quantise import mirror, quantise

ESTIMATORS = [Dis(), Farneback()]


def texture(side: int, seed: int = 0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).standard_normal((side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return smooth / smooth.std() * 30 + 128


def shifted(picture: NDArray[np.float32], dx: float, dy: float, side: int) -> NDArray[np.uint8]:
    """The middle of the picture after its content has moved by (dx, dy): right and down."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) + (picture.shape[0] - side) / 2
    moved = cv2.remap(picture, x - np.float32(dx), y - np.float32(dy), cv2.INTER_CUBIC)
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["dis", "farneback"])
@pytest.mark.parametrize("vector", [(1.0, 0.0), (0.0, 1.0), (-2.0, 1.0), (1.5, -2.5), (0.5, 0.25)])
def test_a_translated_texture_gives_that_flow(estimator: Estimator, vector: tuple[float, float]) -> None:
    picture = texture(96)
    flow = estimator(shifted(picture, 0, 0, 56), shifted(picture, *vector, 56))
    assert flow.shape == (2, 56, 56) and flow.dtype == np.float32
    inside = flow[:, 8:-8, 8:-8]
    assert np.abs(inside[0].mean() - vector[0]) < 0.1  # u is to the right
    assert np.abs(inside[1].mean() - vector[1]) < 0.1  # v is downwards
    assert np.hypot(inside[0] - vector[0], inside[1] - vector[1]).mean() < 0.25


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["dis", "farneback"])
def test_a_small_disc_is_seen_to_move(estimator: Estimator) -> None:
    ground, disc = texture(96, 1), texture(96, 2)
    y, x = np.mgrid[0:56, 0:56]

    def frame(cx: float) -> NDArray[np.uint8]:
        inside = np.hypot(x - cx, y - 28) < 5
        return np.where(inside, shifted(disc, cx - 28, 0, 56), shifted(ground, 0, 0, 56)).astype(np.uint8)

    flow = estimator(frame(27), frame(29))
    assert 1.3 < flow[0][np.hypot(x - 27, y - 28) < 4].mean() < 2.3
    assert np.abs(flow[:, np.hypot(x - 28, y - 28) > 15]).mean() < 0.1


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["dis", "farneback"])
def test_nothing_is_carried_from_call_to_call_nor_by_threads(estimator: Estimator) -> None:
    picture = texture(96)
    a, b, c = (shifted(picture, d, 0, 56) for d in (0.0, 1.0, 3.0))
    threads = cv2.getNumThreads()
    first = estimator(a, b)
    estimator(b, c)
    cv2.setNumThreads(2)
    try:
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(estimator))(a, b), first)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(threads)


def test_flow_reads_luma_only_and_field_k_leads_from_frame_k_to_the_next() -> None:
    picture = texture(96)
    frames = np.stack([shifted(picture, float(d), 0, 56) for d in (0, 1, 3)])
    rgb = np.repeat(frames[..., None], 3, axis=3)
    np.testing.assert_array_equal(gray(rgb), frames)
    found = list(fields(Dis(), rgb))
    assert [round(float(field[0, 8:-8, 8:-8].mean())) for field in found] == [1, 2]


def test_flow_of_a_mirrored_video_is_the_mirrored_flow() -> None:
    picture = texture(96)
    a, b = shifted(picture, 0, 0, 56), shifted(picture, 2, 1, 56)
    flow = quantise(Dis()(a, b), 8)
    seen = quantise(Dis()(a[:, ::-1].copy(), b[:, ::-1].copy()), 8)
    assert np.abs(mirror(flow)[:, 8:-8, 8:-8].astype(int) - seen[:, 8:-8, 8:-8]).mean() < 2


def test_frames_that_are_too_small_are_told() -> None:
    with pytest.raises(UserError, match="too small"):
        Dis()(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))


def test_an_estimator_describes_itself() -> None:
    described = Dis(patch_size=8).describe()
    assert described["method"] == "dis" and described["patch_size"] == 8
    assert described["opencv"] == cv2.__version__
