"""What is said of files, copies and lists, and how it is written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fusionlab.errors import UNSAFE, show, visible
from fusionlab.health.findings import NOTE, SHOWN, WRONG, Finding, Report, of_files
from fusionlab.health.list_checks import find_copies, group_copies
from fusionlab.health.video_checks import CheckedFile, check_files, remarks
from fusionlab.records.files import to_json
from fusionlab.video.inspection import Inspection

SOUND = Inspection(declared=30, decoded=30, streams=1, height=240, width=320, rate=25)


def told(name: str = "a", sha256: str | None = "5", size: int = 9, **found: object) -> list[str]:
    """The codes of a file that is sound but for this."""
    return [code for code, _ in remarks(CheckedFile(name, Inspection(**{**vars(SOUND), **found}), sha256, size), 10)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "found, codes",
    [
        ({}, []),
        ({"declared": 31}, []),  # HMDB51's headers count one too many
        ({"sha256": None, "decoded": 0}, ["absent"]),
        ({"size": 0, "decoded": 0}, ["empty"]),
        ({"decoded": 0, "streams": 0, "error": "Invalid data"}, ["unreadable"]),
        ({"decoded": 0, "error": "no frame can be decoded"}, ["zero-length"]),
        ({"decoded": 0, "cut": True, "error": "no frame can be decoded"}, ["unreadable"]),
        ({"decoded": 1, "declared": 1}, ["zero-length"]),
        ({"decoded": 20, "cut": True, "concealed": 1}, ["truncated"]),
        ({"concealed": 3}, ["damaged"]),
        ({"decoded": 28, "error": "Invalid data"}, ["damaged"]),
        ({"notes": ("the size of its frames changes: 4×3, then 8×6",)}, ["changing-size"]),
        ({"height": 1, "width": 1}, ["tiny"]),
        ({"streams": 2, "notes": ("2 video streams; stream 3 is read",)}, ["streams"]),
        ({"variable": True, "notes": ("its frames are not equally long: 1 to 2 ms",)}, ["variable-rate"]),
        ({"decoded": 11, "declared": 11}, []),
        ({"decoded": 10, "declared": 10}, ["short"]),
        ({"notes": ("its time stamps do not fit",)}, ["odd"]),
        ({"concealed": 3, "streams": 2}, ["damaged", "streams"]),
    ],
)
def test_a_file_has_one_fault_and_all_its_notes(found: dict[str, object], codes: list[str]) -> None:
    assert told(**found) == codes  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "folder.avi").mkdir()
    files = [
        ("a.avi", tmp_path / "a.avi"),
        ("folder.avi", tmp_path / "folder.avi"),
        ("b.avi", tmp_path / "no" / "b.avi"),
    ]
    assert [remarks(one, 10)[0][0] for one in check_files(files)] == ["absent", "unreadable", "absent"]


def test_contents_are_alike_by_any_digest() -> None:
    """a and b by their files, b and c by their pixels; d is alone."""
    contents = [("a", "f1"), ("b", "f1"), ("c", "f2"), ("d", "f3"), ("a", "p1"), ("b", "p2"), ("c", "p2"), ("d", "p4")]
    assert group_copies(contents) == [["a", "b", "c"]]
    assert group_copies(reversed(contents)) == [["a", "b", "c"]]
    assert group_copies([("a", "1"), ("b", "1"), ("c", "2"), ("d", "2"), ("a", "3"), ("d", "3")]) == [
        ["a", "b", "c", "d"]
    ]


def test_copies_across_the_lists_of_a_split_are_wrong() -> None:
    lists = {1: ([("a", 0), ("b", 0)], [("c", 0), ("d", 1)]), 2: ([("c", 0), ("d", 1)], [("a", 0), ("b", 0)])}
    assert [(one.code, one.severity) for one in find_copies([["a", "b"]], lists)] == [("copies", NOTE)]
    (across,) = find_copies([["a", "c"]], {1: lists[1]})
    assert (across.code, across.severity, list(across.leave_out)) == ("copies-across-lists", WRONG, ["a"])
    assert across.files == {"a": "= c", "c": "= a"} and across.numbers == {"splits": [1]}
    assert find_copies([["a", "c"]], lists)[0].numbers == {"splits": [1, 2]}
    assert find_copies([], lists) == []


def test_text_shows_the_first_files_and_json_all() -> None:
    files = {f"video {n}": f"why {n}" for n in range(SHOWN + 3)}
    report = Report("some", 20, of_files("empty", WRONG, "{videos}: 0 bytes", files), {"videos": 20}, ["flow"])
    text = report.text()
    assert "13 videos: 0 bytes" in text and "video 9: why 9" in text and "video 10" not in text
    assert "… and 3 more" in text and "not checked: flow" in text and text.endswith("1 thing wrong")
    (plain,) = report.plain()["findings"]
    assert plain["count"] == 13 and plain["files"][12] == {"name": "video 12", "why": "why 12"}
    assert report.plain()["healthy"] is False


def test_notes_alone_are_no_illness() -> None:
    report = Report("some", 1, of_files("short", NOTE, "{videos} short", {"a": ""}))
    assert report.healthy and report.findings[0].remedy == "" and report.quarantine() == ""


def test_what_is_wrong_comes_first() -> None:
    report = Report("some", 1, [Finding("a", NOTE, ""), Finding("b", WRONG, ""), Finding("c", NOTE, "")])
    assert [one.code for one in report.ordered] == ["b", "a", "c"]


def test_a_quarantine_says_all_reasons_in_one_line() -> None:
    findings = [
        *of_files("empty", WRONG, "", {"b #1.avi": "", "a.avi": "two\nlines"}),
        *of_files("tiny", WRONG, "", {"a.avi": "1×1"}),
        *of_files("short", NOTE, "", {"c.avi": ""}),
    ]
    report = Report("some", 3, findings, quarantined=["z.avi"])
    assert report.quarantine().splitlines() == [
        "a.avi # empty two lines; tiny 1×1",
        "b #1.avi # empty",
        "z.avi # quarantined before",
    ]


def test_a_name_from_anywhere_steers_no_terminal_and_begins_no_line() -> None:
    evil = "a\x1b[2J\nnothing is wrong\u202e\ud800.avi"
    report = Report("some", 1, of_files("cut", WRONG, "{videos} cut", {evil: evil}), {"videos": 1})
    show(report.text())
    assert "\nnothing is wrong" not in report.text()
    assert not UNSAFE.search(visible(report.text())) and not UNSAFE.search(to_json(report.plain()))
    assert json.loads(to_json(report.plain()).encode())["findings"][0]["files"][0]["name"] == evil
    assert not UNSAFE.search(report.quarantine().partition(" # ")[2])  # the name itself stays what it is
