"""A table has the warnings that it needs, and no others."""

from __future__ import annotations

import json
import shutil

import pytest

from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import WARNING, make_table

AXES = {"streams": "both", "fusion": "gated", "layer": "relu5", "temporal": "pool2d"}


@pytest.fixture
def made(fakes):
    def make(study, **spec):
        return make_table(load(study), Spec.of({"caption": "c", **spec}))

    return make


def line_of(table, method):
    return next(line for line in table.lines if line.row.method == method)


def notes_of(table, method):
    return [table.marked[mark - 1] for mark in line_of(table, method).marks]


def test_a_clean_study_has_no_warnings(study, made):
    table = made(study)
    assert table.marked == ()
    assert not [note for note in table.notes if note.startswith(WARNING)]


def test_other_seeds(study, made, fakes):
    fakes["arm"](study, kind="fused", axes={**AXES, "seed": 0})
    table = made(study)
    assert notes_of(table, "gated") == ["other seeds (0) than most rows (0, 1)"]
    assert notes_of(table, "Conv") == []
    assert "±" not in line_of(table, "gated").cells[1]
    assert "±" in line_of(table, "Conv").cells[1]


def test_other_data(study, made, fakes):
    for seed in (0, 1):
        fakes["arm"](study, kind="fused", axes={**AXES, "seed": seed}, data="e" * 64)
    (note,) = [note for note in made(study).notes if note.startswith(WARNING)]
    assert f"prepared data differs between rows: {'d' * 12} for most, but {'e' * 12}: gated" in note


def test_other_quarantine(study, made):
    edit(study, "fusion=conv", leave_out)
    notes = [note for note in made(study).notes if note.startswith(WARNING)]
    assert any("quarantine differs" in note and "2 videos" in note and "Conv" in note for note in notes)


def test_a_row_whose_predictions_name_no_groups_is_marked_among_rows_that_do(study, made, fakes):
    for seed in (0, 1):
        fakes["arm"](study, kind="fused", axes={**AXES, "seed": seed}, grouped=False)
    table = made(study)
    assert notes_of(table, "gated") == ["its predictions do not name groups: its videos are taken as independent"]
    assert notes_of(table, "Conv") == []


def test_where_no_row_names_groups_there_is_no_mark(tmp_path, made, fakes):
    assert not [note for note in made(fakes["fill"](tmp_path, grouped=False)).marked if "groups" in note]


def test_a_quarantine_of_all_rows_is_a_note(study, made):
    edit(study, "", leave_out)
    table = made(study)
    assert not [note for note in table.notes if note.startswith(WARNING)]
    words = "Quarantined: 2 videos (1 of the train list, 1 of the test list)"
    assert any(note.startswith(words) for note in table.notes)


def test_other_numbers_of_test_videos(study, made):
    edit(study, "fusion=conv", lambda record, _: record["result"]["kinds"]["binding"].update(correct=50, total=59))
    notes = [note for note in made(study).notes if note.startswith(WARNING)]
    assert any("number of test videos differs" in note and "59 binding" in note and "Conv" in note for note in notes)


def test_weights_of_another_split_are_told_where_they_were_allowed(study, made):
    edit(study, "fusion=conv", lambda record, _: record["config"].update(weights={"other_split": "allow"}))
    table = made(study)
    assert any("weights.other_split=allow: initial weights may come" in note for note in notes_of(table, "Conv"))
    assert not [note for note in notes_of(table, "Max") if "other_split" in note]


def leave_out(record, _):
    record["config"]["data"]["quarantine"] = ["a.avi", "b.avi"]
    record["result"]["quarantined"] = {"train": 1, "test": 1}


def edit(study, name, change):
    for path in study.rglob("run.json"):
        record = json.loads(path.read_text())
        if name in record["name"]:
            change(record, path.parent)
            path.write_text(json.dumps(record))


def test_other_code(study, made):
    edit(study, "fusion=conv", lambda record, _: record["circumstances"].update(commit="b" * 40, dirty=True))
    (note,) = [note for note in made(study).notes if note.startswith(WARNING)]
    assert "bbbbbbbbbb with changes: Conv" in note


def test_other_devices(study, made):
    edit(study, "seed=0", lambda record, _: record["circumstances"].update(device="cpu"))
    assert not [note for note in made(study).notes if note.startswith(WARNING)], "an older record names none"
    edit(study, "fusion=conv", lambda record, _: record["circumstances"].update(device="NVIDIA H200"))
    (note,) = [note for note in made(study).notes if note.startswith(WARNING)]
    assert "device" in note and "NVIDIA H200: Conv" in note


@pytest.mark.parametrize(
    ("usual", "other", "words"),
    [
        (
            {"capability": "AVX512"},
            {"capability": "AVX2"},
            "set differs between rows: AVX512 for most, but AVX2: Conv",
        ),
        ({"cpu": "Xeon"}, {"cpu": "EPYC"}, "CPU differs between rows: Xeon for most, but EPYC: Conv"),
    ],
)
def test_other_instruction_sets(study, made, usual, other, words):
    edit(study, "", lambda record, _: record["circumstances"].update(machine=usual))
    edit(study, "seed=0", lambda record, _: record["circumstances"].update(machine={}))
    assert not [note for note in made(study).notes if note.startswith(WARNING)], "an older record names none"
    edit(study, "fusion=conv", lambda record, _: record["circumstances"].update(machine=other))
    (note,) = [note for note in made(study).notes if note.startswith(WARNING)]
    assert words in note and "equal bits are not promised" in note


