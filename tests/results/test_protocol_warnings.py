"""A table has the warnings that it needs, and no others."""

from __future__ import annotations

import json

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


@pytest.mark.parametrize(
    "leaf, value, words", [("data", "e" * 64, "prepared data"), ("decoder", "av 14.2.0", "decoder")]
)
def test_other_data_or_decoder(study, made, fakes, leaf, value, words):
    for seed in (0, 1):
        fakes["arm"](study, kind="fused", axes={**AXES, "seed": seed}, **{leaf: value})
    (note,) = [note for note in made(study).notes if note.startswith(WARNING)]
    assert words in note
    assert "gated" in note
    assert value[:12] in note


def test_other_flow(study, made, fakes):
    for seed in (0, 1):
        flow = {"method": "tvl1", "rule": "field", "bound": 20.0}
        fakes["arm"](study, kind="fused", axes={**AXES, "seed": seed}, flow=flow)
    notes = [note for note in made(study).notes if note.startswith(WARNING)]
    assert any("optical flow" in note and "tvl1 by field, ±20.0 px: gated" in note for note in notes)


def test_other_quarantine(study, made):
    edit(study, "fusion=conv", leave_out)
    notes = [note for note in made(study).notes if note.startswith(WARNING)]
    assert any("quarantine differs" in note and "2 videos" in note and "Conv" in note for note in notes)


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


def test_above_a_ceiling_by_more_than_chance(study, made):
    edit(study, "streams=motion", lambda record, _: record["result"]["kinds"]["binding"].update(correct=60))
    (note, *_) = notes_of(made(study), "Motion alone")
    assert "above its ceiling" in note
    assert "1/6" in note


def test_a_little_above_a_ceiling_is_chance(study, made):
    edit(study, "streams=motion", lambda record, _: record["result"]["kinds"]["binding"].update(correct=20))
    assert not [note for note in notes_of(made(study), "Motion alone") if "above" in note]


def test_predictions_of_another_record(study, made):
    edit(
        study,
        "fusion=conv",
        lambda _, folder: (folder / "predictions.csv").write_text("video,label,predicted\n"),
    )
    table = made(study)
    assert any("do not belong to this record" in note for note in notes_of(table, "Conv"))
    assert line_of(table, "Conv").row.gains == {}


def test_predictions_that_say_another_number(study, made):
    edit(study, "fusion=conv,", lambda record, _: record["result"].update(correct=3, accuracy=3 / 160))
    assert any("its record has 3" in note for note in notes_of(made(study), "Conv"))


def test_no_predictions(study, made):
    edit(study, "fusion=", lambda _, folder: (folder / "predictions.csv").unlink())
    table = made(study)
    assert "over late" not in " ".join(column.head for column in table.columns)
    assert any("no predictions" in note for note in notes_of(table, "Conv"))
    assert table.headline.startswith("Largest gain over late fusion on binding: Conv, 95.0 %, +46.0 points (")
    assert table.headline.endswith("), unpaired: there are no predictions next to the records.")
    assert [note for note in table.notes if "Newcombe" in note and "widened by the variance of the seeds" in note]


def test_no_predictions_of_one_seed(tmp_path, made, fakes):
    edit(fakes["fill"](tmp_path, seeds=(0,)), "fusion=", lambda _, folder: (folder / "predictions.csv").unlink())
    table = made(tmp_path)
    assert table.headline.endswith("), unpaired: there are no predictions next to the records.")
    assert [note for note in table.notes if "Newcombe" in note and "one seed" in note]


def test_no_predictions_of_the_best_only(study, made):
    edit(study, "fusion=conv", lambda _, folder: (folder / "predictions.csv").unlink())
    assert made(study).headline.startswith("Largest gain over late fusion on binding: Conv")
    assert "unpaired" in made(study).headline, "the best fusion is the best, whatever lies beside it"


def test_no_predictions_of_another_one(study, made):
    edit(study, "fusion=max", lambda _, folder: (folder / "predictions.csv").unlink())
    assert made(study).headline.startswith("Largest gain over late fusion on binding: Conv")
    assert "unpaired" not in made(study).headline and not [note for note in made(study).notes if "Newcombe" in note]


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


def test_no_p_that_cannot_be(study, made):
    (note,) = [note for note in made(study).notes if "p-value" in note]
    assert "2/2^2 = 0.5" in note


def test_six_seeds_have_a_p(tmp_path, made, fakes):
    table = made(fakes["fill"](tmp_path / "s", seeds=tuple(range(6))))
    (note,) = [note for note in table.notes if "two-sided p" in note]
    assert "Conv 0.0312" in note


def test_the_spread_of_the_fusions_is_said_with_its_interval(study, made):
    (note,) = [note for note in made(study).notes if note.startswith("Spread")]
    assert "from +24.0 (Max) to +46.0 (Conv); their difference is +22.0 points (+" in note
    assert "biased upwards" in note
