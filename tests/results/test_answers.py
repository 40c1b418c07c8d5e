"""Which answers were right: read without scores, kept once a list, and saved in one small file."""

from __future__ import annotations

import csv
import gc
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusionlab.errors import UserError
from fusionlab.records.predictions import FILE as PREDICTIONS
from fusionlab.records.predictions import read_predictions, write_predictions
from fusionlab.results import answers as module
from fusionlab.results.answers import Answers, SavedAnswers, answers_csv
from fusionlab.results.load import load
from fusionlab.results.report import read_answers, report
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table

ALL = Spec("")


def saved_study(study: Path) -> dict[str, Answers]:
    """Leave answers.csv in place of the predictions."""
    answers = read_answers(load(study))
    (study / module.FILE).write_text(answers_csv(answers))
    for file in study.rglob(PREDICTIONS):
        file.unlink()
    return answers


def test_answers_are_those_of_the_scores_and_have_one_byte_a_video(study: Path) -> None:
    for entry in load(study):
        read = read_predictions(entry.folder / PREDICTIONS)
        assert entry.answers.right.tolist() == [
            one == other for one, other in zip(read.predicted, read.labels, strict=True)
        ]
        assert entry.answers.right.nbytes == len(read.videos) and entry.answers is entry.answers
        assert entry.answers.of.videos == read.videos
        assert entry.answers.counts() == entry.result["kinds"]


def test_equal_lists_are_one_object_and_others_are_not(study: Path) -> None:
    entries = load(study)
    lists = {id(entry.answers.of): entry.answers.of for entry in entries}
    assert len(lists) == 1
    (tests,) = lists.values()
    parts = (tests.videos, tests.labels, tests.groups, tests.kinds)
    assert module.TestList.of(*map(list, parts)) is tests
    older = module.TestList.of(tests.videos, tests.labels, None, tests.kinds)
    assert older is not tests and older.same_videos(tests) and tests.same_videos(tests)
    for place in (0, 1, 3):
        changed = [list(part) if part else part for part in parts]
        changed[place][5] = "other"
        other = module.TestList.of(*changed)
        assert other is not tests and not other.same_videos(tests)
    known = len(module._KNOWN)
    del entries, lists, tests, older, other
    gc.collect()
    assert len(module._KNOWN) < known, "a list that nobody has is forgotten"


def test_saved_answers_are_those_of_the_predictions(study: Path) -> None:
    before = make_table(load(study), ALL)
    answers = saved_study(study)
    entries = load(study)
    for entry in entries:
        assert entry.answers.right.tolist() == answers[entry.name].right.tolist()
        assert entry.answers.of is answers[entry.name].of
    after = make_table(entries, ALL)
    assert [row.over_late for row in after.rows] == [row.over_late for row in before.rows]
    assert any(row.over_late["all"].networks for row in after.rows if row.over_late) and after.marked == before.marked


def test_predictions_come_before_saved_answers(study: Path) -> None:
    answers = read_answers(load(study))
    wrong = {name: Answers(own.of, ~own.right) for name, own in answers.items()}
    (study / module.FILE).write_text(answers_csv(wrong))
    for entry in load(study):
        assert entry.answers.right.tolist() == answers[entry.name].right.tolist()


def test_the_file_has_a_line_for_each_video_and_a_column_for_each_arm(study: Path) -> None:
    answers = saved_study(study)
    rows = list(csv.reader((study / module.FILE).read_text().splitlines()))
    tests = next(iter(answers.values())).of
    assert rows[0] == ["video", "group", "label", "kind", *answers]
    columns = (tests.videos, tests.groups, tests.labels, tests.kinds)
    assert [tuple(row[:4]) for row in rows[1:]] == list(zip(*columns, strict=True))
    assert {cell for row in rows[1:] for cell in row[4:]} == {"0", "1"}


def test_each_arm_keeps_the_videos_that_it_was_asked_about(tmp_path: Path) -> None:
    """Three lists: one with groups, one without, one of which the half is another split's."""
    first = module.TestList.of("abc", "xyx", "ggh", ["what", None, "what"])
    older = module.TestList.of("abc", "xyx", None, ["what", None, "what"])
    half = module.TestList.of("bd", "yy", "gi", [None, None])
    answers = {
        "one": Answers(first, np.array([True, False, True])), "older": Answers(older, np.array([False, True, True])),
        "half": Answers(half, np.array([True, False])),
    }  # fmt: skip
    (tmp_path / module.FILE).write_text(answers_csv(answers))
    saved = SavedAnswers(tmp_path / module.FILE)
    for name, own in answers.items():
        read = saved.of(name)
        assert read is not None and read.of is own.of and read.right.tolist() == own.right.tolist()
    assert saved.of("two") is None


