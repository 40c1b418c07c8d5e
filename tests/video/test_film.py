"""Any frame, in any order, in any process: bit for bit that of the same backend's sequential reading."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from film_fakes import UNEVEN, all_kinds, damaged, moving, write

from fusionlab.errors import UserError
from fusionlab.video import film as films
from fusionlab.video.decode import READERS, Frame, PyAV, read, reader
from fusionlab.video.film import Film

CLIPS = os.environ.get("FUSIONLAB_CLIPS")
real = pytest.mark.skipif(not CLIPS, reason="FUSIONLAB_CLIPS does not name a folder of real clips")
KINDS = [
    "mpeg4", "h264", "uneven", "two streams", "odd name", "url-like", "png", "one pixel", "turned 90", "turned 180",
    "turned 270",
]  # fmt: skip
REAL = [
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi", "TrumanShow_wave_f_nm_np1_fr_med_26.avi", "v_SoccerJuggling_g23_c01.avi",
    "v_SoccerJuggling_g24_c01.avi", "demo_skeleton.mp4", "test.avi", "unordered.mov", "video_90.mov", "nasa_13013.mp4",
]  # fmt: skip
LONG = "demo_skeleton.mp4"  # takes as long as all others together


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return all_kinds(tmp_path_factory.mktemp("kinds of films"))


def orders(count: int, most: int) -> Iterator[list[int]]:
    """In sequence, backwards, mixed, and with some twice."""
    draw = np.random.default_rng(count)
    yield list(range(count))[:most]
    yield list(range(count))[::-1][:most]
    yield [int(n) for n in draw.permutation(count)][:most]
    yield [*(int(n) for n in draw.integers(0, count, min(most, 12))), count - 1, 0, count - 1]


def compared(path: Path, name: str, most: int = 1000) -> None:
    """With the same backend's sequence bit for bit, and with PyAV's within rounding."""
    sequence, pyav = (list(reader(one).frames(path)) for one in (name, "pyav"))
    assert len(sequence) == len(pyav)
    with Film(path, reader(name)) as film:
        assert len(film) == len(sequence)
        for order in orders(len(film), most):
            found = film.frames(order)
            for place, index in enumerate(order):
                np.testing.assert_array_equal(found[place], sequence[index])
            for index in order[: min(most, 5)]:
                np.testing.assert_array_equal(film[index], sequence[index])
    fine = 1 if sequence[0].shape[0] < 500 else 8  # of a large picture some pixels tell a wrong one
    for one, other in zip((s[::fine, ::fine] for s in sequence), (s[::fine, ::fine] for s in pyav), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 3  # two conversions from YUV


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_frames_in_any_order_are_those_of_the_sequence(kinds: dict[str, Path], kind: str, name: str) -> None:
    compared(kinds[kind], name)


@real
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("file", [pytest.param(one, marks=pytest.mark.slow) if one == LONG else one for one in REAL])
def test_and_of_real_clips(file: str, name: str) -> None:
    assert CLIPS is not None
    compared(Path(CLIPS) / file, name, most={"demo_skeleton.mp4": 2, "nasa_13013.mp4": 12}.get(file, 40))


def fetched(task: tuple[Film, list[int]]) -> tuple[int, np.ndarray]:
    film, order = task
    return os.getpid(), film.frames(order)


@pytest.mark.parametrize("start", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("name", READERS)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_workers_of_any_kind_see_the_same(kinds: dict[str, Path], name: str, start: str) -> None:
    """The film has been opened and used before the workers start."""
    film = Film(kinds["mpeg4"], reader(name))
    order = [17, 3, 29, 3, 0]
    expected = film.frames(order)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(start)) as pool:
        for pid, found in pool.map(fetched, [(film, order)] * 4):
            assert pid != os.getpid()
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(film.frames(order), expected)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_its_own_file(kinds: dict[str, Path]) -> None:
    film = Film(kinds["mpeg4"], PyAV())
    expected = film.frames([20, 5])
    opened = film._seeker
    assert opened is not None
    child = os.fork()
    if child == 0:  # nothing of pytest's may run on here
        same = np.array_equal(film.frames([20, 5]), expected) and film._seeker is not opened
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(film.frames([20, 5]), expected)


class Lying:
    """Seeks to the neighbour, as decord does in some files."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames

    def frames(self, rising: list[int]) -> Iterator[Frame]:
        return (self._frames[index if index < 4 else index - 1] for index in rising)

    def close(self) -> None:
        self._frames = []


