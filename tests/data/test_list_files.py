import os
import pickle
from pathlib import Path

import pytest

from fusionlab.data.case_insensitive import CaseInsensitiveFolder
from fusionlab.data.list_files import Wrong, entries, is_a_line, read_json, refuse_outside, stays_inside, text_lines
from fusionlab.errors import UserError


@pytest.mark.parametrize(
    "content", [b"a 1\nb\n", b"a 1\r\nb", b"\xef\xbb\xbfa 1\n\nb\n\n", b"\n \t\n a 1 \r\nb\r\n", b"a 1\rb\r"]
)
def test_lines_have_no_ends_and_none_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    assert [line for _, line in text_lines(tmp_path / "list.txt")] == ["a 1", "b"]


def test_a_line_is_known_by_its_number_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\na\n\n\u2028b\x0cb\n")
    assert text_lines(tmp_path / "list.txt") == [("list.txt:2", "a"), ("list.txt:4", "b\x0cb")]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_bytes_that_are_no_utf8_are_told_with_their_line(tmp_path: Path, end: str) -> None:
    (tmp_path / "list.txt").write_bytes(end.join(["a.avi", "b.avi", "café.avi"]).encode("latin-1"))
    with pytest.raises(UserError, match="text in UTF-8") as error:
        text_lines(tmp_path / "list.txt")
    assert "list.txt:3: byte" in str(error.value)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="list not found"):
        text_lines(tmp_path / "list.txt")
    with pytest.raises(UserError, match="this is a folder"):
        text_lines(tmp_path)


@pytest.mark.parametrize("name", ["", "/a", "..", "../a", "a/..", "a/../../b", "a\0b"])
def test_names_that_climb_out(name: str) -> None:
    assert not stays_inside(name)
    with pytest.raises(UserError, match="stay inside"):
        refuse_outside(name)


@pytest.mark.parametrize("name", ["a", "-a", "..a", "a../b", "a/...", "#a;b&c!", "a b", "é/à.avi"])
def test_names_that_stay(name: str) -> None:
    assert stays_inside(name) and is_a_line(name) and refuse_outside(name) == name


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\x1fb", "a\udce9", "a\u2028b"])
def test_names_of_more_than_a_line(name: str) -> None:
    assert not is_a_line(name)
    with pytest.raises(UserError, match="one line of text"), Wrong() as wrong:
        entries([("list[0]", name, 0)], wrong)


def test_the_same_name_written_otherwise_is_the_same(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="twice") as error, Wrong() as wrong:
        assert entries([("l:1", "a/b.avi", 0), ("l:2", "./a//b.avi", 1)], wrong) == [("a/b.avi", 0)]
    assert "l:2: a/b.avi" in str(error.value)


def test_an_error_inside_is_not_hidden_by_what_was_gathered() -> None:
    with pytest.raises(ZeroDivisionError):
        gathered({"a": "b"}, 0)
    with pytest.raises(UserError, match="a, and there are more") as error:
        gathered({"a": "b", "c": "d"}, 1)
    told = str(pickle.loads(pickle.dumps(error.value)))
    assert told == (
        "a, and there are more errors in these lists\n  got:      a: 1: b\n            c: 1: d\n  try:      type this"
    )
    gathered({}, 1)


def gathered(wrongs: dict[str, str], divisor: int) -> float:
    with Wrong() as wrong:
        for what, place in wrongs.items():
            wrong.add(what, place, "type this")
        return 1 / divisor


def test_files_are_found_as_a_walk_finds_them(tmp_path: Path) -> None:
    """Against a loop over all files of the disk."""
    disk = ["a/x.avi", "a/X.avi", "B/y.avi", "b/y.avi", "C/d/Z.avi", "É/e.avi"]
    for name in disk:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    if len(list(tmp_path.rglob("*.avi"))) < len(disk):
        pytest.skip("this disk knows no case")

    def walked(name: str) -> str | None:
        alike = [one for one in disk if one.casefold() == name.casefold()]
        return name if name in alike else alike[0] if len(alike) == 1 else None

    below = CaseInsensitiveFolder(tmp_path)
    for name in [*disk, *map(str.upper, disk), *map(str.lower, disk), "a/none.avi", "none/x.avi", "a", "C/d"]:
        assert below.find(name) == walked(name), name
        assert below.find(name, any_case=False) == (name if name in disk else None)


def test_accents_are_one_letter_or_two(tmp_path: Path) -> None:
    (tmp_path / "cafe\u0301.avi").touch()
    found = CaseInsensitiveFolder(tmp_path).find("caf\u00e9.avi")
    assert found is not None and (tmp_path / found).is_file()


def test_a_link_is_followed_and_one_that_leads_nowhere_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x.avi").touch()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "run").symlink_to(tmp_path / "disk", target_is_directory=True)
    (tmp_path / "set" / "gone.avi").symlink_to(tmp_path / "nowhere")
    assert CaseInsensitiveFolder(tmp_path / "set").find("run/X.avi") == "run/x.avi"
    assert CaseInsensitiveFolder(tmp_path / "set").find("gone.avi") is None


def test_a_list_that_would_never_end_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "device.txt").symlink_to("/dev/zero")
    for name in ("pipe.txt", "device.txt"):
        for read in (text_lines, read_json):
            with pytest.raises(UserError, match="a pipe or a device"):
                read(tmp_path / name)


def test_json_lists_are_bounded_too(tmp_path: Path) -> None:
    for content in ("[" * 10**6, "[1e309]", "1" * 10**5):
        (tmp_path / "list.json").write_text(content)
        with pytest.raises(UserError, match=r"JSON") as error:
            read_json(tmp_path / "list.json")
        assert len(str(error.value)) < 300 + len(str(tmp_path))


def test_a_line_of_millions_of_signs_is_told_shortly() -> None:
    with pytest.raises(UserError) as error, Wrong() as wrong:
        wrong.add("no name", "a.txt:1: " + "x" * 10**7)
    assert len(str(error.value)) < 2000
