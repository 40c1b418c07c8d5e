"""The sentence above the table and the notes below it: three are shown, the others folded, none contradicts a cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from result_fakes import arm, fill

from fusionlab.results import page as pages
from fusionlab.results.crossed import seeds_needed, smallest_gap
from fusionlab.results.latex import latex
from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import Table, make_table
from fusionlab.results.text_tables import markdown, terminal

PLACE = {"layer": "relu5", "temporal": "pool2d"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("noted"), seeds=(0, 1, 2), control=True)


def table(folder: Path, **spec: object) -> Table:
    return make_table(load(folder), Spec.of({"caption": "c", **spec}))


def test_without_a_claim_the_headline_is_the_range_of_the_cells(filled: Path) -> None:
    made = table(filled)
    cells = [line.cells[[column.key for column in made.columns].index("gain")] for line in made.lines]
    means = sorted((cell.split()[0].rstrip("*") for cell in cells if cell != "–"), key=float)
    assert made.headline == f"Gains over the control on binding: from {means[0]} (Max) to {means[-1]} (Conv) points."


def test_one_fusion_has_its_own_gain_in_the_headline(tmp_path: Path) -> None:
    made = table(fill(tmp_path, seeds=(0, 1), fusions=("conv",), control=True))
    assert made.headline == "Gain over the control on binding: Conv +41.0, +41.0 (2 seeds) points."


def test_a_jointly_trained_average_is_no_fusion(filled: Path, tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,), fusions=("sum", "conv"), control=True)
    (control,) = (entry for entry in load(tmp_path) if entry.kind == "control")
    axes = {"streams": "both", "fusion": "joint", **PLACE, "seed": 0}
    arm(tmp_path, kind="fused", axes=axes, control=control.record["signature"], shares={"what": 1, "binding": 0.5})
    made = table(tmp_path)
    assert made.rows[-3].axes["fusion"] == "joint" and "from +35.0 (Sum) to +41.0 (Conv)" in made.headline


def test_a_claim_that_was_named_before_the_run_is_the_headline(tmp_path: Path) -> None:
    claim = {"row": {"fusion": "sum"}, "against": "control", "kind": "better", "margin": 1, "question": "binding"}
    made = table(fill(tmp_path, seeds=(0, 1, 2), control=True, claim=claim))
    assert made.headline.startswith("Claim, named before the run: Sum is better than its control by more than 1 point")
    at = [column.key for column in made.columns].index("gain")
    (gain,) = (line.cells[at] for line in made.lines if line.cells[0] == "Sum")
    assert gain.replace("*", "") in made.headline, "the sentence has the numbers of the table"


def test_a_claim_about_a_row_that_is_not_there_is_said(tmp_path: Path) -> None:
    claim = {"row": {"fusion": "never"}, "against": "control", "kind": "better", "margin": 1}
    made = table(fill(tmp_path, seeds=(0,), control=True, claim=claim))
    assert "cannot be decided: no rows of this table have fusion=never" in made.headline


def test_the_claim_of_the_study_that_trained_a_shared_stream_does_not_count(tmp_path: Path) -> None:
    claim = {"row": {"fusion": "sum"}, "against": "control", "kind": "better", "margin": 1, "question": "binding"}
    fill(tmp_path, seeds=(0, 1, 2), control=True, claim=claim)
    for place in tmp_path.rglob("run.json"):
        record = json.loads(place.read_text(encoding="utf-8"))
        if record["kind"] == "stream":
            record["circumstances"]["run"]["claim"] = {**claim, "margin": 2}
            place.write_text(json.dumps(record), encoding="utf-8")
    assert table(tmp_path).headline.startswith(
        "Claim, named before the run: Sum is better than its control by more than 1"
    )


def test_two_claims_in_one_folder_are_said(tmp_path: Path) -> None:
    for number, margin in enumerate((1, 2)):
        claim = {"row": {"fusion": "sum"}, "against": "control", "kind": "better", "margin": margin, "question": "all"}
        fill(tmp_path / str(number), seeds=(number,), fusions=("sum",), control=True, claim=claim)
    made = table(tmp_path)
    assert "These records name 2 claims, so they are of several plans, and none is judged." in made.notes
    assert made.headline.startswith("Gain over the control on binding: Sum")


def test_three_notes_are_shown_and_the_others_folded_in_every_format(filled: Path) -> None:
    made = table(filled)
    every = [note for _, note in made.numbered()]
    assert sorted(every) == sorted([*made.marked, *made.notes]) and len(every) > 5
    first = [note.split()[0] for note in every[:2]]
    assert first == ["Brackets:", "Over"]
    text = terminal(made)
    assert text.splitlines()[-1] == f"{len(every) - 3} further notes: report/index.html (or --notes)"
    assert len(terminal(made, notes=True)) > len(text) and "further notes" not in terminal(made, notes=True)
    shown, _, folded = markdown(made).partition("<details>")
    assert (
        shown.count("\n- ") == 3 and folded.count("\n- ") == len(every) - 3 and folded.rstrip().endswith("</details>")
    )
    assert latex(made).count(r"\par" + "\n") == 3 + ("Too wide for this page" in latex(made))
    html = pages.page(made, load(filled), name="x", out=filled)
    notes = html.partition('<section class="notes">')[2].partition("</section>")[0]
    assert notes.partition("<details>")[0].count("<li>") == 3 and notes.count("<li>") == len(every)


def test_protocol_warnings_come_second(filled: Path, tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0, 1, 2), control=True)
    arm(tmp_path, kind="fused", axes={"streams": "both", "fusion": "cat", **PLACE, "seed": 0}, data="e" * 64)
    first = [note.split()[0] for _, note in table(tmp_path).numbered()[:3]]
    assert first == ["Brackets:", "Protocol", "Over"]


def test_the_smallest_gap_and_the_seeds_for_the_margin(filled: Path) -> None:
    made = table(filled)
    gains = [row.gains["binding"] for row in made.rows if row.kind == "fused"]
    found = [smallest_gap(gain.method) for gain in gains]
    needed = [seeds_needed(gain, 0.01) for gain in gains]
    (note,) = [note for note in made.notes if note.startswith("Smallest gap")]
    assert f": {100 * min(found):.1f} to {100 * max(found):.1f} points." in note
    counts = sorted(count for count in needed if count is not None)
    words = f"For a gap of 1 point these videos need {counts[0]}" if counts else "that needs more videos"
    assert words in note


def test_rows_that_are_not_worse_and_rows_above_the_ceiling_of_scores(filled: Path) -> None:
    notes = table(filled).notes
    assert "Not worse than the control by more than 1 point: Max, Sum, Conv." in notes
    (above,) = [note for note in notes if note.startswith("3 rows lie above 1/2, the ceiling of any function")]
    assert above.endswith("on binding, with the whole interval: Max, Sum, Conv.")


def test_a_fusion_near_the_ceiling_of_scores_does_not_lie_above_it(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0, 1, 2), fusions=())
    for seed in (0, 1, 2):
        axes = {"streams": "both", "fusion": "sum", **PLACE, "seed": seed}
        arm(tmp_path, kind="fused", axes=axes, shares={"what": 1.0, "binding": 0.52 + 0.01 * seed})
    (above,) = [note for note in table(tmp_path).notes if "above 1/2" in note]
    assert above.startswith("No row lies") and above.endswith("whole interval.")


def test_both_questions_are_named(filled: Path) -> None:
    notes = " ".join(table(filled).notes)
    assert "interval of the method: other seeds and other videos" in notes
    assert "These networks: the same gain with an interval over groups of videos only" in notes


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_with_fewer_than_three_seeds_no_smallest_gap_is_named(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    notes = table(fill(tmp_path, seeds=seeds, fusions=("sum", "conv"), control=True)).notes
    assert not [note for note in notes if note.startswith("Smallest gap")]
    assert notes[0].endswith("With fewer than 3 seeds a gain has no interval; the gain of each seed is printed.")


def test_the_sign_says_how_many_rows_were_tested(filled: Path) -> None:
    (note,) = [note for note in table(filled).notes if note.startswith("Brackets")]
    assert "p ≤ 5 % after Holm's correction over all 3 rows with such an interval. Bold: of the rows with both" in note
