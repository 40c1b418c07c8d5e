"""What a fusion gains over late fusion: the same seed, the same frozen streams, the same videos.

d[seed][video] = (fusion right on video) − (late right on video)
"""

from __future__ import annotations

from collections.abc import Sequence

from fusionlab.errors import UserError
from fusionlab.results.load import TOGETHER, Entry
from fusionlab.results.statistics import Difference, paired

_OWN = ("fusion", "layer", "temporal", "streams")  # in these a fused arm and its late baseline may differ

NO_PREDICTIONS = "no predictions"  # how a reason begins that only a missing file gives


def gains(done: Sequence[Entry], late: Sequence[Entry]) -> tuple[dict[str, Difference], str | None]:
    """Over late fusion, per kind of question and together; or {} and why not."""
    partners = [partner(entry, late) for entry in done]
    pairs = [(entry, other) for entry, other in zip(done, partners, strict=True) if other is not None]
    if not pairs:
        return {}, "no late fusion of the same seed and the same streams to be held against"
    try:
        return differences(pairs), None
    except UserError as error:
        return {}, f"{error.what} ({error.got})"


def partner(entry: Entry, late: Sequence[Entry]) -> Entry | None:
    """The late fusion of the same seed and stage one, and alike in every other axis that both have."""
    for other in late:
        same_streams = other.record["stage_one"] == entry.record["stage_one"]
        shared = (set(entry.place) & set(other.place)) - set(_OWN)
        alike = all(entry.axes[axis] == other.axes[axis] for axis in shared)
        if same_streams and alike and entry.seed == other.seed:
            return other
    return None


def differences(pairs: Sequence[tuple[Entry, Entry]]) -> dict[str, Difference]:
    """The first of each pair minus the second, a pair per seed."""
    first, _ = pairs[0]
    answers = first.answers
    videos: dict[str, list[str]] = {TOGETHER: list(answers)}
    for video, answer in answers.items():
        if answer.kind is not None:
            videos.setdefault(answer.kind, []).append(video)
    for one, other in pairs:
        for entry in (one, other):
            labels = {video: answer.label for video, answer in entry.answers.items()}
            if labels != {video: answer.label for video, answer in answers.items()}:
                raise UserError("other test videos or labels, so nothing to pair", got=f"{entry.name} and {first.name}")
    return {
        kind: paired(
            [[one.answers[v].right - float(other.answers[v].right) for v in chosen] for one, other in pairs],
        )
        for kind, chosen in videos.items()
    }
