"""Sets whose lists are JSON, as Something-Something has them.

    train.json, validation.json   [{"id": "78687", "label": "…", "template": "Holding [something] next to [something]"}, …]
    labels.json                   {"Holding something next to something": "0", …}

A label is its template without the brackets, a video <id>.webm. The test list has no labels, so that the validation
list is the test list. Who filmed a video is not said, so that each is its own group.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fusionlab.data.dataset import Entry
from fusionlab.data.leak import some
from fusionlab.data.on_disk import Lists, OnDisk, each_once, inside, unpacked
from fusionlab.errors import UserError
from fusionlab.records.files import read_json

PREFIXES = ("", "something-something-v2-")
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

    def path(self, name: str) -> Path:
        path = super().path(name)
        others = (path.with_suffix(ending) for ending in ENDINGS)
        return path if path.is_file() else next((other for other in others if other.is_file()), path)

    def _find(self, home: Path) -> tuple[Path, Path]:
        return unpacked(home, *VIDEOS), unpacked(home, "labels")

    def _needs(self, split: int | None) -> list[Path]:
        names = ("labels.json",) if split is None else ("labels.json", "train.json", "validation.json")
        return [self._file(name) for name in names]

    def _file(self, name: str) -> Path:
        places = [self.folder / f"{prefix}{name}" for prefix in PREFIXES]
        return next((place for place in places if place.is_file()), places[0])

    def _classes(self) -> list[str]:
        path = self._file("labels.json")
        found: Any = read_json(path)
        if not isinstance(found, dict) or sorted(map(str, found.values()), key=_number) != list(
            map(str, range(len(found)))
        ):
            raise UserError("labels.json gives each label a number, from 0 without a gap", got=path)
        return sorted(found, key=lambda label: int(found[label]))

    def _lists(self, split: int) -> Lists:
        _, train, test = self._needs(split)
        return self._list(train), self._list(test)

    def _list(self, path: Path) -> list[Entry]:
        found: Any = read_json(path)
        numbers = {name: number for number, name in enumerate(self.classes)}
        named, wrong = [], []
        for place, one in enumerate(found if isinstance(found, list) else [found]):
            try:
                video, label = f"{one['id']}.webm", numbers[one["template"].replace("[", "").replace("]", "")]
            except (KeyError, TypeError, AttributeError):
                wrong.append(f"{path.name}[{place}]: {str(one)[:80]}")
                continue
            inside(video, f"{path.name}[{place}]")
            named.append((f"{path.name}[{place}]", video, label))
        if wrong:
            raise UserError(
                "an entry has an id, and a template that is a label of labels.json", got=f"{len(wrong)}: {some(wrong)}"
            )
        return each_once(named)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1
