"""Brush's videos under the names and in the lists of UCF101 and HMDB51: from their files to a table."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminal import FAST, Lab

from fusionlab.data.brush.brush import Brush
from fusionlab.data.hmdb51 import HMDB51
from fusionlab.data.ucf101 import UCF101

pytestmark = pytest.mark.slow
SMALL = (
    "backbone=tiny", "fusion=sum", "layer=relu5", "flow=dis", "data.store.size=null", "data.sampling.crop=48",
    "data.sampling.snippets=2", "data.sampling.stride=2", "data.sampling.fields=6", "data.dataset.counts=false",
    "run.workers=1", FAST,
)  # fmt: skip


@pytest.fixture(scope="module")
def brush(tmp_path_factory: pytest.TempPathFactory) -> Brush:
    made = Brush(what=1, binding=0)
    made.make(tmp_path_factory.mktemp("drawn"))
    return made


def as_ucf101(brush: Brush, home: Path) -> None:
    """The two archives as they are unpacked; brush's own lists have the format already."""
    first = brush.path(brush.lists(1)[0][0][0])
    shutil.copytree(first.parents[1], home / "UCF-101", ignore=shutil.ignore_patterns("*.txt", "*.json"))
    (home / "ucfTrainTestlist").mkdir()
    for file in first.parents[1].glob("*.txt"):
        shutil.copy(file, home / "ucfTrainTestlist")


def as_hmdb51(brush: Brush, home: Path) -> None:
    """A folder and three lists for each class; a file is source_class_….avi, and its list says what it is for."""
    (home / "lists").mkdir(parents=True)
    for split in (1, 2, 3):
        lines: dict[str, list[str]] = {}
        for code, entries in zip((1, 2), brush.lists(split), strict=True):
            for name, _ in entries:
                folder, group = name.partition("/")[0], brush.group(name).rpartition("/")[2]
                place = home / "hmdb51_org" / folder / f"{group}_{folder}_u_nm_np1_fr_goo_{Path(name).stem[-2:]}.avi"
                lines.setdefault(folder, []).append(f"{place.name} {code} ")
                if not place.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(brush.path(name), place)
        for folder, own in lines.items():
            (home / "lists" / f"{folder}_test_split{split}.txt").write_text("\n".join(own), encoding="utf-8")
    (home / "lists").rename(home / "test_train_splits")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, tmp_path / "data")
    yield made
    made.close()


@pytest.mark.parametrize(("name", "write", "made"), [("ucf101", as_ucf101, UCF101), ("hmdb51", as_hmdb51, HMDB51)])
def test_it_goes_from_files_to_a_table(
    name: str, write: Callable[[Brush, Path], None], made: type[UCF101] | type[HMDB51], brush: Brush, lab: Lab
) -> None:
    home = lab.data / "videos" / name
    write(brush, home)
    dataset = made(counts=False)
    dataset.expect(lab.data / "videos", split=1, packed=False)
    for split in (1, 2, 3):
        assert [sorted(label for _, label in part) for part in dataset.lists(split)] == [
            sorted(label for _, label in part) for part in brush.lists(split)
        ]
    words = (f"data={name}", f"data.dataset.classes={brush.class_count}", *SMALL)
    packed = lab.run("prepare", *words)
    assert packed.status == 0, packed.err
    done = lab.run("sweep", *words, "table=feichtenhofer2016_table1" if name == "ucf101" else "table=all")
    assert done.status == 0, done.err
    with (lab.study / "report" / "table.csv").open(encoding="utf-8") as file:
        rows = {row["method"]: row for row in csv.DictReader(file) if row["status"] == "done"}
    assert {"Appearance alone", "Motion alone", "Late fusion", "Sum"} <= set(rows)
    cells = [cell for row in rows.values() for head, cell in row.items() if "paper" in head]
    assert not any(cells), "the paper's towers are no tiny ones"
    assert all(int(row["videos"]) == len(brush.lists(1)[1]) for row in rows.values())