def test_a_group_of_one_video_is_an_empty_cell(tmp_path: Path) -> None:
    """1,200 videos, each its own group, and 90 arms are at most 300 kB."""
    videos = [f"v_Class{number % 15:02}_g{number // 15:02}_c01" for number in range(1200)]
    tests = module.TestList.of(videos, [video[2:9] for video in videos], videos, ["binding"] * len(videos))
    right = np.random.default_rng(0).random((90, len(videos))) < 0.7
    answers = {f"fused,fusion=conv,layer=relu5,seed={at}": Answers(tests, own) for at, own in enumerate(right)}
    text = answers_csv(answers)
    assert f"{videos[0]},,{videos[0][2:9]},binding," in text and len(text) < 300_000
    (tmp_path / module.FILE).write_text(text)
    read = SavedAnswers(tmp_path / module.FILE).of("fused,fusion=conv,layer=relu5,seed=7")
    assert read is not None and read.of is tests and (read.right == right[7]).all()


def test_an_arm_without_a_column_has_no_predictions(study: Path) -> None:
    answers = saved_study(study)
    (study / module.FILE).write_text(answers_csv(dict(list(answers.items())[1:])))
    missing = next(entry for entry in load(study) if entry.name == next(iter(answers)))
    with pytest.raises(UserError, match="no predictions next to the record"):
        _ = missing.answers


def test_answers_of_another_arm_are_none_of_this_one(study: Path) -> None:
    answers = saved_study(study)
    conv, late = (next(name for name in answers if f"fusion={part}" in name) for part in ("conv", "late"))
    (study / module.FILE).write_text(answers_csv({**answers, conv: answers[late]}))
    with pytest.raises(UserError, match=r"answers in answers.csv do not belong to this record"):
        _ = next(entry for entry in load(study) if entry.name == conv).answers
    assert any("do not belong to this record" in note for note in make_table(load(study), ALL).marked)


DAMAGED = {
    "another head": ("video,group", "video,groups"),
    "a column twice": ("seed=1", "seed=0"),
    "another cell": (",1,", ",2,"),
    "a cell more": (",1\n", ",1,1\n"),
    "an open quote": ("v_what_000", '"v_what_000'),
    "not UTF-8": ("v_what_000", "v_\udcff"),
    "nothing": (None, ""),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_file_is_told_and_stops_no_table(how: str, study: Path) -> None:
    saved_study(study)
    old, new = DAMAGED[how]
    text = (study / module.FILE).read_text()
    assert old is None or old in text
    changed = new if old is None else text.replace(old, new)
    (study / module.FILE).write_bytes(changed.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match="damaged answers"):
        _ = load(study)[0].answers
    assert len(make_table(load(study), ALL).rows) == 6


def test_a_report_writes_them_on_demand(study: Path, tmp_path: Path) -> None:
    report(study, ALL, tmp_path / "plain")
    assert not (tmp_path / "plain" / module.FILE).exists()
    report(study, ALL, tmp_path / "more", answers=True)
    written = (tmp_path / "more" / module.FILE).read_text()
    assert written == answers_csv(read_answers(load(study)))
    for file in study.rglob(PREDICTIONS):
        file.unlink()
    with pytest.raises(UserError, match="no arm of this folder has predictions"):
        report(study, ALL, tmp_path / "none", answers=True)
    assert not (tmp_path / "none").exists()
    (study / module.FILE).write_text(written)
    report(study, ALL, tmp_path / "again", answers=True)
    assert (tmp_path / "again" / module.FILE).read_text() == written, "answers make answers"


def test_two_arms_of_one_name_have_no_columns(study: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    both.mkdir()
    study.rename(both / "one")
    shutil.copytree(both / "one", both / "two")
    with pytest.raises(UserError, match="two arms have one name"):
        read_answers(load(both))


def test_groups_of_a_file_are_those_of_its_answers(study: Path) -> None:
    entry = load(study)[0]
    made = read_predictions(entry.folder / PREDICTIONS)
    grouped = replace(made, groups=tuple(video[:-2] for video in made.videos))
    write_predictions(entry.folder / PREDICTIONS, grouped)
    del entry.record["result"]["predictions"]  # an older record names no digest
    assert entry.answers.of.groups == grouped.groups
