import errno
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from fusionlab.errors import UNSAFE, UserError
from fusionlab.records import files
from fusionlab.records.files import (
    DEEPEST,
    DIGITS,
    create_exclusive,
    folder_clock,
    parse_json,
    publish,
    read_json,
    read_whole,
    safe_join,
    to_json,
    write_bytes,
    write_json,
    write_text,
)

SPAWN = multiprocessing.get_context("spawn")


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_write_makes_folders_and_replaces(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "one\n")
    write_text(tmp_path / "a" / "b.txt", "zwö\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "zwö\n".encode()
    write_json(tmp_path / "c.json", {"b": 1, "a": [None, 0.1]})
    assert read_json(tmp_path / "c.json") == {"b": 1, "a": [None, 0.1]}
    assert listing(tmp_path) == ["a", "c.json"]
    assert listing(tmp_path / "a") == ["b.txt"]


def test_publishing_syncs_what_was_written_without(tmp_path, monkeypatch):
    synced, real = [], os.fsync

    def fsync(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}").removeprefix(f"{tmp_path}/"))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_json(tmp_path / "result" / "a.json", 1, sync=False)
    write_bytes(tmp_path / "result" / "deep" / "b", b"2", sync=False)
    assert synced == []
    assert publish(tmp_path / "result", tmp_path / "published" / "x")
    assert sorted(synced[:-1]) == ["result", "result/a.json", "result/deep", "result/deep/b"]
    assert synced[-1] == "published"
    assert read_json(tmp_path / "published" / "x" / "a.json") == 1


def test_json_is_json_and_what_is_not_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1
    (tmp_path / "b.json").write_text('{"half": ')
    for name in ("b.json", "missing.json"):
        with pytest.raises(UserError, match="file"):
            read_json(tmp_path / name)


KILLED = """
import os, signal, sys
from pathlib import Path
from fusionlab.records import files
real, calls = {act}, 0
def dies(*a, **k):
    os.kill(os.getpid(), signal.SIGKILL)
{act} = dies
files.write_text(Path(sys.argv[1]) / "a.txt", "new" * 100000)
"""


@pytest.mark.parametrize("act", ["os.replace", "os.fsync"])
def test_killed_while_writing_the_old_content_stands(tmp_path, act):
    write_text(tmp_path / "a.txt", "old")
    done = subprocess.run([sys.executable, "-c", KILLED.format(act=act), str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [name for name in listing(tmp_path) if not name.startswith(".")] == ["a.txt"]


def claim_many(folder, who, barrier, answers):
    for number in range(60):
        barrier.wait()
        answers.put((number, who, create_exclusive(f"{folder}/{number}", str(who) * 5000)))


def test_two_processes_racing_for_a_claim_one_wins_and_nobody_sees_a_half(tmp_path):
    barrier, answers = SPAWN.Barrier(2), SPAWN.Queue()
    racers = [SPAWN.Process(target=claim_many, args=(tmp_path, who, barrier, answers)) for who in (1, 2)]
    for racer in racers:
        racer.start()
    sizes = set()
    while any(racer.is_alive() for racer in racers):
        sizes |= {(tmp_path / name).stat().st_size for name in listing(tmp_path) if not name.startswith(".")}
        time.sleep(0.001)  # the racers need the cores
    got = [answers.get(timeout=5) for _ in range(120)]
    for number in range(60):
        winners = [who for claim, who, won in got if claim == number and won]
        assert len(winners) == 1
        assert (tmp_path / str(number)).read_text() == str(winners[0]) * 5000
    assert sizes <= {5000}
    assert len(listing(tmp_path)) == 60


def test_a_file_system_without_links_still_lets_one_win(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EOPNOTSUPP, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    assert create_exclusive(tmp_path / "claim", "mine")
    assert not create_exclusive(tmp_path / "claim", "other")
    assert (tmp_path / "claim").read_text() == "mine"
    assert listing(tmp_path) == ["claim"]


def test_a_lost_answer_to_a_link_is_still_a_win(tmp_path, monkeypatch):
    link = os.link

    def twice(a, b):
        link(a, b)
        raise FileExistsError(errno.EEXIST, "the repetition found its own name")

    monkeypatch.setattr(os, "link", twice)
    assert create_exclusive(tmp_path / "claim", "mine")


def publish_one(folder, who, barrier, answers):
    for number in range(30):
        attempt = folder / f"attempt-{number}-{who}"
        attempt.mkdir()
        (attempt / "a.txt").write_text(str(who))
        (attempt / "b.txt").write_text(str(who))
        barrier.wait()
        answers.put((number, who, publish(attempt, folder / f"final-{number}")))


def test_two_processes_racing_to_publish_the_first_wins_whole_the_loser_keeps_its_own(tmp_path):
    barrier, answers = SPAWN.Barrier(2), SPAWN.Queue()
    racers = [SPAWN.Process(target=publish_one, args=(tmp_path, who, barrier, answers)) for who in (1, 2)]
    for racer in racers:
        racer.start()
    got = [answers.get(timeout=30) for _ in range(60)]
    for racer in racers:
        racer.join()
    for number in range(30):
        (winner,) = [who for final, who, won in got if final == number and won]
        final = tmp_path / f"final-{number}"
        assert [(final / name).read_text() for name in ("a.txt", "b.txt")] == [str(winner)] * 2
        assert listing(tmp_path / f"attempt-{number}-{3 - winner}") == ["a.txt", "b.txt"]


def test_publishing_nothing_is_our_bug(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssertionError):
        publish(tmp_path / "empty", tmp_path / "final")


def test_the_clock_of_a_folder_goes_on_and_leaves_nothing(tmp_path):
    first = folder_clock(tmp_path)
    time.sleep(0.02)
    assert 0 < folder_clock(tmp_path) - first < 5
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", ["..", "a/../../b", "/etc", "", "a\0b"])
def test_a_name_cannot_climb_out(tmp_path, name):
    with pytest.raises(UserError, match="inside"):
        safe_join(tmp_path, name)


def test_safe_names(tmp_path):
    assert safe_join(tmp_path, "a=1,b=2", "run.json") == tmp_path / "a=1,b=2" / "run.json"
    (tmp_path / "out").symlink_to("/")
    with pytest.raises(UserError):
        safe_join(tmp_path, "out", "etc")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("act", [write_text, create_exclusive])
def test_a_disk_that_refuses_is_one_clear_error_and_nothing_is_half_written(tmp_path, monkeypatch, number, act):
    write_text(tmp_path / "a.txt", "old")

    def refuses(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuses)
    with pytest.raises(UserError) as caught:
        act(tmp_path / "b.txt", "new")
    assert "b.txt" in str(caught.value)
    assert "try:" in str(caught.value)
    with pytest.raises(UserError):
        write_text(tmp_path / "a.txt", "new")
    assert listing(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_other_errors_are_not_dressed_up(tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        write_bytes(tmp_path / "a", b"")


REAL = """
import sys, pathlib
from fusionlab.errors import UserError
from fusionlab.records.files import *
folder = pathlib.Path(sys.argv[1])
def outcome(act):
    try:
        act()
    except UserError as error:
        return str(error).splitlines()[0]
    return "nothing"
write_text(folder / "a.txt", "old")
print(outcome(lambda: write_bytes(folder / "a.txt", b"x" * 200_000)))
print(outcome(lambda: create_exclusive(folder / "b.txt", "x" * 200_000)))
print((folder / "a.txt").read_text(), sorted(one.name for one in folder.iterdir()))
import subprocess
subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
print(outcome(lambda: write_text(folder / "a.txt", "new")))
print(outcome(lambda: create_exclusive(folder / "claims" / "001.json", "x")))
print(outcome(lambda: folder_clock(folder)))
"""


def test_on_a_real_full_and_a_real_read_only_disk(tmp_path):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("no right to mount a small disk here")
    script = tmp_path / "real.py"
    script.write_text(REAL)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = textwrap.dedent('mount -t tmpfs -o size=64k none "$1" && exec "$2" "$3" "$1"')
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", str(disk), sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the disk is full",
        "the disk is full",
        "old ['a.txt']",
        "the disk is read-only",
        "the disk is read-only",
        "the disk is read-only",
    ]


def test_the_module_says_what_to_do_about_every_error_it_translates():
    assert all(what and hint for what, hint in files._ADVICE.values())


def bound(place):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(place))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (os.mkfifo, "not a regular file"),
        (lambda place: place.symlink_to("/dev/zero"), "not a regular file"),
        (lambda place: place.mkdir(), "not a regular file"),
        (lambda place: place.symlink_to(place), "cannot be read"),
        (bound, "cannot be read"),
        (lambda place: (place.touch(), os.truncate(place, 1 << 40)), "more than 256 MiB"),
        (lambda _: None, "no such file"),
        (lambda place: place.symlink_to("gone"), "no such file"),
    ],
)
def test_only_a_regular_file_of_bounded_size_is_read_and_nothing_is_waited_for(tmp_path, monkeypatch, make, word):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    make(Path("x.json"))
    begun, open_files = time.monotonic(), len(os.listdir("/proc/self/fd"))
    for read in (read_whole, read_json):
        with pytest.raises(UserError, match=word) as caught:
            read("x.json")
        assert caught.value.got == "x.json"
    assert time.monotonic() - begun < 30
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_a_file_as_large_as_allowed_is_read(tmp_path):
    (tmp_path / "x").write_bytes(b"abcd")
    assert read_whole(tmp_path / "x", 4) == b"abcd"
    with pytest.raises(UserError, match="more than"):
        read_whole(tmp_path / "x", 3)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"[" * 10**6, "levels"),
        (b'{"a":' * 10**5, "levels"),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "levels"),
        (b"1e309", "not a finite number"),
        (b"[-1e999]", "not a finite number"),
        (b"NaN", "not a finite number"),
        (b"-Infinity", "not a finite number"),
        (b"1" * 10**5, "more than 300 digits"),
        (b"-" + b"1" * DIGITS, "more than 300 digits"),
        (b'"\xff"', "not a readable JSON"),
        (b'"\xed\xa0\x80"', "not a readable JSON"),
        (b"\x00", "not a readable JSON"),
        (b"", "not a readable JSON"),
        (b"{}{}", "not a readable JSON"),
    ],
)
def test_json_that_no_program_of_ours_wrote(content, word):
    with pytest.raises(UserError, match=word) as caught:
        parse_json(content, "x.json")
    assert caught.value.got == "x.json"
    assert len(str(caught.value)) < 300


def test_json_at_its_bounds():
    deep = parse_json(b"[" * DEEPEST + b"]" * DEEPEST, "x")
    assert str(deep) == "[" * DEEPEST + "]" * DEEPEST
    assert float(parse_json(b"9" * DIGITS, "x")) < float("inf")
    assert parse_json(b"\xef\xbb\xbf[1e308, 1.5]", "x") == [1e308, 1.5]
    assert parse_json(b'"\\ud800"', "x") == "\ud800"


@pytest.mark.parametrize("text", ["a\ud800b", "\x7f\x9b\u202e", "\U000e0041\ufffe", "卷积 naïve 👩\u200d🔬", "\x1b\n"])
def test_json_goes_out_safe_to_show_and_in_the_same(tmp_path, text):
    write_json(tmp_path / "x.json", {text: [text]})
    assert read_json(tmp_path / "x.json") == {text: [text]}
    assert json.loads((tmp_path / "x.json").read_bytes()) == {text: [text]}
    assert not UNSAFE.search((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert to_json("卷积") == '"卷积"\n'
