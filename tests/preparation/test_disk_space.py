"""A disk that is too small is told before it is full, and when it is; what is on it then is right, and gone on with."""

import shutil
import subprocess
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_fakes import Drifting

from fusionlab.errors import UserError
from fusionlab.preparation import disk_space
from fusionlab.preparation.flow_sources import Computed, Making
from fusionlab.preparation.prepare import prepare, prepared
from fusionlab.video.decode import PyAV
from fusionlab.video.flow import Dis
from fusionlab.video.store import Coding, Store

RECIPE = {"data": "drifting"}
Usage = namedtuple("Usage", "total used free")
KIB = 1024


def on_disk(drifting: Drifting, disk: Path, said: list[str], processes: int = 0, **more: object) -> Path:
    words = {"recipe": RECIPE, "bound": 8, "chunk": 7, "say": said.append, "processes": processes, **more}
    return prepare(drifting, disk, Dis(), **words)  # type: ignore[arg-type]


@pytest.mark.parametrize("coding", [Coding(), Coding("jpeg", "lz4"), Coding("lz4", "jpeg")], ids=str)
@pytest.mark.parametrize("backward", [False, True])
def test_the_estimate_is_near_what_is_written(
    drifting: Drifting, tmp_path: Path, coding: Coding, backward: bool
) -> None:
    videos = [(name, label, drifting.path(name)) for name, label in drifting.videos()]
    making = Making(PyAV(), Computed(Dis()), 8, None, coding, backward)
    need = disk_space.DiskSpace(tmp_path, videos, making).need()
    folder = on_disk(drifting, tmp_path, [], coding=coding, backward=backward)
    written = sum(file.stat().st_size for file in folder.rglob("*.bin"))
    assert 0.7 < need / written < 1.4


def test_too_little_is_refused_before_and_nothing_is_written(
    drifting: Drifting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 300 * KIB))
    with pytest.raises(UserError, match="not enough disk space") as error:
        on_disk(drifting, tmp_path, [])
    assert "300 KiB free" in str(error.value) and "data.store.codec.frames=jpeg" in str(error.value)
    assert not list(tmp_path.rglob("*.bin"))


def test_what_may_be_too_little_is_said(drifting: Drifting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 700 * KIB))
    said: list[str] = []
    on_disk(drifting, tmp_path, said)
    assert "this may not be enough" in said[0]


def test_a_disk_that_others_fill_is_noticed_on_the_way(
    drifting: Drifting, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([1 << 30])
    monkeypatch.setattr(disk_space, "EVERY", 0.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, next(free, 10 * KIB)))
    with pytest.raises(UserError, match="will be full before"):
        on_disk(drifting, tmp_path, [])
    monkeypatch.undo()
    assert Store.open(on_disk(drifting, tmp_path, [])).hash == store.hash


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small disk in memory; skipped where mounting is not allowed."""
    place = tmp_path / "disk"

    def mount(size: str) -> Path:
        how = "remount," if place.exists() else ""
        place.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"{how}size={size}", "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            pytest.skip("no disk may be mounted here")
        return place

    yield mount
    subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True, timeout=20)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("coding", [Coding(), Coding("lz4", "lz4")], ids=["raw", "lz4"])
def test_a_disk_that_is_full_in_the_middle(
    drifting: Drifting, tmp_path: Path, disk: Callable[[str], Path], processes: int, coding: Coding
) -> None:
    place = disk("600k")
    # Whichever is seen first: the full disk, the estimate on the way, or the one of a process that begins last.
    with pytest.raises(UserError, match=r"the disk (is|will be) full|not enough disk space"):
        on_disk(drifting, place, [], processes=processes, coding=coding)
    assert prepared(place, RECIPE) is None
    assert list(place.rglob("*.bin")), "some are packed"
    disk("40m")
    found = Store.open(on_disk(drifting, place, [], processes=processes, coding=coding))
    found.verify()
    assert found.hash == Store.open(on_disk(drifting, tmp_path / "roomy", [], coding=coding)).hash


def space(drifting: Drifting, folder: Path, packed: int) -> disk_space.DiskSpace:
    """The space of a store of which so many bytes are packed."""
    videos = [(name, label, drifting.path(name)) for name, label in drifting.videos()]
    made = disk_space.DiskSpace(folder, videos, Making(PyAV(), Computed(Dis()), 8, None))
    (folder / "part-00000").mkdir()
    (folder / "part-00000" / "frames.bin").write_bytes(bytes(packed))
    return made


def test_what_is_packed_is_not_needed_again(
    drifting: Drifting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 10 * KIB))
    one = space(drifting, tmp_path, 100 * KIB)
    one.check_before(115 * KIB, lambda _: None)
    with pytest.raises(UserError, match="not enough disk space"):
        one.check_before(125 * KIB, lambda _: None)


def test_the_first_videos_say_too_little_about_the_others(
    drifting: Drifting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, KIB))
    monkeypatch.setattr(disk_space, "EVERY", 0.0)
    one = space(drifting, tmp_path, 100 * KIB)
    for _ in range(9):
        one.check_after_video(20)
    with pytest.raises(UserError, match="the disk will be full"):
        one.check_after_video(20)
