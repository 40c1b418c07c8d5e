"""The frame at a time: that of an index loop over the true times, however the time was computed."""

from __future__ import annotations

import itertools
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from film_fakes import moving, write

from fusionlab.video.film import Film
from fusionlab.video.timing import Timing, timing

CLIPS = os.environ.get("FUSIONLAB_CLIPS")
real = pytest.mark.skipif(not CLIPS, reason="FUSIONLAB_CLIPS does not name a folder of real clips")
RATES = [24, 25, Fraction(24000, 1001), Fraction(30000, 1001), Fraction(2997, 100), Fraction(25, 2), 60, 15]
FRAMES = 150


def filmed(path: Path, rate: int | Fraction) -> Film:
    film = Film(write(path, np.repeat(moving(30, 16, 16), FRAMES // 30, axis=0), "mpeg4", rate=rate))
    assert len(film) == FRAMES
    return film


def shown(begins: list[float], seconds: float) -> int:
    """The last frame that has begun."""
    number = 0
    for index, start in enumerate(begins):
        if start <= seconds:
            number = index
    return number


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("suffix", ["avi", "mp4", "mkv"])
def test_the_start_of_a_frame_is_that_frame_s_however_it_is_computed(
    tmp_path: Path, suffix: str, rate: int | Fraction
) -> None:
    """Matroska's time stamps are milliseconds, so that i / rate and the stamp of frame i differ by up to a half."""
    film = filmed(tmp_path / f"v.{suffix}", rate)
    step, step32, rate32 = float(1 / Fraction(rate)), np.float32(1 / Fraction(rate)), np.float32(float(rate))
    for i, time in enumerate(film.times):
        for seconds in (
            time, np.float32(time), i / float(rate), i * step, i / rate32, i * step32, float(i / Fraction(rate)),
            np.float32(i) / rate32, np.float64(np.float32(time)),
        ):  # fmt: skip
            assert film.at(float(seconds)) == i, f"{seconds!r} is the start of frame {i}, {time!r}"
    draw = np.random.default_rng(0)
    assert film.at(-1.0) == film.at(0.0) == 0 and film.at(1e9) == FRAMES - 1
    for i, (this, following) in enumerate(itertools.pairwise(film.times)):
        for share in (0.1, 0.95, float(draw.uniform(0.05, 0.95))):  # between two starts the earlier frame is shown
            seconds = this + share * (following - this)
            assert film.at(seconds) == shown(film.times, seconds) == i


def test_frames_of_any_length_begin_when_they_begin() -> None:
    """Lengths from a tick to seconds, late in a long video: what rounding may take is less than any frame."""
    draw = np.random.default_rng(0)
    for tick in (1 / 90_000, 1 / 1000, 1 / 25):
        stamps = np.cumsum(np.r_[0, draw.choice([1, 2, 40, 3000], 400)])
        times = [float(stamp * tick) for stamp in stamps]
        found = Timing(times, True, [], tick).begins
        assert found == sorted(found)
        for time, begins, before in zip(times[1:], found[1:], times, strict=False):
            assert time - (time - before) / 4 - 1e-12 <= begins < time
            assert time - begins < 1e-6 + 3e-7 * time + 1e-12, "nothing is taken for ticks where lengths differ"


@real
def test_every_start_in_real_clips() -> None:
    assert CLIPS is not None
    for path in sorted(Path(CLIPS).iterdir()):
        if path.suffix in (".avi", ".mov", ".mp4") and path.name not in ("corrupted.mp4", "demo_skeleton.mp4"):
            film = Film(path)
            for i, time in enumerate(film.times):
                assert film.at(time) == i and film.at(float(np.float32(time))) == i, f"{path.name}: {i}"


def test_a_file_says_its_tick(tmp_path: Path) -> None:
    film = filmed(tmp_path / "v.mkv", 25)
    assert timing(film.path, FRAMES).tick == pytest.approx(0.001)
