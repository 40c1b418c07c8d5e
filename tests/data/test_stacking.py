"""The stacks of 2014 against index loops, and the identities that they have."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from store_fakes import Known, noise

from fusionlab.data import stacking
from fusionlab.data.crops import Crop
from fusionlab.video.quantise import dequantise, mirror, quantise
from fusionlab.video.store import Store

STEP = 2 * 4.0 / 255


def stack(known: Known, centre: int, fields: int, crop: Crop, kind: str = "plain", mean: bool = False) -> np.ndarray:
    """The 2L channels of a snippet."""
    out = np.empty((2 * fields, *crop.shape), np.uint8)
    found = stacking.Fields(known.store, "").stacked(centre, fields, kind)
    stacking.write(found, crop, out, stacking=kind, mean=mean, bound=known.bound)
    return out


def by_loop(known: Known, centre: int, fields: int, crop: Crop, kind: str) -> np.ndarray:
    """Field by field, component by component, pixel by pixel."""
    out = np.empty((2 * fields, crop.height, crop.width), np.uint8)
    last = len(known.pixels) - 2
    for k in range(fields):
        back = kind == "bidirectional" and k >= fields // 2
        first = centre - fields // 2 if kind == "plain" else centre
        place = centre - 1 - (k - fields // 2) if back else first + k
        field = known.fields[back][min(max(place, 0), last)]
        for component, i, j in itertools.product(range(2), range(crop.height), range(crop.width)):
            column = crop.x + (crop.width - 1 - j if crop.flip else j)
            level = int(field[component, crop.y + i, column])
            out[2 * k + component, i, j] = 255 - level if crop.flip and component == 0 else level
    return out


@pytest.mark.parametrize("crop", [Crop(2, 3, 6, 7), Crop(0, 0, 5, 4, flip=True), Crop(3, 9, 10, 8, flip=True)])
@pytest.mark.parametrize(("kind", "fields"), [("plain", 1), ("plain", 5), ("plain", 6), ("bidirectional", 2),
                                              ("bidirectional", 6)])  # fmt: skip
def test_plain_and_bidirectional_are_the_loop(kind: str, fields: int, crop: Crop) -> None:
    known = noise()
    for centre in range(12):  # beyond both ends, too
        found = stack(known, centre, fields, crop, kind)
        np.testing.assert_array_equal(found, by_loop(known, centre, fields, crop, kind))


def followed_by_loop(fields: list[np.ndarray], crop: Crop, bound: float) -> np.ndarray:
    """A trajectory for each pixel. Weights are whole numbers of 1024ths, so nothing is rounded on the way."""
    out = np.empty((2 * len(fields), crop.height, crop.width), np.uint8)
    _, height, width = fields[0].shape
    for i, j in itertools.product(range(crop.height), range(crop.width)):
        x, y = np.float32(crop.x + j), np.float32(crop.y + i)
        for k, field in enumerate(fields):
            (column, right), (row, below) = divmod(int(np.rint(x * 32)), 32), divmod(int(np.rint(y * 32)), 32)
            seen = []
            for component in range(2):
                total = 0
                for down, across in itertools.product((0, 1), (0, 1)):
                    weight = (below if down else 32 - below) * (right if across else 32 - right)
                    at = min(max(row + down, 0), height - 1), min(max(column + across, 0), width - 1)
                    total += weight * int(field[component][at])
                seen.append(np.float32(total / 1024))
                out[2 * k + component, i, j] = np.rint(total / 1024)
            x += seen[0] * np.float32(2 * bound / 255) - np.float32(bound)
            y += seen[1] * np.float32(2 * bound / 255) - np.float32(bound)
    return out


@pytest.mark.parametrize("bound", [4.0, 20.0])  # with 20, far beyond the picture
@pytest.mark.parametrize("centre", [0, 5, 11])
def test_a_trajectory_is_the_loop(centre: int, bound: float) -> None:
    known, crop = noise(bound=bound), Crop(2, 3, 9, 8)
    last = len(known.pixels) - 2
    fields = [known.fields[False][min(max(centre - 3 + k, 0), last)] for k in range(6)]
    np.testing.assert_array_equal(stack(known, centre, 6, crop, "trajectory"), followed_by_loop(fields, crop, bound))


def test_a_trajectory_is_followed_first_and_mirrored_afterwards() -> None:
    known, crop = noise(), Crop(2, 3, 9, 8)
    plain = stack(known, 5, 6, crop, "trajectory")
    flipped = stack(known, 5, 6, Crop(2, 3, 9, 8, flip=True), "trajectory")
    np.testing.assert_array_equal(flipped.reshape(6, 2, 9, 8), mirror(plain.reshape(6, 2, 9, 8)))


def smooth(seed: int = 0) -> Known:
    """Motion that changes slowly over the picture, and not between two fields."""
    y, x = np.indices((40, 60)) / 12
    flow = [np.stack([2 * np.sin(x + t / 5) + np.cos(y), 2 * np.cos(x - y + t / 7)]) for t in range(11)]
    forward = quantise(np.stack(flow).astype(np.float32), 4.0)
    return Known(np.zeros((12, 40, 60, 3), np.uint8), forward, forward)


def test_a_trajectory_in_a_mirror_is_the_trajectory_s_mirror_image() -> None:
    known, other = smooth(), smooth()
    other.fields[False] = mirror(known.fields[False])
    here = stack(known, 5, 10, Crop(4, 10, 30, 20), "trajectory").reshape(10, 2, 30, 20)
    there = stack(other, 5, 10, Crop(4, 60 - 30, 30, 20), "trajectory").reshape(10, 2, 30, 20)
    apart = np.abs(mirror(here).astype(int) - there)
    assert apart.max() <= 1 and (apart == 0).mean() > 0.9, "places and levels are rounded, half to even"


def test_a_trajectory_follows_the_motion() -> None:
    """Everything drifts by (3, −2) pixels a frame, and carries its own brightness as its motion on top of that."""
    known = smooth()
    drift = np.array([3.0, -2.0])
    amount = np.linspace(-0.4, 0.4, 60)[None, :] + np.zeros((40, 1))
    moving = [np.roll(amount, (-2 * t, 3 * t), axis=(0, 1)) for t in range(11)]
    flow = np.stack([np.stack([np.full((40, 60), drift[0]), drift[1] + one]) for one in moving])
    # v is read where the pixel is: its own amount comes back in every field, and u is the drift
    known.fields[False] = quantise(flow.astype(np.float32), 4.0)
    crop = Crop(20, 5, 8, 10)
    found = dequantise(stack(known, 2, 4, crop, "trajectory"), 4.0).reshape(4, 2, 8, 10)
    plain = dequantise(stack(known, 2, 4, crop), 4.0).reshape(4, 2, 8, 10)
    own = drift[1] + amount[20:28, 5:15]
    assert np.abs(found[:, 0] - drift[0]).max() <= STEP
    assert np.abs(found[:, 1] - own).max() < 2.5 * STEP < np.abs(plain[3, 1] - own).min()


@pytest.mark.parametrize("mean", [False, True])
def test_a_trajectory_of_one_field_or_of_constant_flow_is_the_plain_stack(mean: bool) -> None:
    known, crop = noise(), Crop(2, 3, 9, 8, flip=True)
    for centre in range(12):
        np.testing.assert_array_equal(
            stack(known, centre, 1, crop, "trajectory", mean), stack(known, centre, 1, crop, mean=mean)
        )
    for bound, seed in itertools.product((4.0, 20.0), range(20)):
        vectors = np.random.default_rng(seed).integers(0, 256, (11, 2, 1, 1), dtype=np.uint8)
        still = Known(known.pixels, np.broadcast_to(vectors, (11, 2, 13, 17)), known.fields[True], bound)
        np.testing.assert_array_equal(
            stack(still, 5, 10, crop, "trajectory", mean), stack(still, 5, 10, crop, mean=mean)
        )


@pytest.mark.parametrize("kind", stacking.STACKINGS)
def test_a_field_without_its_mean_averages_to_no_motion(kind: str) -> None:
    draw = np.random.default_rng(0)
    levels = draw.integers(90, 150, (2, 11, 2, 13, 17)) + draw.integers(-30, 30, (2, 11, 2, 1, 1))
    known = Known(np.zeros((12, 13, 17, 3), np.uint8), *levels.astype(np.uint8))
    whole = stack(known, 5, 6, Crop(0, 0, 13, 17), kind, mean=True)
    if kind != "trajectory":  # which sees a part of a field
        average = dequantise(whole, 4.0).reshape(12, -1).astype(np.float64).mean(axis=1)
        assert np.abs(average).max() <= STEP / 2 + 1e-6
    crop = Crop(1, 2, 9, 8)
    part, before = stack(known, 5, 6, crop, kind, mean=True), stack(known, 5, 6, crop, kind).astype(np.float64)
    # The mean is the whole field's, and taken from what is written: trajectories lead where they led.
    fields = np.stack(list(stacking.Fields(known.store, "").stacked(5, 6, kind))).reshape(12, -1)
    expected = np.rint(before - fields.astype(np.float64).mean(axis=1)[:, None, None] + 127.5)
    np.testing.assert_array_equal(part, expected)
    assert (part != before).any()


def test_levels_beyond_a_byte_are_cut() -> None:
    known = noise()
    known.fields[False] = np.where(known.fields[False] < 30, 0, 250).astype(np.uint8)
    crop = Crop(0, 0, 13, 17)
    before, found = stack(known, 5, 2, crop).astype(np.float64), stack(known, 5, 2, crop, mean=True)
    shifted = np.rint(before - before.reshape(4, -1).mean(axis=1)[:, None, None] + 127.5)
    assert shifted.min() < 0
    np.testing.assert_array_equal(found, shifted.clip(0, 255))


def test_each_field_of_a_clip_is_read_once() -> None:
    for kind, ways in (("plain", [False]), ("trajectory", [False]), ("bidirectional", [False, True])):
        for centres in ((3, 6, 6, 9, 20, 29), (0, 0, 1, 2, 3), (29, 29), (20, 27, 28, 29), (10,)):
            known = noise(30)
            fields = stacking.Fields(known.store, "")
            for centre in centres:
                alone = stacking.Fields(noise(30).store, "").stacked(centre, 6, kind)
                for one, other in zip(fields.stacked(centre, 6, kind), alone, strict=True):
                    np.testing.assert_array_equal(one, other)
            assert len(known.read) == len(set(known.read))
        assert {back for back, _ in known.read} == set(ways)


def test_a_real_store_gives_what_a_known_one_gives(store: Store) -> None:
    """Raw flow comes as one array, decoded flow as a list: nothing tells them apart."""
    (name, video), *_ = store.videos.items()
    forward = np.stack(list(store.flow(name, 0, video.frames - 1)))
    known = Known(store.frames(name, range(video.frames)), forward, forward, store.bound)
    crop, out = Crop(1, 2, 9, 8), np.empty((8, 9, 8), np.uint8)
    for kind, centre in itertools.product(("plain", "trajectory"), range(video.frames)):
        found = stacking.Fields(store, name).stacked(centre, 4, kind)
        stacking.write(found, crop, out, stacking=kind, mean=True, bound=store.bound)
        np.testing.assert_array_equal(out, stack(known, centre, 4, crop, kind, mean=True))
