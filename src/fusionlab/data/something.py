"""Sets whose lists are JSON, as Something-Something has them.

    train.json, validation.json   [{"id": "78687", "template": "Holding [something] next to [something]", …}, …]
    labels.json                   {"Holding something next to something": "0", …}

A label is its template without the brackets, a video <id>.webm. The test list has no labels, so that the validation
list is the test list. The lists do not name who filmed a video, so each video is its own group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fusionlab.data.dataset import Entry
from fusionlab.data.list_files import Named, Wrong, class_labels, entries, read_json
from fusionlab.data.on_disk import Lists, OnDisk, unpacked
from fusionlab.errors import UserError

LABELS, TRAIN, TEST = "labels.json", "train.json", "validation.json"
PREFIXES = ("", "something-something-v2-")  # of the lists' names, as they were published at first
VIDEOS = ("20bn-something-something-v2", "videos")
ENDINGS = (".webm", ".mp4", ".avi")


class Something(OnDisk):
    """Videos and lists in `name`, below the folder of the data."""

    unpack = "put labels.json, train.json, validation.json and the videos (<id>.webm)"

    def __init__(
        self, root: str | Path | None = None, lists: str | Path | None = None, *, name: str = "something",
        classes: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(root, lists, name=name, classes=classes)

    def group(self, name: str) -> str:
        return name

    @property
    def notes(self) -> list[str]:
        sided = sum(bool({"left", "right"} & set(label.lower().split())) for label in self.classes)
        mirrored = f"{sided} labels say left or right, and clips are mirrored in training and testing, as in the papers"
        groups = "each video is its own group: the lists do not say who filmed it"
        return [groups, *([mirrored] if sided else []), *super().notes]

    def _find(self, home: Path) -> tuple[Path, Path]:
        return unpacked(home, *VIDEOS), unpacked(home, "labels")

    def _places(self, name: str) -> Iterator[str]:
        for ending in ENDINGS:
            yield name.removesuffix(ENDINGS[0]) + ending

    def _needs(self, split: int | None) -> list[Path]:
        return [self._file(name) for name in ((LABELS,) if split is None else (LABELS, TRAIN, TEST))]

    def _file(self, name: str) -> Path:
        places = [self.folder / f"{prefix}{name}" for prefix in PREFIXES]
        return next((place for place in places if place.is_file()), places[0])

    def _classes(self) -> list[str]:
        path = self._file(LABELS)
        content = read_json(path)
        labels = {name: str(number) for name, number in content.items()} if isinstance(content, dict) else {}
        if not labels or set(labels.values()) != {str(number) for number in range(len(labels))}:
            hint = '{"Holding something": "0", …}'
            raise UserError("labels.json gives each label a number, from 0 without a gap", got=path, hint=hint)
        return sorted(labels, key=lambda name: int(labels[name]))

    def _lists(self, split: int) -> Lists:
        labels = class_labels(self.classes)
        with Wrong() as wrong:
            return self._list(TRAIN, labels, wrong), self._list(TEST, labels, wrong)

    def _list(self, name: str, labels: Mapping[str, int], wrong: Wrong) -> list[Entry]:
        content = read_json(self._file(name))
        if not isinstance(content, list):
            raise UserError("a list of Something-Something is a list of entries", got=self._file(name), hint="[{…}, …]")
        if not content:
            wrong.add("this list is empty", self._file(name))
        return entries(_named(name, content, labels, wrong), wrong)


def _named(name: str, content: list[Any], labels: Mapping[str, int], wrong: Wrong) -> Iterator[Named]:
    for number, one in enumerate(content):
        place = f"{name}[{number}]"
        video, template = (one.get("id"), one.get("template")) if isinstance(one, dict) else (None, None)
        if not isinstance(video, str | int) or not isinstance(template, str) or isinstance(video, bool):
            wrong.add("an entry has an id and a template", f"{place}: {str(one)[:80]}")
            continue
        label = template.replace("[", "").replace("]", "")
        if label not in labels:
            what, hint = "a template is no label of labels.json", f"one of the {len(labels)} in {LABELS}"
            wrong.add_unknown(what, f"{place}: {template}", label, labels, hint)
        else:
            yield place, f"{video}{ENDINGS[0]}", labels[label]
