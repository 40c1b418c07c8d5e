"""The doctor finds each planted fault, that one alone, and nothing in a sound set."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import doctor_fakes as fakes
import pytest
from doctor_fakes import FIRST, NAMES, TESTED, WORDS, names, replant, videos, wrong
from terminal import Done

Say = Callable[..., Done]


def test_nothing_is_wrong_in_a_sound_set(doctor: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    status, report = doctor()
    assert (status, report["healthy"], report["findings"]) == (0, True, [])
    assert report["videos"] == len(NAMES) and report["data"] == "ucf101"
    assert report["looked_at"]["pairs of frames compared"] == 3 * len(NAMES)
    assert len(report["looked_at"]["faults judged"]) == 70 and not report["not_looked_at"]


# -- faults of files and lists


def unreadable(home: Path) -> None:
    (videos(home) / FIRST).write_bytes(b"this is no video" * 500)


def empty(home: Path) -> None:
    (videos(home) / FIRST).write_bytes(b"")


def absent(home: Path) -> None:
    (videos(home) / FIRST).unlink()


def truncated(home: Path) -> None:
    file = videos(home) / FIRST
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def damaged(home: Path) -> None:
    """Bytes of the pictures are flipped; the container stays as it was."""
    file = videos(home) / FIRST
    content = bytearray(file.read_bytes())
    chunks = [one.start() for one in re.finditer(b"00dc", bytes(content))][3:6]  # of the fourth frame and the next ones
    for at in chunks:
        for place in range(at + 40, at + 8 + int.from_bytes(content[at + 4 : at + 8], "little"), 40):
            content[place] ^= 0xFF
    file.write_bytes(bytes(content))


def zero_length(home: Path) -> None:
    fakes.mpeg4(videos(home) / FIRST, fakes.wander(1)[:1])


def tiny(home: Path) -> None:
    fakes.mpeg4(videos(home) / FIRST, fakes.wander(1)[:, :8, :8])


def copied(home: Path) -> None:
    shutil.copy(videos(home) / TESTED, videos(home) / FIRST)


def class_without_videos(home: Path) -> None:
    lines = (videos(home) / "trainlist01.txt").read_text().splitlines()
    fakes.lists(home, "trainlist01.txt", [line for line in lines if not line.startswith("Walk")])


def class_without_test_videos(home: Path) -> None:
    lines = (videos(home) / "testlist01.txt").read_text().splitlines()
    fakes.lists(home, "testlist01.txt", [line for line in lines if not line.startswith("Walk")])


def group_on_both_sides(home: Path) -> None:
    test = (videos(home) / "testlist01.txt").read_text().splitlines()
    other = FIRST.replace("_g02_c01", "_g01_c02")
    shutil.move(videos(home) / FIRST, videos(home) / other)
    train = (videos(home) / "trainlist01.txt").read_text().replace(FIRST, other).splitlines()
    fakes.lists(home, "trainlist01.txt", train)
    assert test[0] == TESTED


def name_on_both_sides(home: Path) -> None:
    test = (videos(home) / "testlist01.txt").read_text().splitlines()
    fakes.lists(home, "testlist01.txt", [*test, FIRST])


# fault -> (its codes, the files that it names); a file that is another one than was packed has another number of frames
FILES: list[tuple[Callable[[Path], None], list[str], list[str]]] = [
    (unreadable, ["unreadable"], [FIRST]),
    (empty, ["empty"], [FIRST]),
    (absent, ["absent"], [FIRST]),
    (truncated, ["truncated"], [FIRST]),
    (damaged, ["damaged"], [FIRST]),
    (zero_length, ["zero-length"], [FIRST]),
    (tiny, ["tiny"], [FIRST]),
    (copied, ["copies-across-lists"], [TESTED, FIRST]),
    (class_without_videos, ["class-counts"], ["Walk"]),
    (class_without_test_videos, ["class-counts"], ["Walk"]),
    (group_on_both_sides, ["groups-shared"], [FIRST.replace("_g02_c01", "_g01_c02"), TESTED]),
    (name_on_both_sides, ["names-shared"], [FIRST]),
]


@pytest.mark.parametrize("plant, codes, files", FILES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_fault_of_files_or_lists_is_found_alone(
    doctor: Callable[..., tuple[int, dict[str, Any]]],
    home: Path,
    plant: Callable[[Path], None],
    codes: list[str],
    files: list[str],
) -> None:
    plant(home)
    shutil.rmtree(fakes.stores(home))  # it was made of other files
    status, report = doctor()
    assert (status, wrong(report), report["healthy"]) == (1, codes, False)
    assert sorted(names(report, codes[0])) == sorted(files)
    assert [one for one in report["not_looked_at"] if one.startswith("flow: there is no finished store")]


# -- what it says, and to whom


def test_the_text_names_code_files_and_what_to_do(say: Say, home: Path) -> None:
    empty(home)
    done = say("doctor", *WORDS, f"run.data={home}")
    assert done.status == 1
    assert "wrong  empty: 1 video: 0 bytes" in done.out and f"         {FIRST}" in done.out
    assert "  try:   " in done.out and done.out.endswith("1 thing wrong\n")
    assert "doctor: 9 of 9 videos" in done.err


def test_the_quarantine_makes_it_well(say: Say, home: Path, tmp_path: Path) -> None:
    """And what is quarantined is not looked at, which is said; a second quarantine holds the first one's names too."""
    empty(home)
    bad, worse = tmp_path / "bad.txt", tmp_path / "worse.txt"
    assert say("doctor", *WORDS, f"run.data={home}", "--quarantine", str(bad)).status == 1
    assert bad.read_text().splitlines() == [f"{FIRST} # empty"]
    (videos(home) / TESTED).unlink()
    words = [*WORDS, f"run.data={home}", f"data.quarantine={bad}"]
    assert say("doctor", *words, "--quarantine", str(worse)).status == 1
    assert [line.partition(" # ")[0] for line in worse.read_text().splitlines()] == sorted([FIRST, TESTED])
    done = say("doctor", *WORDS, f"run.data={home}", f"data.quarantine={worse}")
    assert done.status == 0 and "not checked: 2 quarantined videos" in done.out


