"""A disk that is full or read-only: one message, exit code not 0, nothing half written, nothing lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import FAST, Lab, processes_of

pytestmark = pytest.mark.slow

Mount = Callable[..., Path]


def test_a_read_only_disk(fresh: Lab, mount: Mount) -> None:
    disk = mount("disk", "1m")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, timeout=20)
    done = fresh.run("sweep", "fusion=conv", FAST, f"run.root={disk}")
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[0] == "the disk is read-only"
    assert str(disk) in done.err and "try: " in done.err
    assert not list(disk.iterdir())


def test_a_full_disk_under_the_plan(fresh: Lab, mount: Mount) -> None:
    disk = mount("disk", "4k")
    done = fresh.run("sweep", "fusion=conv", FAST, f"run.root={disk}")
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[0] == "the disk is full"
    assert not [file for file in disk.rglob("*") if file.is_file()]


def test_a_full_disk_under_the_data(fresh: Lab, mount: Mount) -> None:
    disk = mount("disk", "400k")
    done = fresh.run("sweep", "fusion=conv", FAST, f"run.data={disk}")
    assert done.status == 1
    assert "the disk is full" in done.err and "Traceback" not in done.err
    assert not list((disk / "videos").glob("[!.]*")), "half a data set is none"
    again = fresh.run("sweep", "fusion=conv", FAST)  # elsewhere: where the data lie is no part of the study
    assert again.status == 0, again.err
    assert again.out.startswith("continued study: ")


def test_a_disk_that_fills_up_under_the_study(study: Lab, fresh: Lab, mount: Mount) -> None:
    """Whatever there is room for, the end is told, and with more room the same command goes on."""
    disk = mount("disk", "360k")
    command = ("sweep", "fusion=conv", FAST, f"run.root={disk}", "run.checkpoint_every=2")
    done = fresh.run(*command)
    assert done.status in (1, 2)
    assert "the disk is full" in done.err, done.err
    assert "Traceback" not in done.err
    assert processes_of(disk) == []
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True, timeout=20)
    again = fresh.run(*command)
    assert again.status == 0, again.err
    whole = study.records()
    found = Lab(disk.parent, fresh.data)
    (disk.parent / "runs").rename(disk.parent / "the streams that were there")
    (disk.parent / "runs").symlink_to(disk)
    assert found.records() == {name: whole[name] for name in found.records()}
    assert len(found.records()) == 5
