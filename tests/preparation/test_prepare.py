import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import av
import film_fakes as films
import numpy as np
import pytest
from data_fakes import Drifting
from film_fakes import Deadly

from fusionlab.data.processes import in_processes
from fusionlab.errors import UserError
from fusionlab.health import video_checks
from fusionlab.health.findings import WRONG
from fusionlab.health.video_checks import CODES, check_files
from fusionlab.preparation.flow_sources import Computed, Making
from fusionlab.preparation.pack import Part, pack
from fusionlab.preparation.prepare import COST, place, prepare, prepared
from fusionlab.records.crash import VARIABLE
from fusionlab.video import encode
from fusionlab.video.decode import PyAV, read, reader
from fusionlab.video.flow import Dis, Farneback, fields
from fusionlab.video.quantise import quantise
from fusionlab.video.resize import resize
from fusionlab.video.store import FLOW, FRAMES, INDEX, Coding, Store
from fusionlab.video.writing import JOURNAL

HERE = Path(__file__).parents[1] / "fakes"
RECIPE = {"data": "drifting"}


def quiet(_: str) -> None:
    """Says nothing."""


def child(root: Path, folder: Path, processes: int = 1, crash: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    environment.pop(VARIABLE, None)
    if crash:
        environment[VARIABLE] = crash
    command = [sys.executable, str(HERE / "prepare_child.py"), str(root), str(folder), str(processes)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def parts(folder: Path) -> dict[str, list[str]]:
    """Part -> the videos that are in it, of a store that is being made."""
    found = {}
    for path in sorted(folder.glob(f".*.making/part-*/{JOURNAL}")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [line["name"] for line in lines if "name" in line]
    return found


def test_the_store_holds_what_is_in_the_files(drifting: Drifting, store: Store) -> None:
    assert set(store.videos) == {name for name, _ in drifting.videos()}
    for name, label in drifting.videos()[::5]:
        frames = read(drifting.path(name))
        flow = np.stack([quantise(field, 8) for field in fields(Dis(), frames)])
        assert store.video(name).label == label
        np.testing.assert_array_equal(store.all_frames(name), frames)
        np.testing.assert_array_equal(store.flow(name, 0, len(flow)), flow)
    store.verify()
    assert store.made["decoder"] == reader().info
    assert store.made["flow"]["method"] == "dis" and store.made["flow"]["bound"] == 8


def test_a_finished_store_is_recognised(drifting: Drifting, store: Store) -> None:
    before = (store.folder / INDEX).stat()
    again = prepare(drifting, store.folder.parent, Dis(), recipe=RECIPE, bound=8, say=quiet)
    assert again == store.folder == place(store.folder.parent, RECIPE)
    assert (store.folder / INDEX).stat().st_mtime_ns == before.st_mtime_ns
    found = prepared(store.folder.parent, RECIPE)
    assert found is not None and found.hash == store.hash
    assert prepared(store.folder.parent, {"data": "other"}) is None


@pytest.mark.parametrize(("before", "coding"), [(0, Coding()), (9, Coding("jpeg", "jpeg", rule="field"))])
def test_the_store_has_what_it_took_to_pack_the_videos_of_the_last_attempt(
    drifting: Drifting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, coding: Coding
) -> None:
    cut = drifting.videos()[:before]
    if before:
        with monkeypatch.context() as patch:
            patch.setattr("fusionlab.preparation.prepare.publish", lambda *_: False)
            patch.setattr(drifting, "videos", lambda: cut)
            with pytest.raises(UserError, match="another command"):
                prepare(drifting, tmp_path, Dis(), recipe=RECIPE, bound=8, coding=coding, chunk=9, say=quiet)
    begun = time.monotonic()
    folder = prepare(drifting, tmp_path, Dis(), recipe=RECIPE, bound=8, coding=coding, chunk=9, say=quiet)
    cost, made = json.loads((folder / COST).read_text()), Store.open(folder)
    packed = {name: video for name, video in made.videos.items() if name not in dict(cut)}
    assert 0 < cost["seconds"] < time.monotonic() - begun
    assert (cost["videos"], cost["frames"]) == (36 - before, sum(video.frames for video in packed.values()))
    parts_packed = sorted(folder.glob("part-*"))[before // 9 :]
    assert cost["bytes"] == sum(file.stat().st_size for part in parts_packed for file in part.glob("*.bin"))
    assert cost["processes"] == 1


@pytest.mark.parametrize("processes, chunk", [(1, 100), (2, 5), (3, 36)])
def test_processes_and_parts_do_not_change_the_hash(
    drifting: Drifting, store: Store, tmp_path: Path, processes: int, chunk: int
) -> None:
    folder = prepare(drifting, tmp_path, Dis(), recipe=RECIPE, bound=8, processes=processes, chunk=chunk, say=quiet)
    assert Store.open(folder).hash == store.hash


def test_another_flow_gives_another_hash(drifting: Drifting, store: Store, tmp_path: Path) -> None:
    folder = prepare(drifting, tmp_path, Farneback(), recipe={"flow": "farneback"}, bound=8, say=quiet)
    assert Store.open(folder).hash != store.hash


@pytest.mark.parametrize(
    "processes, crash",
    [(0, "prepare.video:1"), (0, "prepare.video:9"), (0, "prepare.before_publish"), (2, "prepare.before_publish")],
)
def test_after_a_kill_the_same_command_goes_on(
    drifting: Drifting, store: Store, tmp_path: Path, processes: int, crash: str
) -> None:
    killed = child(drifting.root, tmp_path, processes, crash)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert prepared(tmp_path, RECIPE) is None
    kept = parts(tmp_path)
    done = sum(map(len, kept.values()))
    assert done == 36 if crash == "prepare.before_publish" else done >= int(crash[-1])
    held = {name: (path.stat().st_ino, path.stat().st_size) for name in kept for path in grown(tmp_path, name)}
    continued = child(drifting.root, tmp_path, processes)
    assert continued.returncode == 0, continued.stderr
    found = prepared(tmp_path, RECIPE)
    assert found is not None and found.hash == store.hash
    found.verify()
    for name, names in ((n, v) for n, v in kept.items() if v):  # the same files, gone on with
        journal = (found.folder / name / JOURNAL).read_text()
        assert [json.loads(line).get("name") for line in journal.splitlines() if '"name"' in line][
            : len(names)
        ] == names
        assert (found.folder / name / "frames.bin").stat().st_ino == held[name][0]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {found.folder.name, f".{found.folder.name}.lock"}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_worker_that_is_killed_is_replaced(drifting: Drifting, store: Store, tmp_path: Path, processes: int) -> None:
    """Each is killed behind its ninth video, which says nothing about the tenth."""
    done = child(drifting.root, tmp_path, processes, "prepare.video:9")
    assert done.returncode == 0, done.stderr
    found = prepared(tmp_path, RECIPE)
    assert found is not None and found.hash == store.hash
    found.verify()


def grown(folder: Path, part: str) -> list[Path]:
    return list(folder.glob(f".*.making/{part}/frames.bin"))


def test_a_part_that_is_cut_is_made_again(drifting: Drifting, store: Store, tmp_path: Path) -> None:
    child(drifting.root, tmp_path, 0, "prepare.before_publish")
    for part, file in enumerate(("frames.bin", "flow.bin", JOURNAL)):
        path = next(tmp_path.glob(f".*.making/part-0000{part}/{file}"))
        path.write_bytes(path.read_bytes()[:-5])
    assert child(drifting.root, tmp_path).returncode == 0
    found = prepared(tmp_path, RECIPE)
    assert found is not None and found.hash == store.hash
    found.verify()


def test_parts_of_another_decoder_are_not_mixed_in(drifting: Drifting, tmp_path: Path) -> None:
    child(drifting.root, tmp_path, 0, "prepare.before_publish")
    assert len(parts(tmp_path)) == 6
    folder = prepare(drifting, tmp_path, Dis(), recipe=RECIPE, bound=8, with_reader=PyAV(), chunk=7, say=quiet)
    assert Store.open(folder).made["decoder"] == PyAV().info


def test_a_damaged_store_is_made_again(drifting: Drifting, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / store.folder.name
    shutil.copytree(store.folder, folder)
    (folder / "part-00000" / "flow.bin").write_bytes(b"")
    said: list[str] = []
    assert prepare(drifting, tmp_path, Dis(), recipe=RECIPE, bound=8, say=said.append) == folder
    assert "damaged" in said[0] and Store.open(folder).hash == store.hash


def test_a_second_command_waits_for_the_first(drifting: Drifting, store: Store, tmp_path: Path) -> None:
    said: list[str] = []
    with open(tmp_path / f".{store.folder.name}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(
            target=lambda: prepare(drifting, tmp_path, Dis(), recipe=RECIPE, bound=8, say=said.append)
        )
        second.start()
        until = time.monotonic() + 20
        while not said and time.monotonic() < until:
            time.sleep(0.01)
        assert "waiting" in said[0]
        shutil.copytree(store.folder, tmp_path / store.folder.name)  # the first one has finished
    second.join()
    assert len(said) == 1  # it found the store and made nothing


def test_the_size_is_that_of_the_short_side(tmp_path: Path) -> None:
    small = Drifting(tmp_path / "videos", groups=1, per_group=1, side=(32, 40))
    small.make(small.root)
    store = Store.open(prepare(small, tmp_path, Dis(), recipe={"size": 24}, size=24, say=quiet))
    for name, _ in small.videos():
        assert (store.video(name).height, store.video(name).width) == (24, 30)
        expected = np.stack([resize(frame, 24) for frame in read(small.path(name))])
        np.testing.assert_array_equal(store.all_frames(name), expected)


def test_absent_videos_are_listed_at_once(tmp_path: Path) -> None:
    small = Drifting(tmp_path / "videos", groups=1, per_group=2)
    small.make(small.root)
    for name, _ in small.videos()[1:4]:
        small.path(name).unlink()
    with pytest.raises(UserError) as error:
        prepare(small, tmp_path, Dis(), recipe=RECIPE, say=quiet)
    assert "3 of 6" in str(error.value)
    assert all(name in str(error.value) for name, _ in small.videos()[1:4])


@pytest.mark.parametrize("processes", [1, 2])
def test_a_video_that_cannot_be_read_is_named(tmp_path: Path, processes: int) -> None:
    small = Drifting(tmp_path / "videos", groups=1, per_group=2)
    small.make(small.root)
    name = small.videos()[3][0]
    small.path(name).write_text("no video " * 100)
    other = small.videos()[0][0]
    encode.write(small.path(other), np.zeros((1, 20, 24, 3), np.uint8))
    with pytest.raises(UserError) as error:
        prepare(small, tmp_path, Dis(), recipe=RECIPE, processes=processes, chunk=2, say=quiet)
    told = str(error.value)
    assert f"{name}: " in told and f"{other}: flow needs at least two frames" in told and "2 of 6" in told
    assert sum(map(len, parts(tmp_path).values())) == 4, "all others are packed"
    assert prepared(tmp_path, RECIPE) is None
    listed = next(tmp_path.glob("*.unusable.txt"))
    assert [line.split(" # ")[0] for line in listed.read_text().splitlines()] == sorted([name, other])
    # Left out by name, the rest is a store; repaired and asked for again, the store is resumed.
    folder = prepare(small, tmp_path, Dis(), recipe=RECIPE, quarantine={name, other}, chunk=2, say=quiet)
    part = Store.open(folder)
    assert set(part.videos) == {n for n, _ in small.videos()} - {name, other} and not listed.exists()
    small.make(small.root)
    whole = Store.open(prepare(small, tmp_path, Dis(), recipe=RECIPE, processes=processes, chunk=2, say=quiet))
    assert len(whole.videos) == 6 and whole.folder == part.folder
    whole.verify()
    for kept in part.videos:
        assert whole.video(kept) == part.video(kept)
    fresh = prepare(small, tmp_path / "fresh", Dis(), recipe=RECIPE, say=quiet)
    assert Store.open(fresh).hash == whole.hash
    assert prepare(small, tmp_path, Dis(), recipe=RECIPE, quarantine={name}, say=quiet) == whole.folder


@pytest.mark.parametrize(
    "coding", [Coding("jpeg", "lz4"), Coding("lz4", "jpeg"), Coding("raw", "lz4", rule="field")], ids=str
)
def test_by_any_codec_the_store_holds_what_is_in_the_files(drifting: Drifting, tmp_path: Path, coding: Coding) -> None:
    folder = prepare(
        drifting, tmp_path, Dis(), recipe=RECIPE, bound=8, coding=coding, backward=True, processes=2, chunk=9, say=quiet
    )
    store = Store.open(folder)
    store.verify()
    assert store.has_backward and store.made["flow"]["backward"] is True
    assert store.made["flow"].get("rule", "bound") == coding.rule
    for name, _ in drifting.videos()[::7]:
        frames = read(drifting.path(name))
        np.testing.assert_array_equal(store.all_frames(name), coded(coding, FRAMES, frames))
        for back in (False, True):
            flow = np.stack(list(fields(Dis(), frames, backward=back)))
            found = np.stack(list(store.flow(name, 0, len(flow), backward=back)))
            if coding.rule == "bound":
                np.testing.assert_array_equal(found, coded(coding, FLOW, quantise(flow, 8)))
            else:  # half a step of a field's own range, and half a level
                step = (flow.max(axis=(2, 3)) - flow.min(axis=(2, 3))).max() / 255 * 255 / 16
                assert np.abs(found.astype(int) - quantise(flow, 8)).max() <= 1 + step / 2


def coded(coding: Coding, file: str, pictures: np.ndarray) -> np.ndarray:
    """As the codec alone leaves them."""
    codec = coding.codec(file)
    return pictures if codec is None else np.stack([codec.decode(codec.encode(one), one.shape) for one in pictures])


def test_what_determines_the_pixels_is_part_of_the_hash(drifting: Drifting, store: Store, tmp_path: Path) -> None:
    hashes = {store.hash}
    for number, (coding, back) in enumerate([(Coding("lz4"), False), (Coding(rule="field"), False), (Coding(), True)]):
        folder = tmp_path / str(number)
        made = prepare(drifting, folder, Dis(), recipe=RECIPE, bound=8, coding=coding, backward=back, say=quiet)
        hashes.add(Store.open(made).hash)
    assert len(hashes) == 4


@pytest.mark.isolated
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_file_that_ends_or_hangs_its_process_is_named_and_all_others_are_packed(
    tmp_path: Path, processes: int
) -> None:
    """The last video is in the sample, too, by which disk space is estimated."""
    small = Drifting(tmp_path / "videos", groups=1, per_group=2)
    small.make(small.root)
    names = [name for name, _ in small.videos()]
    paths = {names[1]: "abort.avi", names[2]: "hang.avi", names[5]: "another abort.avi"}
    for name, file in paths.items():
        small.path(name).rename(small.root / file)
    small.path = lambda name: small.root / paths.get(name, name)  # type: ignore[method-assign]
    words = {"recipe": RECIPE, "with_reader": Deadly(), "processes": processes, "chunk": 4, "say": quiet}
    with pytest.raises(UserError, match="3 of 6") as error:
        prepare(small, tmp_path, Dis(), **words)  # type: ignore[arg-type]
    told = str(error.value)
    assert "signal 6 (SIGABRT)" in told and "nothing came for" in told and all(name in told for name in paths)
    assert sum(map(len, parts(tmp_path).values())) == 3, "all others are packed"
    folder = prepare(small, tmp_path, Dis(), quarantine=set(paths), **words)  # type: ignore[arg-type]
    store = Store.open(folder)
    store.verify()
    assert set(store.videos) == set(names) - set(paths)


@pytest.mark.parametrize("name", ["auto", "decord"])
def test_prepare_and_the_doctor_agree_about_files(tmp_path: Path, name: str) -> None:
    """Also about those that decord cannot read: the index says by whom they were read."""
    sound = films.write(tmp_path / "sound.avi", films.moving(9), "mpeg4")
    plain = films.write(tmp_path / "plain.mp4", films.moving(20), "libx264", bf="0")
    many = films.counted(sound, tmp_path / "many.avi", 10**9)  # cut short, says the doctor: so many are missing
    files = [
        sound, plain, many, films.counted(sound, tmp_path / "uncounted.avi", 0),
        films.write(tmp_path / "ten.mkv", films.moving(9), "libx264", pixels="yuv420p10le"),
        films.write(tmp_path / "alpha.webm", films.moving(9), "libvpx-vp9", pixels="yuva420p"),
        films.with_matrix(plain, tmp_path / "mirrored.mp4", -1, 0, 0, 1),
        films.with_matrix(plain, tmp_path / "odd.mp4", 0.7, 0.7, -0.7, 0.7),
        films.edited(plain, tmp_path / "edited.mp4", 5), films.covered(tmp_path / "cover.mp4", films.moving(9)),
        tmp_path / "empty.avi", tmp_path / "text.avi", tmp_path / "one.avi",
    ]  # fmt: skip
    (tmp_path / "empty.avi").touch()
    (tmp_path / "text.avi").write_text("no video " * 100)
    films.write(tmp_path / "one.avi", films.moving(1), "mpeg4")
    if "libsvtav1" in av.codecs_available:
        files.append(films.write(tmp_path / "av1.mkv", films.moving(9, 64, 64), "libsvtav1"))
    making = Making(reader(name), Computed(Dis()), 8, None)
    part = Part(tmp_path / "parts", "part-00000", tuple((path.name, 0, path) for path in files), making)
    packed = {one.name: one for one in pack(part)}
    unusable = {name for name, one in packed.items() if one.video is None}
    checked = {one.name: video_checks.remarks(one, 1) for one in check_files([(path.name, path) for path in files])}
    wrong = {name for name, remarks in checked.items() if any(CODES[code][0] == WRONG for code, _ in remarks)}
    assert wrong - {"many.avi"} == unusable == {"odd.mp4", "empty.avi", "text.avi", "one.avi"}
    others = {name for name, one in packed.items() if any("read by pyav" in note for note in one.notes)}
    expected = {"many.avi", "uncounted.avi", "ten.mkv", "mirrored.mp4", "edited.mp4", "cover.mp4", "av1.mkv"}
    assert others == (expected & set(packed) if name == "decord" else set())


def test_memory_does_not_grow_with_a_video(tmp_path: Path) -> None:
    """Pictures go to the disk one by one; of a long video no more is held than of a short one."""
    held: list[int] = []

    class Counting(PyAV):
        def frames(self, path: Path) -> Iterator[np.ndarray]:
            alive: list[weakref.ref[np.ndarray]] = []
            for number in range(60):
                frame = np.full((16, 18, 3), number, np.uint8)
                alive = [ref for ref in alive if ref() is not None] + [weakref.ref(frame)]
                held.append(len(alive))
                yield frame

    small = Drifting(tmp_path / "videos", groups=1, per_group=1)
    small.make(small.root)
    prepare(small, tmp_path, Dis(), recipe=RECIPE, with_reader=Counting(), processes=0, say=quiet)
    assert len(held) >= 180 and max(held) <= 4


def test_a_preparation_says_how_far_it_is(drifting: Drifting, tmp_path: Path) -> None:
    said: list[str] = []
    prepare(drifting, tmp_path, Dis(), recipe=RECIPE, say=said.append)
    assert re.fullmatch(r"prepare: 36 of 36 videos, \d+ s, 0 s left", said[-1])


def test_workers_end_with_their_parent() -> None:
    """The parent is killed in the middle; its workers see the end of their pipes and go."""
    code = (
        "import sys, os, time; from fusionlab.data.processes import in_processes; import test_prepare as t\n"
        "for pid in in_processes(t.pid_after, [0.0, 0.0, 0.3, 0.3, 2.0], 2): print(pid, flush=True)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *(p for p in sys.path if p)])}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pids = {int(parent.stdout.readline()) for _ in range(4)}
        parent.kill()
        parent.wait()
    until = time.monotonic() + 20
    while any(_runs(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in pids)


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_results_come_from_fresh_processes_and_errors_are_raised_here() -> None:
    pids = set(in_processes(pid_after, [0.05] * 6, 2))
    assert os.getpid() not in pids and 1 <= len(pids) <= 2
    assert set(in_processes(pid_after, [0.0, 0.0], 1)) == {os.getpid()}
    with pytest.raises(RuntimeError, match="ValueError"):
        list(in_processes(pid_after, [0.0, -1.0, 0.0], 2))
