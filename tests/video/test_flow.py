import pickle

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.video import flow
from fusionlab.video.flow import LUMA, RGB, Dis, Estimator, Farneback, fields, gray, other_version, seen
from fusionlab.video.quantise import mirror, quantise
from fusionlab.video.tvl1 import TvL1

# Each with its tolerance in pixels: of the mean of a component, and of the mean end-point error.
MEDIUM, PYRAMID = Dis(1, 8, 3, 25, 5), Farneback(window=9, levels=3)
ESTIMATORS = {
    "dis": (Dis(), 0.05, 0.07),
    "dis_stride_4": (Dis(patch_stride=4), 0.05, 0.07),
    "dis_medium": (MEDIUM, 0.12, 0.16),
    "farneback": (PYRAMID, 0.06, 0.08),
    "farneback_of_one_scale": (Farneback(), 0.06, 0.08),
    "tvl1": (TvL1(), 0.06, 0.10),
}
SMALL = {"dis": Dis(), "farneback": Farneback(), "tvl1": TvL1()}
every = pytest.mark.parametrize("estimator", SMALL.values(), ids=SMALL)


def texture(side: int, seed: int = 0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).standard_normal((side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return smooth / smooth.std() * 30 + 128


def shifted(picture: NDArray[np.float32], dx: float, dy: float, side: int) -> NDArray[np.uint8]:
    """The middle of the picture after its content has moved by (dx, dy): right and down."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) + (picture.shape[0] - side) / 2
    moved = cv2.remap(picture, x - np.float32(dx), y - np.float32(dy), cv2.INTER_CUBIC)
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def coloured(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(luma[..., None], 3, axis=-1)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(
    "vector", [(1.0, 0.0), (0.0, 1.0), (-2.0, 1.0), (1.5, -2.5), (0.5, 0.25), (0.3, -0.4), (5.0, -3.0)]
)
def test_a_translated_texture_gives_that_flow(name: str, vector: tuple[float, float]) -> None:
    estimator, mean, end_point = ESTIMATORS[name]
    if name == "farneback_of_one_scale" and max(map(abs, vector)) > 4:
        pytest.skip("further than one scale reaches")
    picture = texture(136)
    flow = estimator(shifted(picture, 0, 0, 96), shifted(picture, *vector, 96))
    assert flow.shape == (2, 96, 96) and flow.dtype == np.float32 and flow.flags.c_contiguous
    inside = flow[:, 12:-12, 12:-12]
    assert np.abs(inside[0].mean() - vector[0]) < mean  # u is to the right
    assert np.abs(inside[1].mean() - vector[1]) < mean  # v is downwards
    assert np.hypot(inside[0] - vector[0], inside[1] - vector[1]).mean() < end_point


@every
def test_a_disc_moves_and_the_ground_does_not(estimator: Estimator) -> None:
    ground, disc = texture(96, 1), texture(96, 2)
    y, x = np.mgrid[0:56, 0:56]

    def frame(cx: float) -> NDArray[np.uint8]:
        inside = np.hypot(x - cx, y - 28) < 5
        return np.where(inside, shifted(disc, cx - 28, 0, 56), shifted(ground, 0, 0, 56)).astype(np.uint8)

    flow = estimator(frame(27), frame(29))
    assert 1.3 < flow[0][np.hypot(x - 27, y - 28) < 4].mean() < 2.3
    assert np.abs(flow[:, np.hypot(x - 28, y - 28) > 15]).mean() < 0.1


def zoomed(scale: float) -> NDArray[np.uint8]:
    """A sum of waves, (64, 64), enlarged about its middle: known at each position, so that nothing interpolates."""
    draw = np.random.default_rng(0)
    waves, phases = draw.normal(size=(40, 2)) * 0.35, draw.uniform(0, 2 * np.pi, 40)
    y, x = (np.mgrid[0:64, 0:64] - 31.5) / scale
    total = sum(np.cos(a * x + b * y + phase) for (a, b), phase in zip(waves, phases, strict=True))
    return np.clip(np.rint(128 + 14 * total), 0, 255).astype(np.uint8)


@every
def test_flow_stands_at_the_pixels_of_the_first_frame(estimator: Estimator) -> None:
    """What lies at r in the first frame lies at s·r in the second: the motion at r is (s − 1) r, not (1 − 1/s) r.

    Nothing is covered or uncovered: what an estimator makes of that depends on the texture and on OpenCV's version.
    """
    scale = 1.15
    y, x = np.mgrid[0:64, 0:64] - 31.5
    inside = np.hypot(x, y) < 22

    def growth(flow: NDArray[np.float32]) -> float:
        return float((flow[0] * x + flow[1] * y)[inside].sum() / (x**2 + y**2)[inside].sum())

    first, second = zoomed(1), zoomed(scale)
    assert growth(estimator(first, second)) == pytest.approx(scale - 1, abs=0.004)  # 0.150
    assert growth(-estimator(second, first)) == pytest.approx(1 - 1 / scale, abs=0.004)  # 0.130


@every
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


@every
def test_what_stands_still_has_no_flow(estimator: Estimator) -> None:
    still = shifted(texture(96), 0, 0, 56)
    flow = np.abs(estimator(still, still))
    assert flow.mean() < 0.03 and np.median(flow) < 1e-3  # Farneback's border is not quite still
    flat = np.full((48, 40), 77, dtype=np.uint8)
    assert not estimator(flat, flat).any()


def test_flow_reads_luma_only_and_field_k_leads_from_frame_k_to_the_next() -> None:
    picture = texture(96)
    frames = np.stack([shifted(picture, float(d), 0, 56) for d in (0, 1, 3)])
    np.testing.assert_array_equal(gray(coloured(frames)), frames)
    found = list(fields(Dis(), coloured(frames)))
    assert [round(float(field[0, 8:-8, 8:-8].mean())) for field in found] == [1, 2]


@every
def test_backward_flow_is_that_of_the_reversed_video_reversed(estimator: Estimator) -> None:
    picture = texture(96)
    frames = coloured(np.stack([shifted(picture, d, -d / 2, 56) for d in (0.0, 1.0, 3.0, 2.0)]))
    back = list(fields(estimator, frames, backward=True))
    oracle = list(fields(estimator, frames[::-1]))[::-1]
    assert len(back) == len(oracle) == 3
    for one, other in zip(back, oracle, strict=True):
        np.testing.assert_array_equal(one, other)
    # And it leads from frame k + 1 to frame k.
    inside = np.stack(back)[:, :, 8:-8, 8:-8].mean(axis=(2, 3))
    np.testing.assert_allclose(inside, [[-1, 0.5], [-2, 1], [1, -0.5]], atol=0.1)


class Colours:
    """Shown what it is shown; not flow."""

    reads = RGB

    def __call__(self, previous: NDArray[np.uint8], following: NDArray[np.uint8], /) -> NDArray[np.float32]:
        return np.stack([previous[..., 0], following[..., 2]]).astype(np.float32)

    def describe(self) -> dict[str, str]:
        return {"method": "colours"}


def test_luma_is_the_weighted_sum_of_red_green_and_blue() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    for place in np.ndindex(2, 5, 7):
        red, green, blue = map(int, rgb[place])
        assert abs(int(gray(rgb)[place]) - (0.299 * red + 0.587 * green + 0.114 * blue)) < 0.51


def test_an_estimator_that_reads_colour_is_shown_colour() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(seen(Colours(), frames), frames)
    np.testing.assert_array_equal(seen(Dis(), frames), gray(frames))
    np.testing.assert_array_equal(seen(Dis(), frames[0]), gray(frames)[0])
    first, second = fields(Colours(), frames)
    np.testing.assert_array_equal(first, [frames[0, ..., 0], frames[1, ..., 2]])
    np.testing.assert_array_equal(second, [frames[1, ..., 0], frames[2, ..., 2]])
    first, second = fields(Colours(), frames, backward=True)
    np.testing.assert_array_equal(first, [frames[1, ..., 0], frames[0, ..., 2]])
    assert all(one.reads == LUMA for one in SMALL.values())


@every
def test_flow_of_a_mirrored_video_is_the_mirrored_flow(estimator: Estimator) -> None:
    picture = texture(96)
    a, b = shifted(picture, 0, 0, 56), shifted(picture, 2, 1, 56)
    flow = quantise(estimator(a, b), 8)
    seen = quantise(estimator(a[:, ::-1].copy(), b[:, ::-1].copy()), 8)
    assert np.abs(mirror(flow)[:, 8:-8, 8:-8].astype(int) - seen[:, 8:-8, 8:-8]).mean() < 2


def test_frames_that_are_too_small_are_told() -> None:
    with pytest.raises(UserError, match="too small"):
        Dis()(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))


def test_an_estimator_describes_itself() -> None:
    described = Dis(patch_size=8).describe()
    assert described["method"] == "dis" and described["patch_size"] == 8
    assert described["opencv"] == cv2.__version__
    assert {one.describe()["method"] for one in SMALL.values()} == set(SMALL)


def test_another_version_of_opencv_is_told_where_its_fields_differ() -> None:
    methods = {"tvl1": TvL1(), "medium": MEDIUM, "farneback": PYRAMID, "dis": Dis(1, 8, 3, 25, 0)}
    differ = {name for name, one in methods.items() if other_version(one.describe(), "3.4.1") == cv2.__version__}
    assert differ == {"tvl1", "medium"}
    assert all(other_version(one.describe()) is None for one in methods.values())
    assert other_version({"method": "imported"}) is None


def test_the_numbers_of_tvl1_are_opencv_s() -> None:
    solver, ours = cv2.optflow.DualTVL1OpticalFlow.create(), TvL1()
    theirs = {
        "attachment": solver.getLambda(), "tightness": solver.getTheta(), "step": solver.getTau(),
        "gamma": solver.getGamma(), "scales": solver.getScalesNumber(), "scale_step": solver.getScaleStep(),
        "warps": solver.getWarpingsNumber(), "outer_iterations": solver.getOuterIterations(),
        "inner_iterations": solver.getInnerIterations(), "median": solver.getMedianFiltering(),
        "epsilon": solver.getEpsilon(),
    }  # fmt: skip
    described = ours.describe()
    assert {name: described[name] for name in theirs} == theirs
    picture = texture(96)
    a, b = shifted(picture, 0, 0, 56), shifted(picture, 1.5, -1, 56)
    plain = np.asarray(solver.calc(a, b, None)).transpose(2, 0, 1)
    np.testing.assert_array_equal(ours(a, b), plain)


@pytest.mark.parametrize(
    "turned",
    [
        {"attachment": 0.05}, {"tightness": 0.1}, {"step": 0.1}, {"gamma": 0.1}, {"scales": 1}, {"scale_step": 0.5},
        {"warps": 1}, {"outer_iterations": 1}, {"inner_iterations": 2}, {"median": 1}, {"epsilon": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_each_number_of_tvl1_turns_something(turned: dict[str, float]) -> None:
    picture = texture(96)
    a, b = shifted(picture, 0, 0, 56), shifted(picture, 3.5, -1, 56)
    assert (TvL1(**turned)(a, b) != TvL1()(a, b)).any()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kind, number, value",
    [
        (Dis, "finest_scale", -1), (Dis, "patch_size", 0), (Dis, "patch_stride", 0), (Dis, "iterations", 0),
        (Dis, "refinements", -1), (Dis, "patch_size", 6.5), (Farneback, "window", 0), (Farneback, "levels", 0),
        (Farneback, "iterations", True), (Farneback, "poly_n", 0), (Farneback, "poly_sigma", 0),
        (TvL1, "attachment", 0), (TvL1, "tightness", float("nan")), (TvL1, "step", -0.25), (TvL1, "gamma", -0.1),
        (TvL1, "scales", 0), (TvL1, "scale_step", 1.0), (TvL1, "warps", 0), (TvL1, "outer_iterations", 0),
        (TvL1, "inner_iterations", 2.0), (TvL1, "median", 7), (TvL1, "epsilon", 0),
    ],
)  # fmt: skip
def test_a_number_that_cannot_be_is_refused_at_once(kind: type, number: str, value: float) -> None:
    with pytest.raises(UserError, match=f"{number} of {kind.__name__}") as refused:
        kind(**{number: value})
    assert f"data.store.flow.{number}={value}" in str(refused.value)


def test_an_opencv_without_contributions_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "optflow")
    with pytest.raises(UserError, match="without its contributed modules") as told:
        TvL1()(np.zeros((48, 48), np.uint8), np.zeros((48, 48), np.uint8))
    assert "opencv-contrib-python-headless" in str(told.value)


def test_a_solver_keeps_nothing_from_other_frames() -> None:
    """A field is that of a new solver, whatever it saw before: other pairs, other sizes, other numbers."""
    draw = np.random.default_rng(0)
    frames = [cv2.GaussianBlur(draw.integers(0, 256, (64, 80), dtype=np.uint8), (0, 0), 2) for _ in range(4)]
    for method in (Dis(), Dis(1, 8, 3, 25, 5)):
        flow._solver_of.cache_clear()
        fresh = method(frames[0], frames[1])
        method(frames[2], frames[3])
        method(frames[2][:40, :48].copy(), frames[3][:40, :48].copy())
        Dis(0, 8, 4)(frames[1], frames[2])
        np.testing.assert_array_equal(method(frames[0], frames[1]), fresh)
