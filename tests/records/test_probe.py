import errno
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from fusionlab.errors import UserError
from fusionlab.records import probe as module
from fusionlab.records.probe import probe


def test_a_local_folder_passes_and_nothing_stays_there(tmp_path):
    probe(tmp_path / "new" / "study")
    assert list((tmp_path / "new" / "study").iterdir()) == []


def test_a_file_system_without_links_passes_if_an_exclusive_create_is_one(tmp_path, monkeypatch):
    def link(*_):
        raise OSError(errno.EOPNOTSUPP, "no links here")

    monkeypatch.setattr(os, "link", link)
    probe(tmp_path)


def late_link(source, target, **_):
    """Looks whether the name is free, then copies."""
    if Path(target).exists():
        raise FileExistsError(errno.EEXIST, "there", str(target))
    time.sleep(0.05)
    shutil.copy(source, target)


def test_a_link_that_two_can_make_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", late_link)
    with pytest.raises(UserError, match=r"3 of 3 processes created one file[\s\S]*run.root="):
        probe(tmp_path)
    assert list(tmp_path.iterdir()) == []


ONE = threading.Lock()  # each does this as a whole, and nevertheless all win


def replace(source, target):
    with ONE:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        shutil.rmtree(source)


def merge(source, target):
    with ONE:
        shutil.copytree(source, target, dirs_exist_ok=True)
        shutil.rmtree(source)


def fail(_source, _target):
    raise OSError(errno.EIO, "input/output error")


def once(copy):
    """A rename that only the first caller may make, done by `copy`."""

    def rename(source, target):
        try:
            Path(target).with_suffix(".once").touch(exist_ok=False)
        except FileExistsError:
            raise OSError(errno.ENOTEMPTY, "not empty", str(target)) from None
        copy(source, target)

    return rename


@once
def half(source, target):
    shutil.copytree(source, target)
    (Path(target) / "b").unlink()
    shutil.rmtree(source)


@once
def keep(source, target):
    shutil.copytree(source, target)


@pytest.mark.parametrize(
    ("rename", "reason"),
    [
        (replace, "of 3 folders were renamed to one name"),
        (merge, "of 3 folders were renamed to one name"),
        (half, "a renamed folder is not complete"),
        (fail, "rename fails there .input/output error"),
        (keep, "a renamed folder is still at its old place"),
    ],
)
def test_a_rename_that_is_not_one_is_refused(tmp_path, monkeypatch, rename, reason):
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(UserError, match=reason):
        probe(tmp_path)


def test_the_races_are_races(monkeypatch):
    """Each racer starts only when all are there."""
    assert module._race(lambda racer: racer != 1) == [0, 2]
