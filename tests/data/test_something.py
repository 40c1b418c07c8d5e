import json
from pathlib import Path
from typing import Any

import pytest

from fusionlab.data.something import Something
from fusionlab.errors import UserError

HOLD, PUT = "Holding something next to something", "Putting number of something onto something"
LABELS = {PUT: "1", HOLD: "0"}
TRAIN = [
    {"id": "78687", "label": "holding potato next to vicks vaporub bottle",
     "template": "Holding [something] next to [something]", "placeholders": ["potato", "vicks vaporub bottle"]},
    {"id": "42", "label": "putting 3 pens onto a desk", "template": "Putting [number of] [something] onto [something]"},
]  # fmt: skip
TEST = [{"id": "7", "template": "Holding [something] next to [something]"}]


def write(home: Path, train: Any = TRAIN, test: Any = TEST, labels: Any = LABELS, prefix: str = "") -> Something:
    home.mkdir(parents=True, exist_ok=True)
    for name, value in (("labels", labels), ("train", train), ("validation", test)):
        (home / f"{prefix}{name}.json").write_text(json.dumps(value))
    return Something(home)


@pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
def test_a_label_is_the_template_without_brackets(tmp_path: Path, prefix: str) -> None:
    data = write(tmp_path, prefix=prefix)
    assert data.classes == [HOLD, PUT]
    assert data.lists(1) == ([("78687.webm", 0), ("42.webm", 1)], [("7.webm", 0)])
    assert data.group("7.webm") == "7.webm" and "own group" in data.notes[0]


def test_labels_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Of twelve, 10 comes behind 9."""
    names = {f"Doing {chr(ord('z') - number)}": str(number) for number in (11, 3, 10, 0, 1, 2, 4, 9, 8, 7, 6, 5)}
    train = [{"id": number, "template": name} for name, number in names.items()]
    data = write(tmp_path, train, [{**train[0], "id": "t"}], names)
    assert [names[name] for name in data.classes] == [str(number) for number in range(12)]
    assert data.lists(1)[0] == [(f"{number}.webm", int(number)) for number in names.values()]


def test_labels_that_a_mirror_turns_round_are_told(tmp_path: Path) -> None:
    assert not [note for note in write(tmp_path).notes if "mirrored" in note]
    sided = "Pulling something from left to right"
    data = write(tmp_path, [*TRAIN, {"id": 3, "template": sided}], labels={**LABELS, sided: "2"})
    assert data.lists(1)[0][-1] == ("3.webm", 2)
    assert [note for note in data.notes if note.startswith("1 labels say left or right")]


def test_a_mark_at_the_start_of_a_file_is_no_part_of_it(tmp_path: Path) -> None:
    data = write(tmp_path)
    for name in ("labels", "train"):
        file = tmp_path / f"{name}.json"
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert data.lists(1)[0] == [("78687.webm", 0), ("42.webm", 1)]


@pytest.mark.parametrize("videos", ["", "20bn-something-something-v2", "videos"])
@pytest.mark.parametrize("lists", ["", "labels"])
@pytest.mark.parametrize("ending", [".webm", ".mp4"])
def test_the_archives_as_they_were_unpacked(tmp_path: Path, videos: str, lists: str, ending: str) -> None:
    write(tmp_path / "something" / lists)
    (tmp_path / "something" / videos).mkdir(exist_ok=True)
    for number in (78687, 42, 7):
        (tmp_path / "something" / videos / f"{number}{ending}").touch()
    data = Something(classes=2)
    data.expect(tmp_path, split=1, packed=False)
    assert data.path("7.webm") == tmp_path / "something" / videos / f"7{ending}"


@pytest.mark.parametrize(
    "change, told",
    [
        (
            {"train": [*TRAIN, {"id": "1", "template": "Holding [somethin] next to [something]"}]},
            f"did you mean {HOLD} ?",
        ),
        ({"train": [*TRAIN, {"id": "1"}, "x"]}, "2: train.json[2]"),
        ({"train": [*TRAIN, TRAIN[0]]}, "twice"),
        ({"train": [*TRAIN, {**TRAIN[0], "id": "../1"}]}, "train.json[2]: ../1.webm"),
        ({"train": []}, "this list is empty"),
        ({"train": TRAIN[1:]}, "no video in the training list"),
        ({"train": [*TRAIN, *TEST]}, "videos are in both"),
        ({"train": {"a": 1}}, "a list of entries"),
        ({"labels": {HOLD: "0", PUT: "2"}}, "without a gap"),
        ({"labels": {HOLD: "0", PUT: "0"}}, "without a gap"),
        ({"labels": [HOLD, PUT]}, "without a gap"),
        ({"labels": {HOLD: "zero", PUT: "1"}}, "without a gap"),
    ],
)
def test_bad_lists_are_told(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as error:
        write(tmp_path, **change).lists(1)
    assert told in str(error.value)


def test_a_file_that_is_no_json_is_told(tmp_path: Path) -> None:
    data = write(tmp_path)
    (tmp_path / "train.json").write_text("[{")
    with pytest.raises(UserError, match="not a readable JSON file"):
        data.lists(1)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lists of this data set are missing") as error:
        Something(classes=174).expect(tmp_path, split=1, packed=False)
    for name in ("labels.json", "train.json", "validation.json"):
        assert str(tmp_path / "something" / name) in str(error.value)
    write(tmp_path / "something")
    (tmp_path / "something" / "42.webm").touch()
    with pytest.raises(UserError, match="videos of this data set are missing") as error:
        Something(classes=2).expect(tmp_path, split=1, packed=False)
    assert "2 of 3" in str(error.value) and "7.webm, 78687.webm" in str(error.value)