@pytest.mark.parametrize("plant", [group_on_both_sides, name_on_both_sides])
def test_lists_that_leak_are_not_mended_by_a_quarantine(
    say: Say, home: Path, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    plant(home)
    shutil.rmtree(fakes.stores(home))
    done = say("doctor", *WORDS, f"run.data={home}", "--quarantine", str(tmp_path / "bad.txt"))
    assert "lists in which each group is on one side" in done.out and not (tmp_path / "bad.txt").read_text()


def test_of_copies_the_one_that_is_trained_on_goes(say: Say, home: Path, tmp_path: Path) -> None:
    copied(home)
    say("doctor", *WORDS, f"run.data={home}", "--quarantine", str(tmp_path / "bad.txt"))
    assert (tmp_path / "bad.txt").read_text().startswith(f"{FIRST} # copies-across-lists = {TESTED}")


def test_a_sample_of_none_says_so(doctor: Callable[..., tuple[int, dict[str, Any]]], home: Path) -> None:
    replant(home, lambda flow, k: flow[k][::-1])
    status, report = doctor("--sample", "0")
    assert status == 0 and report["not_looked_at"] == ["whether flow is that of the frames: --sample 0"]


@pytest.mark.parametrize(
    "words, told",
    [
        (["--sample", "many"], "--sample takes a whole number"),
        (["--sample", "100000"], "0 … 500"),
        (["--quick"], "unknown flag"),
        (["--quarantine"], "needs a value"),
        (["data=ucf101,hmdb51"], "one data set"),
        (["data.dataset.nam=x"], "unknown option"),
        ([*WORDS, "run.data=nowhere"], "are missing"),
    ],
)
def test_a_bad_command(say: Say, tmp_path: Path, words: list[str], told: str) -> None:
    done = say("doctor", *words)
    assert (done.status, done.out) == (2, "") and told in done.err and not list(tmp_path.iterdir())


def test_processes_say_the_same(say: Say, home: Path) -> None:
    unreadable(home)
    replant(home, lambda flow, k: flow[max(k - 1, 0)])
    one, two = (say("doctor", *WORDS[:-1], f"run.workers={n}", f"run.data={home}", "--json") for n in (1, 2))
    assert one.status == 1 and one.out == two.out


def test_its_workers_do_without_torch() -> None:
    code = "import sys, fusionlab.health.field_checks, fusionlab.health.video_checks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
