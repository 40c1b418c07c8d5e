"""Where a weight file is looked for, and what is said where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fusionlab.backbones.pretrained import locate
from fusionlab.backbones.tiny import Tiny
from fusionlab.errors import UserError

TOWER = Tiny(3, classes=2, size=32, width=8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """run.weights; the working directory is another one."""
    (tmp_path / "here").mkdir()
    (tmp_path / "weights" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "weights"


def put(path: Path) -> Path:
    path.write_bytes(b"weights")
    return path


def test_first_in_the_folder_then_in_the_working_directory(folder: Path) -> None:
    here = put(Path("x.mat"))
    assert locate("x.mat", TOWER, folder) == here
    there = put(folder / "x.mat")
    assert locate("x.mat", TOWER, folder) == there
    assert locate("./x.mat", TOWER) == here
    assert locate(str(here.resolve()), TOWER, folder) == here.resolve()
    deeper = put(folder / "sub" / "y.PTH")
    assert locate("sub/y.PTH", TOWER, folder) == deeper


def test_a_link_in_the_folder_is_followed(folder: Path, tmp_path: Path) -> None:
    """Such files are large, and often lie elsewhere."""
    (folder / "x.mat").symlink_to(put(tmp_path / "elsewhere.mat"))
    assert locate("x.mat", TOWER, folder) == folder / "x.mat"


def test_a_name_that_climbs_out_of_the_folder_is_only_a_path(folder: Path, tmp_path: Path) -> None:
    put(tmp_path / "out.pt")
    put(tmp_path / "weights" / "in.pt")
    assert locate("../out.pt", TOWER, folder / "sub").resolve() == tmp_path / "out.pt", "from the working directory"
    with pytest.raises(UserError, match="no such weight file"):
        locate("../in.pt", TOWER, folder / "sub")


def test_home_is_home(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path / "mine.pt")
    assert locate("~/mine.pt", TOWER, folder) == tmp_path / "mine.pt"


def test_what_is_not_there_is_said_with_its_place(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        locate("imagenet-vgg-m-2048.mat", TOWER, folder)
    said = str(caught.value)
    assert f"put it at '{folder / 'imagenet-vgg-m-2048.mat'}'" in said and "'imagenet-vgg-m-2048.mat')" in said


@pytest.mark.parametrize("source", ["resnet", "weights", "x.txt", "", "x.mat.gz"])
def test_other_words_and_forms_are_refused(source: str, folder: Path) -> None:
    with pytest.raises(
        UserError, match=r"allowed:  null, imagenet, from:DATA, a file \.mat, a file \.safetensors, a file \.pt"
    ):
        locate(source, TOWER, folder)


def test_a_typo_is_answered(folder: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean weights=imagenet \?"):
        locate("imagnet", TOWER, folder)


def test_folders_and_empty_files_are_refused(folder: Path) -> None:
    (folder / "x.pt").mkdir()
    with pytest.raises(UserError, match="names something that is not a file"):
        locate("x.pt", TOWER, folder)
    (folder / "y.pt").touch()
    with pytest.raises(UserError, match="empty"):
        locate("y.pt", TOWER, folder)
    os.mkfifo(folder / "z.pt")
    with pytest.raises(UserError, match="is not a file"):
        locate("z.pt", TOWER, folder)


def test_what_may_not_be_read_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder / "x.pt")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything, whatever the mode
    with pytest.raises(UserError, match="is not readable"):
        locate("x.pt", TOWER, folder)
