"""The sentences of a table: the answer above it, and the notes below it that explain its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from fusionlab.errors import UserError
from fusionlab.results.formatting import ceiling, percent, points, points_between, short_list
from fusionlab.results.load import TOGETHER
from fusionlab.results.protocol_warnings import quarantined, row_title, title_axes
from fusionlab.results.rows import Row, answer_counts, constant_axes
from fusionlab.results.spec import Paper, Spec
from fusionlab.results.statistics import (
    CONFIDENCE,
    NO_PREDICTIONS,
    Difference,
    differences,
    partner,
    sign_flip,
    smallest_p,
    unpaired,
)

_PERCENT = f"{100 * CONFIDENCE:.0f} %"


def headline(rows: Sequence[Row], spec: Spec, kind: str) -> str:
    """The table's answer: the fusion with the largest gain over late fusion, or why there is none."""
    best = _best(rows, kind)
    if best is None:
        wanted = ", ".join(f"{axis}={_either(value)}" for axis, value in spec.where.items())
        if not any(row.kind == "fused" for row in rows):
            return "No fusion in this table" + (f" (it is limited to {wanted})" if wanted else "") + ": only baselines."
        if all(row.refused and not (row.done or row.undone) for row in rows if row.kind == "fused"):
            return "Every fusion in this table is refused; see the notes."
        if not any(row.kind == "fused" and row.done for row in rows):
            return "No fusion is done yet."
        return "No fusion could be compared with late fusion; see the notes."
    row, gain = best
    on = "" if kind == TOGETHER else f" on {kind}"
    name, share = row_title(row, title_axes(rows)), percent(row.shares[kind].mean, spec.decimals)
    text = f"Largest gain over late fusion{on}: {name}, {share} %"
    text = f"{text}, {points(gain.mean, spec.decimals)} points {_interval(gain, spec.decimals)}".rstrip()
    return text + ("." if kind in row.gains else ", unpaired: there are no predictions next to the records.")


def _best(rows: Sequence[Row], kind: str) -> tuple[Row, Difference] | None:
    """The fusion with the largest gain; the gain is paired if there are predictions."""
    gained = [(row, row.gains[kind]) for row in rows if kind in row.gains] + _unpaired(rows, kind)
    return max(gained, key=lambda one: one[1].mean, default=None)


def _unpaired(rows: Sequence[Row], kind: str) -> list[tuple[Row, Difference]]:
    """Gains over late fusion of the same seeds and streams from the records' counts, if predictions are missing."""
    late = [entry for row in rows if row.kind == "late" for entry in row.done]
    gains = []
    for row in rows:
        if row.no_gain is None or not row.no_gain.startswith(NO_PREDICTIONS):
            continue
        pairs = [
            (answer_counts(entry), answer_counts(other))
            for entry in row.done
            if (other := partner(entry, late)) is not None
        ]
        counts = [(one[kind], other[kind]) for one, other in pairs if kind in one and kind in other]
        if counts:
            shares = [(a / a_total, b / b_total) for (a, a_total), (b, b_total) in counts]
            videos = min(one for (_, one), _ in counts), min(one for _, (_, one) in counts)
            gains.append((row, unpaired(shares, videos)))
    return gains


def _either(value: object) -> str:
    return " or ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _interval(gain: Difference, decimals: int) -> str:
    return "" if gain.low is None or gain.high is None else points_between(gain.low, gain.high, decimals)


def general(rows: Sequence[Row], spec: Spec, kind: str) -> list[str]:
    """The notes about the whole table."""
    done = [row for row in rows if row.done]
    notes = []
    if constant := constant_axes(rows, spec):
        notes.append("In all rows: " + ", ".join(f"{axis} {text}" for axis, text in constant.items()) + ".")
    notes += _accuracy_notes(done)
    notes += _question_notes(done)
    notes += _quarantine_notes(done)
    gained = [row for row in done if kind in row.gains]
    if gained:
        notes += _gain_notes(gained, spec, kind)
        notes += _spread_notes(gained, spec, kind)
    best = _best(rows, kind)
    if best is not None and kind not in best[0].gains:
        notes.append(_unpaired_note(len(best[1].per_seed)))
    return notes + (_paper_notes(rows, spec.paper) if spec.paper else [])


def _quarantine_notes(rows: Sequence[Row]) -> list[str]:
    """The quarantine that all rows share; if they differ there is a protocol warning."""
    done = [entry for row in rows for entry in row.done]
    quarantines = {tuple(quarantined(entry)) for entry in done}
    if len(quarantines) != 1 or not (names := quarantines.pop()):
        return []
    counts = done[0].result.get("quarantined", {})
    lists = ", ".join(f"{count} of the {which} list" for which, count in counts.items())
    return [f"Quarantined: {len(names)} videos ({lists}), named in each record's config; no number includes them."]


