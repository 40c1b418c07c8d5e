"""The choice of typical mistakes against a loop over all answers, and the pictures that the caller draws."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from fusionlab.errors import UserError
from fusionlab.records.predictions import Predictions, parse_wrong_answers, write_predictions
from fusionlab.results import mistakes
from fusionlab.results.load import Entry, load
from fusionlab.results.mistakes import MOST, choose_mistakes, typical_mistakes
from fusionlab.results.rows import Row
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table

NAMES = ("a", 'b "q",', "<script>", "漢字")
LABELS = [number % 4 for number in range(40)]
VIDEOS = [f"{NAMES[label]}/v{number:02}.avi" for number, label in enumerate(LABELS)]
Seeds = list[Predictions]


def row_of(folder: Path, seeds: Seeds) -> Row:
    """A row whose seeds have these predictions; their records are not asked."""
    entries = []
    for number, own in enumerate(seeds):
        write_predictions(folder / str(number) / "predictions.csv", own)
        record = {"result": {"classes": dict.fromkeys(NAMES, "what")}}
        entries.append(Entry(f"s{number}", "fused", "done", None, None, {"seed": number}, record, folder / str(number)))
    return Row("fused", {}, tuple(entries))


def drawn(seed: int, wrong: float) -> Predictions:
    """Scores in tenths, so that ties are frequent."""
    draw = random.Random(seed)
    rows = []
    for label in LABELS:
        other = draw.randrange(4) if draw.random() < wrong else label
        rows.append([draw.choice([0.6, 0.7]) if at == other else draw.choice([0.1, 0.2]) for at in range(4)])
    return Predictions.of(NAMES, VIDEOS, LABELS, rows)


def by_loop(seeds: Seeds) -> list[tuple[str, str, str]]:
    """The rule, answer by answer."""
    counts: dict[tuple[str, str], int] = {}
    for own in seeds:
        for label, other in zip(own.labels, own.predicted, strict=True):
            if label != other:
                pair = NAMES[label], NAMES[other]
                counts[pair] = counts.get(pair, 0) + 1
    chosen: list[tuple[str, str, str]] = []
    for pair in sorted(sorted(counts), key=lambda pair: counts[pair], reverse=True):
        best: tuple[float, float, str] | None = None
        for at in sorted(range(len(VIDEOS)), key=lambda at: VIDEOS[at]):
            scores = [
                own.scores[at][own.predicted[at]]
                for own in seeds
                if (NAMES[own.labels[at]], NAMES[own.predicted[at]]) == pair
            ]
            mean = sum(scores) / len(scores) if scores else 0.0
            taken = any(VIDEOS[at] == video for video, _, _ in chosen)
            if scores and not taken and (best is None or (len(scores), round(mean, 9)) > best[:2]):
                best = len(scores), round(mean, 9), VIDEOS[at]
        if best and len(chosen) < MOST:
            chosen.append((best[2], *pair))
    return chosen


@pytest.mark.parametrize("case", range(8))
def test_the_choice_is_that_of_a_loop_over_all_answers(tmp_path: Path, case: int) -> None:
    seeds = [drawn(10 * case + seed, 0.1 + 0.1 * case) for seed in range(1 + case % 4)]
    found = choose_mistakes(row_of(tmp_path, seeds))
    assert found is not None
    assert [(one.video, one.label, one.predicted) for one in found] == by_loop(seeds)


def scored(*wrong: tuple[int, int, float]) -> Predictions:
    """All right, but for (video, wrong class, score)."""
    rows = [[0.9 if at == label else 0.0 for at in range(4)] for label in LABELS]
    for video, other, score in wrong:
        rows[video] = [score if at == other else 0.0 for at in range(4)]
    return Predictions.of(NAMES, VIDEOS, LABELS, rows)


def test_more_seeds_come_before_a_higher_score_and_that_before_the_name(tmp_path: Path) -> None:
    seeds = [scored((4, 1, 0.5), (8, 1, 0.5), (0, 1, 0.99)), scored((4, 1, 0.5), (8, 1, 0.75))]
    found = choose_mistakes(row_of(tmp_path / "score", seeds))
    assert found is not None
    assert [(one.video, one.text) for one in found] == [
        (VIDEOS[8], "2 of 2 seeds, mean score 0.62; 5 such answers in all")
    ]
    tied = choose_mistakes(row_of(tmp_path / "tied", [scored((8, 1, 0.5), (4, 1, 0.5))]))
    assert tied is not None
    assert [(one.video, one.text) for one in tied] == [
        (VIDEOS[4], "1 of 1 seed, mean score 0.50; 2 such answers in all")
    ]


def test_a_video_is_shown_once_and_a_row_that_is_all_right_has_none(tmp_path: Path) -> None:
    found = choose_mistakes(row_of(tmp_path / "one", [scored((0, 1, 0.5)), scored((0, 2, 0.5))]))
    assert found is not None and [one.video for one in found] == [VIDEOS[0]]
    assert choose_mistakes(row_of(tmp_path / "right", [scored()])) == []


def test_seeds_without_readable_predictions_are_left_out(tmp_path: Path) -> None:
    row = row_of(tmp_path, [scored((0, 1, 0.5)), scored((0, 1, 0.5))])
    (tmp_path / "1" / "predictions.csv").write_text("video", encoding="utf-8")
    found = choose_mistakes(row)
    assert found is not None and found[0].text.startswith("1 of 1 seed,")
    alone = row_of(tmp_path / "alone", [scored((0, 1, 0.5))])
    (tmp_path / "alone" / "0" / "predictions.csv").unlink()
    assert choose_mistakes(alone) is None


def test_a_wrong_score_is_named_by_its_line() -> None:
    content = b"video,label,predicted,score_a,score_b\nv,a,a,x,0\nw,a,b,0,nan\n"
    with pytest.raises(UserError) as caught:
        parse_wrong_answers(content, "p.csv")
    assert caught.value.got == "p.csv, line 3"


def test_rows_of_a_study_have_pictures_or_the_reason(study: Path, spec: dict[str, Any]) -> None:
    def draw(one: mistakes.Mistake) -> bytes:
        assert one.entry is not None
        if one.label.startswith("b"):
            raise UserError("no data", got="here")
        return b"\x89PNG"

    table = make_table(load(study), Spec.of(spec))
    found = typical_mistakes(table, draw)
    assert set(found) == {id(row) for row in table.rows if row.done}
    every = [one for own in found.values() for one in own]
    assert every
    for one in every:
        expected = (None, "no picture: no data (here)") if one.label.startswith("b") else (b"\x89PNG", None)
        assert (one.picture, one.why) == expected
    assert {one.why for own in typical_mistakes(table).values() for one in own} == {mistakes.NO_DATA}


def test_baselines_and_the_best_fusions_are_first(
    study: Path, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_table(load(study), Spec.of(spec))
    monkeypatch.setattr(mistakes, "MOST_ROWS", 4)
    found = typical_mistakes(table)
    fused = [row for row in table.rows if row.kind == "fused"]
    best = max(fused, key=lambda row: row.shares[table.kind].mean)
    assert set(found) == {id(row) for row in table.rows if row.kind != "fused"} | {id(best)}


def test_the_source_of_an_image_names_its_format() -> None:
    one = mistakes.Mistake("v", "a", "b", "", b"\x89PNG", None)
    assert one.source == "data:image/png;base64,iVBORw=="
    assert mistakes.Mistake("v", "a", "b", "", b"\xff\xd8", None).source == "data:image/jpeg;base64,/9g="
    assert mistakes.Mistake("v", "a", "b", "").source is None
