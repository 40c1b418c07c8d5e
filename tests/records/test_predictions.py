"""Files of predictions that are not what they should be."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fusionlab.errors import UserError
from fusionlab.records.predictions import Predictions, parse_answers, parse_predictions

SOUND = b"video,label,predicted,score_a,score_b\nx,a,a,0.75,0.25\n"


def test_two_columns_of_one_class_are_refused() -> None:
    head, row = SOUND.splitlines()
    assert parse_predictions(SOUND, "here").classes == ("a", "b")
    with pytest.raises(UserError, match="a class has two columns"):
        parse_predictions(head.replace(b"score_b", b"score_a") + b"\n" + row + b"\n", "here")


def test_scores_come_back_bit_for_bit() -> None:
    scores = np.random.default_rng(0).normal(0, [1e-6, 1, 1e6], (200, 3)).astype(np.float32)
    made = Predictions.of("abc", [f"v{n}" for n in range(200)], [0] * 200, scores.tolist())
    again = parse_predictions(made.to_csv().encode(), "here")
    assert again == made and np.array_equal(np.array(again.scores, dtype=np.float32), scores)


def test_groups_come_back_and_an_older_file_has_none() -> None:
    made = Predictions.of("ab", ["x", "y"], [0, 1], [[1, 0], [1, 0]], ["g,1", ""])
    assert made.to_csv().splitlines()[:2] == ["video,label,predicted,group,score_a,score_b", 'x,a,a,"g,1",1,0']
    assert parse_predictions(made.to_csv().encode(), "here") == made
    older = replace(made, groups=None)
    assert older.to_csv().splitlines()[0] == "video,label,predicted,score_a,score_b"
    assert (
        parse_predictions(SOUND, "here").groups is None and parse_predictions(older.to_csv().encode(), "here") == older
    )
    assert made.largest_difference(older) == 0, "one test list, known with and without groups"


def quoted(draw: np.random.Generator, grouped: bool) -> Predictions:
    """Names that need quotes, among plain ones."""
    names = ["plain", "a,b", 'say "x"', "two\nlines", "ümlaut", "a ", ""]
    videos = [f"{names[draw.integers(len(names))]}{n}" for n in range(9)]
    groups = [names[draw.integers(len(names))] for _ in videos] if grouped else None
    classes = [f"{names[draw.integers(len(names))]}{n}" for n in range(4)]
    return Predictions.of(classes, videos, draw.integers(4, size=9), draw.normal(0, 1, (9, 4)), groups)


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_answers_are_the_columns_of_the_whole_file(seed: int, grouped: bool) -> None:
    made = quoted(np.random.default_rng(seed), grouped)
    read = parse_answers(made.to_csv().encode(), "here")
    assert read.videos == made.videos and read.groups == made.groups
    assert read.labels == tuple(made.classes[label] for label in made.labels)
    assert read.predicted == tuple(made.classes[best] for best in made.predicted)


def read_or_refused(read: Callable[[bytes, object], Any], content: bytes) -> Any:
    try:
        return read(content, "here")
    except UserError as error:
        return error.what, error.got


@pytest.mark.parametrize("plain", [True, False])
def test_what_is_damaged_before_the_scores_is_found_without_them(plain: bool) -> None:
    """Bytes are changed, left out and put in: without scores a file is refused as it is with them, and read alike."""
    draw = np.random.default_rng(0)
    small = Predictions.of(["a", "b"], ["x", "y"], [0, 1], [[1, 0], [0.5, 1]], ["g", "h"])
    made = small if plain else quoted(draw, grouped=True)
    content, refused = made.to_csv().encode(), 0
    for _ in range(2000):
        at, byte = int(draw.integers(len(content))), bytes([draw.choice(list(b'",\n\rab0g\xff'))])
        damaged = content[:at] + [byte, b"", byte + content[at : at + 1]][draw.integers(3)] + content[at + 1 :]
        whole, quick = (read_or_refused(read, damaged) for read in (parse_predictions, parse_answers))
        refused += isinstance(quick, tuple)
        if isinstance(whole, Predictions):
            assert (quick.videos, quick.groups) == (whole.videos, whole.groups)
            assert quick.labels == tuple(whole.classes[label] for label in whole.labels)
        elif isinstance(quick, tuple):
            assert isinstance(whole, tuple)
        else:
            assert "float" in whole[0] or "score" in whole[0], "only a score is left to the digest"
    assert refused > 500


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (b"x,a,a,g,0.75", "columns are wrong"),
        (b"x,a,a,g,0.75,0.25,", "columns are wrong"),
        (b"x,c,a,g,0.75,0.25", "label is not one"),
        (b"x,a,c,g,0.75,0.25", "label is not one"),
        (b"", "columns are wrong"),
        (b'x,a,a,"g,0.75,0.25', "unexpected end"),
    ],
)
def test_a_row_that_is_damaged_is_named_by_its_line(row: bytes, what: str) -> None:
    content = b"video,label,predicted,group,score_a,score_b\nx,a,a,g,0.75,0.25\n" + row + b"\n"
    for read in (parse_answers, parse_predictions):
        with pytest.raises(UserError, match=what) as error:
            read(content, "here")
        assert error.value.got == "here, line 3"


@pytest.mark.parametrize("head", [b"video,label,group,score_a", b"video,label,predicted,score_a,group", b"", b"\n"])
def test_another_head_is_no_predictions_file(head: bytes) -> None:
    for read in (parse_answers, parse_predictions):
        with pytest.raises(UserError, match="not a predictions file"):
            read(head + b"\nx,a,a,1\n", "here")