def _accuracy_notes(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["No arm is done yet."]
    numbers = sorted({len(row.done) for row in rows})
    if numbers == [1]:
        return ["Accuracy: one seed, so the spread between trainings is unknown."]
    seeds = "–".join(str(number) for number in dict.fromkeys((numbers[0], numbers[-1])))
    one = "; a row of one seed has no ±" if numbers[0] == 1 else ""
    return [f"Accuracy: mean ± standard deviation (n − 1) over {seeds} seeds{one}."]


def _question_notes(rows: Sequence[Row]) -> list[str]:
    videos = {kind: share.videos for row in rows for kind, share in row.shares.items() if kind != TOGETHER}
    if not videos:
        return []
    counts = ", ".join(f"{count} of {kind}" for kind, count in videos.items())
    text = (
        f"Per kind of question: the mean over seeds and, in brackets, Wilson's {_PERCENT} interval for the number of "
        f"test videos ({counts}), not videos times seeds, since all seeds see the same videos. All rows see them too: "
        "to compare two rows, use a paired difference; whether their intervals overlap does not decide it."
    )
    notes = [text]
    known = [f"{row.method}: {ceilings}" for row in rows if row.kind != "fused" and (ceilings := _ceilings(row))]
    if known:
        systems = "; ".join(dict.fromkeys(known))  # the baselines of all doses have the same
        notes.append(f"of: the exact ceiling, the best share that such a system can reach ({systems}).")
    return notes


def _ceilings(row: Row) -> str:
    return ", ".join(f"{kind} {ceiling(most)}" for kind, most in row.ceilings.items())


def _gain_notes(rows: Sequence[Row], spec: Spec, kind: str) -> list[str]:
    numbers = sorted({len(row.gains[kind].per_seed) for row in rows})
    one = numbers == [1]
    over = "videos (one seed: trainings may differ by more)" if one else "videos and seeds"
    text = (
        "Over late: percentage points above late fusion of the same seed, streams and videos, "
        f"with a {_PERCENT} interval over {over}."
    )
    notes = [text]
    if one:
        return notes
    if numbers[-1] < 4:
        notes[0] += f" If it is wide, {numbers[-1]} seeds are too few to show how much trainings differ: add some."
    tested = [(row, sign_flip(row.gains[kind].per_seed)) for row in rows]
    p_values = [f"{row_title(row, title_axes(rows))} {p:.3g}" for row, p in tested if p is not None]
    if p_values:
        notes.append(f"Sign-flip test over seeds, two-sided p: {', '.join(p_values)}.")
    else:
        seeds = numbers[-1]
        least = f"2/2^{seeds} = {smallest_p(seeds):.3g}"
        notes.append(f"No p-value: with {seeds} paired seeds a sign-flip test cannot go below {least}.")
    return notes


def _unpaired_note(seeds: int) -> str:
    over = "; one seed, so it does not include the spread between trainings"
    if seeds > 1:
        over = ", widened by the variance of the seeds"
    return (
        f"Unpaired: the difference of the records' shares, with Newcombe's {_PERCENT} interval for two independent "
        f"samples of videos{over}. Both systems answered the same videos: a paired interval, which needs predictions, "
        "is narrower if both tend to be right on the same videos."
    )


def _spread_notes(rows: Sequence[Row], spec: Spec, kind: str) -> list[str]:
    """The difference between the best and the worst fusion, paired like the gains."""
    if len(rows) < 2:
        return []
    ranked = sorted(rows, key=lambda row: row.gains[kind].mean)
    worst, best = ranked[0], ranked[-1]
    axes = title_axes(rows)
    by_seed = {entry.seed: entry for entry in worst.done}
    pairs = [(entry, by_seed[entry.seed]) for entry in best.done if entry.seed in by_seed]
    on = "" if kind == TOGETHER else f" on {kind}"
    span = f"from {points(worst.gains[kind].mean, spec.decimals)} ({row_title(worst, axes)})"
    span += f" to {points(best.gains[kind].mean, spec.decimals)} ({row_title(best, axes)})"
    text = f"Spread of the {len(rows)} fusions over late{on}: {span}"
    try:
        difference = differences(pairs).get(kind) if pairs else None
    except UserError:  # other test videos, or predictions with a protocol warning
        difference = None
    if difference is None:
        return [text + "."]
    interval = f" {_interval(difference, spec.decimals)}".rstrip()
    chosen = "; these two were chosen after seeing the results, so it is biased upwards" if len(rows) > 2 else ""
    return [f"{text}; their difference is {points(difference.mean, spec.decimals)} points{interval}{chosen}."]


def _paper_notes(rows: Sequence[Row], paper: Paper) -> list[str]:
    data = _our_data(rows)
    ours = ", ".join(data)
    if not any(row.paper for row in rows):
        return [f"{paper.source} has no comparable row."] if rows else []
    alike = bool(data) and set(data) <= set(paper.data)
    other = "" if alike else " Videos and networks differ: compare the order of rows, not the numbers."
    here = f"Ours are of {ours}" if ours else "Ours are of this study's data"
    notes = [f"The paper's numbers: {paper.source}. {paper.setting} {here}.{other}".replace("  ", " ")]
    shown = [row.paper for row in rows if row.paper]
    absent = [printed for printed in paper.rows if printed.figures and printed not in shown]
    in_rows = paper.absent == "rows" and bool(absent)
    certainty: dict[str, list[str]] = {}
    for row in rows:
        if row.paper and row.paper.figures:
            certainty.setdefault(row.paper.certainty, []).append(row.method)
    for printed in absent if in_rows else ():
        certainty.setdefault(printed.certainty, []).append("the rows that were not run here")
    if certainty:
        notes.append(
            "Sources of the paper's numbers: "
            + "; ".join(f"{how} ({short_list(list(dict.fromkeys(names)), 12)})" for how, names in certainty.items())
            + "."
        )
    if in_rows:
        return [*notes, "The last rows are the paper's, and were not run here."]
    first = next(iter(paper.figures), None) or ""
    texts = [" ".join([*filter(None, map(_key_text, row.key.values())), row.figures.get(first, "")]) for row in absent]
    return notes + ([f"In the paper, but not run here: {short_list(texts, 12)}."] if texts else [])


def _key_text(value: object) -> str:
    """A key's value as text; of a list the first value, which is the usual one."""
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    return "" if first is None or isinstance(first, bool) else str(first)


def _our_data(rows: Sequence[Row]) -> list[str]:
    """The names of the data sets, from the axes or the config."""
    names: dict[str, None] = {}
    for row in rows:
        for entry in row.done:
            if isinstance(value := entry.value("data") or entry.value("data.name"), str):
                names[value.casefold()] = None
    return list(names)
