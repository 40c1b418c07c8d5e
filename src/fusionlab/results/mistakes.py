"""Three typical mistakes of a row, chosen by a rule from the predictions of its seeds; never by hand.

A confusion is a class and the class that it was taken for. The rule:

    confusions   those with most answers of all seeds of the row first; of equals, by the names of both classes
    videos       one for each confusion: that which most seeds confuse so; of equals, with the highest mean score of the
                 wrong class over these seeds; of equals, by its name. No video is shown twice

The pictures come from the caller: results knows no videos. Seeds without readable predictions are left out; a row
where all are has no mistakes to choose from, and is no key of what `typical_mistakes` returns.
"""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import fsum

from fusionlab.errors import UserError
from fusionlab.records.files import read_whole
from fusionlab.records.predictions import LARGEST, WrongAnswer, parse_wrong_answers
from fusionlab.results.load import Entry
from fusionlab.results.rows import Row
from fusionlab.results.tables import Table

MOST = 3  # mistakes of a row
MOST_ROWS = 20  # of a table; more pictures would make a page that loads slowly
RULE = (
    f"Chosen by a rule, not by hand: the {MOST} most frequent confusions of two classes over all seeds of a row, and "
    "of each the video that most seeds confuse so, then with the highest mean score of the wrong class. "
    f"At most {MOST_ROWS} rows have them: the baselines, then the fusions with the highest accuracy."
)
NO_DATA = "no picture: the packed videos were not looked for"


@dataclass(frozen=True)
class Mistake:
    """A video that a row's seeds took for another class. `picture`: frames, and the flow below them."""

    video: str
    label: str
    predicted: str
    text: str
    picture: bytes | None = None
    why: str | None = NO_DATA  # there is no picture
    entry: Entry | None = field(default=None, repr=False)  # an arm that made the mistake; its config knows the data

    @property
    def source(self) -> str | None:
        """The picture as the `src` of an image."""
        if self.picture is None:
            return None
        kind = "png" if self.picture.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{b64encode(self.picture).decode('ascii')}"


Draw = Callable[[Mistake], bytes]  # raises a `UserError` where there is no picture


def typical_mistakes(table: Table, draw: Draw | None = None) -> dict[int, list[Mistake]]:
    """The id of a row -> its mistakes, for at most `MOST_ROWS` rows with predictions; empty if all is right.

    Baselines come first, then fusions, the best first. Trials that were not chosen are no part of their rows.
    """

    def order(row: Row) -> tuple[bool, float]:
        share = row.shares.get(table.kind)
        return row.kind == "fused", 0.0 if share is None else -share.mean

    chosen: dict[int, list[Mistake]] = {}
    for row in sorted(table.rows, key=order):
        if len(chosen) == MOST_ROWS:
            break
        mistakes = choose_mistakes(row)
        if mistakes is not None:
            chosen[id(row)] = [_drawn(one, draw) for one in mistakes]
    return chosen


def choose_mistakes(row: Row) -> list[Mistake] | None:
    """The mistakes of one row, without pictures; None if no seed has predictions."""
    read = [(entry, arm, wrong) for entry in row.done for arm in entry.arms if (wrong := _wrong(arm)) is not None]
    if not read:
        return None
    seeds = len({id(entry) for entry, _, _ in read})
    # class, wrong class -> video -> (arm, score) of each arm that confuses it so
    confusions: dict[tuple[str, str], dict[str, list[tuple[Entry, float]]]] = defaultdict(lambda: defaultdict(list))
    for _, arm, wrong in read:
        for one in wrong:
            confusions[one.label, one.predicted][one.video].append((arm, one.score))
    counts = {pair: sum(map(len, videos.values())) for pair, videos in confusions.items()}
    mistakes: list[Mistake] = []
    for pair in sorted(confusions, key=lambda pair: (-counts[pair], pair)):
        shown = {one.video for one in mistakes}
        ranked = sorted(
            (-len(found), -_mean(score for _, score in found), video)
            for video, found in confusions[pair].items()
            if video not in shown
        )
        if ranked and len(mistakes) < MOST:
            video = ranked[0][2]
            found = confusions[pair][video]
            mistakes.append(Mistake(video, *pair, _text(found, seeds, counts[pair]), entry=found[0][0]))
    return mistakes


def _wrong(arm: Entry) -> list[WrongAnswer] | None:
    """An arm's wrong answers; None if its predictions are missing or damaged, of which the table has a note."""
    try:
        arm.answers  # noqa: B018, checks that they belong to the record
        if arm.folder is None or not (file := arm.folder / arm.file).is_file():
            return None
        return parse_wrong_answers(read_whole(file, LARGEST), file)
    except UserError:
        return None


def _mean(scores: Iterable[float]) -> float:
    every = list(scores)
    return fsum(every) / len(every)


def _text(found: list[tuple[Entry, float]], seeds: int, count: int) -> str:
    mean = _mean(score for _, score in found)
    share = f"{len(found)} of {seeds} seed{'s' * (seeds > 1)}, mean score {mean:.2f}"
    return f"{share}; {count} such answer{'s' * (count > 1)} in all"


def _drawn(mistake: Mistake, draw: Draw | None) -> Mistake:
    if draw is None:
        return mistake
    try:
        return replace(mistake, picture=draw(mistake), why=None)
    except UserError as error:
        return replace(mistake, why=f"no picture: {error.what}" + (f" ({error.got})" if error.got else ""))
