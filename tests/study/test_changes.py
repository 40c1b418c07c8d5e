import os

import pytest

from fusionlab.study.changes import FILE, MOST, Changes, note


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jobs").mkdir()
    return tmp_path / "jobs"


def test_each_line_is_read_once(folder):
    changes = Changes([str(folder)])
    assert changes.new() == []
    note(folder / "a", "claim")
    note(folder / "b c", "done")
    assert changes.new() == [(str(folder / "a"), "claim"), (str(folder / "b c"), "done")]
    assert changes.new() == []
    note(folder / "a", "end")
    changes.skip()
    note(folder / "b c", "arm")
    assert changes.new() == [(str(folder / "b c"), "arm")]


def test_a_line_that_is_being_written_is_read_when_it_has_its_end(folder):
    changes = Changes([str(folder)])
    file = folder / FILE
    file.write_text("claim a\ndo")
    assert changes.new() == [(str(folder / "a"), "claim")]
    with file.open("a") as more:
        more.write("ne a\n")
    assert changes.new() == [(str(folder / "a"), "done")]


def test_nonsense_is_left_out(folder):
    changes = Changes([str(folder)])
    (folder / FILE).write_bytes(b"\xff\x00\n\nclaim\nsteal a\nclaim a\n" + b"x" * 10_000 + b"\n")
    assert changes.new() == [(f"{folder}/", "claim"), (str(folder / "a"), "claim")]


@pytest.mark.parametrize("how", ["shorter", "another", "gone", "large"])
def test_lines_that_may_be_lost_are_told(folder, how):
    changes = Changes([str(folder)])
    for _ in range(3):
        note(folder / "a", "claim")
    changes.new()
    file = folder / FILE
    if how == "shorter":
        file.write_text("")
    elif how == "large":
        with file.open("a") as more:
            more.write("claim a\n" * (MOST // 8 + 1))
    else:
        file.rename(folder / "old")
        if how == "another":
            note(folder / "b", "claim")
    assert changes.new() is None
    assert changes.new() == []
    note(folder / "a", "done")
    assert changes.new() == [(str(folder / "a"), "done")]


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_a_file_of_another_kind_is_neither_read_nor_written(folder, tmp_path, what):
    victim = tmp_path / "victim"
    victim.write_text("claim a\n")
    place = folder / FILE
    {"link": lambda: place.symlink_to(victim), "pipe": lambda: os.mkfifo(place), "folder": place.mkdir}[what]()
    changes = Changes([str(folder)])
    note(folder / "a", "claim")
    assert changes.new() == []
    assert victim.read_text() == "claim a\n"


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    note(tmp_path / "missing" / "a", "claim")
    assert list(tmp_path.iterdir()) == []