def alone(study, fakes, seed, **binding):
    """The motion stream of a seed, made anew."""
    for place in study.glob("stream-*"):
        record = json.loads((place / "run.json").read_text())
        if record["axes"] == {"streams": "motion", "seed": seed}:
            shutil.rmtree(place)
    fakes["arm"](study, kind="stream", axes={"streams": "motion", "seed": seed}, shares={"what": 1 / 3, **binding})


def test_above_a_ceiling_by_more_than_chance(study, made, fakes):
    for seed in (0, 1):
        alone(study, fakes, seed, binding=0.6)
    (note,) = notes_of(made(study), "Motion alone")
    assert note.startswith("above its ceiling by more than chance: 60.0 on binding, where at most 1/6 is possible")


def test_a_little_above_a_ceiling_is_chance(study, made, fakes):
    for seed in (0, 1):
        alone(study, fakes, seed, binding=0.2)
    assert notes_of(made(study), "Motion alone") == []


def test_predictions_of_another_record(study, made):
    edit(
        study,
        "fusion=conv",
        lambda _, folder: (folder / "predictions.csv").write_text("video,label,predicted\n"),
    )
    table = made(study)
    assert any("do not belong to this record" in note for note in notes_of(table, "Conv"))
    assert line_of(table, "Conv").row.over_late == {}


def test_predictions_that_say_another_number(study, made):
    edit(study, "fusion=conv,", lambda record, _: record["result"].update(correct=3, accuracy=3 / 160))
    assert any("its record has 3" in note for note in notes_of(made(study), "Conv"))


def test_other_videos(study, made, fakes):
    def rename(record, folder):
        place = folder / "predictions.csv"
        place.write_text(place.read_text().replace("v_what_000", "v_other"))
        record["result"].pop("predictions")

    edit(study, "fusion=conv", rename)
    assert any("test videos or labels differ" in note for note in notes_of(made(study), "Conv"))
    assert "Sum" in made(study).headline, "what answered other videos is not held against late fusion at all"


def test_seeds_of_a_row_by_other_recipes(study, made, fakes):
    for seed in (0, 1):
        config = {"optim": {"lr": 0.1 + seed}, "seed": seed}
        fakes["arm"](study, kind="fused", axes={**AXES, "seed": seed}, config=config)
    assert notes_of(made(study), "gated") == ["its arms differ in more than the seed: optim.lr"]


def test_a_knob_that_is_born_later_is_no_difference_at_its_neutral_value(study, made, fakes):
    young = {"keep_motion": False, "into": "appearance", "tower_weight": 0.5, "weights": {"head": "keep"}}
    for seed, knobs in ((0, {}), (1, young)):
        fakes["arm"](study, kind="fused", axes={**AXES, "seed": seed}, config={"optim": {"lr": 0.1}, **knobs})
    assert notes_of(made(study), "gated") == []
    turned = {"optim": {"lr": 0.1}, **young, "keep_motion": True}
    fakes["arm"](study, kind="fused", axes={**AXES, "seed": 2}, config=turned)
    assert [note for note in notes_of(made(study), "gated") if "in more than the seed: keep_motion" in note]


def test_a_failed_arm_is_a_row_with_its_reason_and_log(study, made, fakes):
    fakes["arm"](study, kind="fused", axes={**AXES, "seed": 0})
    fakes["arm"](study, kind="fused", axes={**AXES, "seed": 1}, reason="diverged at step 3: loss nan")
    other = {**AXES, "fusion": "never"}
    for seed in (0, 1):
        fakes["arm"](study, kind="fused", axes={**other, "seed": seed}, reason="no memory")
    table = made(study)
    lines = [line for line in table.lines if line.row.method in ("gated", "never")]
    assert [line.span for line in lines] == [
        None,
        "failed, seed 1: diverged at step 3: loss nan (log: log.txt)",
        "failed, seeds 0, 1: no memory (log: log.txt)",
    ]
    assert any("may be too high" in note for note in notes_of(table, "gated"))


def test_one_seed_says_that_it_is_one(tmp_path, made, fakes):
    table = made(fakes["fill"](tmp_path / "s", seeds=(3,)))
    assert "±" not in "".join(cell for line in table.lines for cell in line.cells)
    assert any("one seed, so the spread" in note for note in table.notes)
    assert not any("p-value" in note or "two-sided p" in note for note in table.notes)


def test_no_predictions_at_all_is_one_note(study, made):
    edit(study, "", lambda _, folder: (folder / "predictions.csv").unlink())
    table = made(study)
    assert table.marked == ()
    assert line_of(table, "Conv").cells[-3] == "+46.0, +46.0 (2 seeds)", "the counts give each seed's gain"
    assert "Gains have no interval: there are no predictions next to the records." in table.notes[0]
    assert table.headline.startswith("Gains over late fusion on binding: from +24.0 (Max) to +46.0 (Conv) points")


def test_rows_that_lack_predictions_are_marked_where_others_have_them(study, made):
    edit(study, "fusion=conv", lambda _, folder: (folder / "predictions.csv").unlink())
    table = made(study)
    words = "no predictions next to the record (seed {})"
    assert notes_of(table, "Conv") == [words.format(0), words.format(1)] and notes_of(table, "Sum") == []
    assert line_of(table, "Conv").row.over_late["binding"].networks is None
    assert line_of(table, "Sum").row.over_late["binding"].networks is not None
