"""What several folders of tests look at, made once, also under xdist."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brush_fakes import Film, film
from data_fakes import Drifting
from hypothesis import settings
from terminal import FAST, LINE, Done, Lab, typed

from fusionlab.data import processes
from fusionlab.preparation.prepare import prepare
from fusionlab.records.lock import alone
from fusionlab.video.flow import Dis
from fusionlab.video.store import Store

settings.register_profile("fusionlab", deadline=None, derandomize=True, database=None)
settings.load_profile("fusionlab")


@pytest.fixture(autouse=True)
def _few_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker reads files in the test's own process, which is quicker by the start of another one."""
    if request.node.get_closest_marker("isolated") is None:
        monkeypatch.setattr(processes, "ISOLATED", False)


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all of this session's processes share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "together"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def study(together: Path) -> Lab:
    """The line, swept for real in a folder of its own; its streams and its data are what all others use."""
    lab = Lab(together / "lab", together / "data")
    with alone(together / "lab.lock", print, "the shared study"):
        if not (together / "finished").is_file():
            done = lab.run("sweep", *LINE, FAST, "run.checkpoint_every=2")
            (together / "stdout.txt").write_text(done.out, encoding="utf-8")
            (together / "stderr.txt").write_text(done.err, encoding="utf-8")
            (together / "finished").write_text(str(done.status), encoding="utf-8")
    return lab


@pytest.fixture(scope="session")
def first_run(study: Lab, together: Path) -> Done:
    """What the command that made the shared study said."""
    out, err = ((together / f"{name}.txt").read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    return Done(int((together / "finished").read_text(encoding="utf-8")), out, err)


@pytest.fixture
def fresh(study: Lab, tmp_path: Path) -> Iterator[Lab]:
    """Another working directory with the trained streams of the shared study, and no study."""
    shutil.copytree(study.home / "runs" / "streams", tmp_path / "runs" / "streams")
    lab = Lab(tmp_path, study.data)
    yield lab
    lab.close()


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Type a command without starting a process; in an empty folder, unless another is named."""

    def type_it(verb: str, *words: str, home: Path | None = None) -> Done:
        monkeypatch.chdir(home or tmp_path)
        capsys.readouterr()
        status = typed(verb, words)
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    monkeypatch.delenv("FUSIONLAB_DATA", raising=False)
    return type_it


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A small disk in memory; skipped where mounting is not allowed."""
    mounted: list[Path] = []

    def new(name: str, size: str) -> Path:
        place = tmp_path / name
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            pytest.skip("no disk may be mounted here")
        mounted.append(place)
        return place

    yield new
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True, timeout=20)


@pytest.fixture(scope="session")
def shared(together: Path) -> Path:
    """The part of it for clips of brush."""
    folder = together / "brush shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def filmed(shared: Path) -> Film:
    """800 clips of the data set, seen once for all tests."""
    return _once(shared / "film.npz", lambda: film(shared, 800))


def _once(path: Path, make: Callable[[], Film]) -> Film:
    with alone(path.with_suffix(".lock"), lambda _: None, "film"):
        if not path.exists():
            made = path.with_suffix(".new.npz")
            make().save(made)
            made.rename(path)
    return Film.load(path)


@pytest.fixture(scope="session")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Drifting:
    made = Drifting(tmp_path_factory.mktemp("drifting videos"))
    made.make(made.root)
    return made


@pytest.fixture(scope="session")
def store(drifting: Drifting, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("stores")
    return Store.open(
        prepare(drifting, folder, Dis(), recipe={"data": "drifting"}, bound=8, chunk=7, say=lambda _: None)
    )