def test_a_backend_that_seeks_wrong_is_found_out(kinds: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = list(PyAV().frames(kinds["h264"]))
    monkeypatch.setattr(films, "seeker", lambda *_: Lying(sequence))
    film = Film(kinds["h264"], PyAV())
    np.testing.assert_array_equal(film.frames([1, 3]), [sequence[1], sequence[3]])
    assert film.seekable
    order = [9, 2, 30, 3]
    np.testing.assert_array_equal(film.frames(order), [sequence[index] for index in order])
    assert not film.seekable
    for index in (25, 26, 4, 39):  # on, and back
        np.testing.assert_array_equal(film[index], sequence[index])


def test_a_backend_that_finds_nothing_is_read_in_sequence(
    kinds: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blind:
        def frames(self, rising: list[int]) -> Iterator[Frame]:
            return iter(())

        def close(self) -> None:
            closed.append(self)

    closed: list[Blind] = []
    monkeypatch.setattr(films, "seeker", lambda *_: Blind())
    film, sequence = Film(kinds["png"]), list(reader().frames(kinds["png"]))
    np.testing.assert_array_equal(film.frames([7, 2]), [sequence[7], sequence[2]])
    assert not film.seekable and len(closed) == 1


def test_a_file_that_changes_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "v.avi", moving(20), "mpeg4")
    film = Film(path, PyAV())
    assert len(film) == 20
    film.close()
    write(path, moving(20, seed=5), "mpeg4")
    with pytest.raises(UserError, match="changed since it was first read"):
        film.frames([3])


def test_what_cannot_be_asked_for_is_told(kinds: dict[str, Path]) -> None:
    with Film(kinds["png"]) as film:
        assert len(film) == 11
        np.testing.assert_array_equal(film[-1], film[10])
        assert film.frames([]).shape == (0, 24, 48, 3)
        for index in (11, -12):
            with pytest.raises(UserError, match="no such frame") as error:
                film[index]
            assert "0 … 10" in str(error.value)


def test_a_film_pickles_and_goes_on_after_closing(kinds: dict[str, Path]) -> None:
    film = Film(kinds["h264"])
    expected = film.frames([30, 2])
    again = pickle.loads(pickle.dumps(film))
    assert again._checksums == film._checksums and again._seeker is None
    np.testing.assert_array_equal(again.frames([30, 2]), expected)
    film.close()
    np.testing.assert_array_equal(film.frames([30, 2]), expected)
    assert len(pickle.dumps(film)) < 10_000


# --- times ---


@pytest.mark.parametrize("kind", KINDS)
def test_times_rise_from_zero_one_for_each_frame(kinds: dict[str, Path], kind: str) -> None:
    film = Film(kinds[kind])
    assert len(film.times) == len(film) and film.times[0] == 0
    assert all(before < after for before, after in zip(film.times, film.times[1:], strict=False))


def test_uneven_times_are_those_of_the_file(kinds: dict[str, Path]) -> None:
    film = Film(kinds["uneven"])
    np.testing.assert_allclose(film.times, np.array(UNEVEN) / 100, atol=1e-6)
    assert "not equally long" in film.notes[0]
    for seconds in np.linspace(-0.1, 1.6, 200):
        shown = 0
        for number, begins in enumerate(UNEVEN):
            if begins / 100 <= seconds + 1e-9:
                shown = number
        if min(abs(seconds - begins / 100) for begins in UNEVEN) > 1e-6:
            assert film.at(float(seconds)) == shown


def test_several_streams_are_said(kinds: dict[str, Path]) -> None:
    assert Film(kinds["two streams"]).notes == ["2 video streams; stream 0 is read, by PyAV"]
    assert Film(kinds["h264"]).notes == []


@real
def test_time_stamps_that_do_not_fit_are_said() -> None:
    assert CLIPS is not None
    film = Film(Path(CLIPS) / "TrumanShow_wave_f_nm_np1_fr_med_26.avi")
    assert "do not fit its 48 frames" in film.notes[0]
    np.testing.assert_allclose(film.times, np.arange(48) / 30, atol=1e-6)
    assert "2 video streams; stream 3 is read, by PyAV" in Film(Path(CLIPS) / "nasa_13013.mp4").notes


# --- damage ---


@real
@pytest.mark.parametrize("name", READERS)
def test_a_real_film_that_breaks_off_says_how_far_it_goes(name: str) -> None:
    """decord's thread tells of the damage when it meets it, while frames before it still wait to be handed over: how
    many come is not the same each time.
    """
    assert CLIPS is not None
    with pytest.raises(UserError, match=r"\d+ frames came before" if name == "decord" else "28 frames came before"):
        len(Film(Path(CLIPS) / "corrupted.mp4", reader(name)))
    with pytest.raises(UserError, match="empty"):
        len(Film(Path(CLIPS) / "result.webm", reader(name)))


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["mpeg4", "h264"])
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_film_is_read_alike_in_any_order_or_refused(
    kinds: dict[str, Path], tmp_path: Path, kind: str, name: str, seed: int
) -> None:
    path = damaged(kinds[kind], tmp_path / f"d{kinds[kind].suffix}", seed)
    try:
        sequence = read(path, reader(name))
    except UserError:
        with pytest.raises(UserError, match=path.name):
            str(len(Film(path, reader(name))))
        return
    with Film(path, reader(name)) as film:
        for order in orders(len(film), 30):
            np.testing.assert_array_equal(film.frames(order), sequence[order])


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["mpeg4", "h264"])
def test_memory_does_not_grow_with_what_is_looked_at(kinds: dict[str, Path], kind: str, name: str) -> None:
    def own() -> int:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(status["RssAnon"].split()[0])

    if not Path("/proc/self/status").is_file():
        pytest.skip("no /proc here")
    draw = np.random.default_rng(0)

    def look(times: int) -> None:
        for _ in range(times):
            with Film(kinds[kind], reader(name)) as film:
                film.frames(draw.integers(0, 30, 3))

    look(60)
    before = own()
    look(120)
    assert own() < 1.05 * before
