"""The notes below a table that explain its numbers: the three most important are shown, the others are folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.other_tests import OWN
from fusionlab.records.plan_file import RETRAIN, THEN
from fusionlab.results.ceilings import SCORES, lies_above
from fusionlab.results.cells import SAW_TEST
from fusionlab.results.chains import repeated
from fusionlab.results.crossed import CONFIDENCE, FEWEST_SEEDS, Comparison, not_worse, seeds_needed, smallest_gap
from fusionlab.results.differences import LEVEL, Matrix
from fusionlab.results.formatting import as_typed, ceiling, distance, short_list
from fusionlab.results.headline import gains_of
from fusionlab.results.load import COMBINED, ONE_HEAD, TOGETHER
from fusionlab.results.protocol_rules import quarantined
from fusionlab.results.protocol_warnings import row_title, title_axes
from fusionlab.results.rows import Row, constant_axes
from fusionlab.results.spec import Paper, Spec
from fusionlab.results.splits import SPLIT

MOST = 3  # notes that are not folded
_PERCENT = f"{100 * CONFIDENCE:.0f} %"
_BRACKETS, _GAP, _NO_CONTROL, _WARNING = "Brackets", "Smallest gap", "No control", "Protocol warning"
_OVER = "Over control"
_PAPER = "The paper's numbers"
_LEADING = (SAW_TEST, _BRACKETS, _WARNING, _NO_CONTROL, _OVER, _GAP, _PAPER)


def leading(notes: Sequence[str], marked: Sequence[str]) -> tuple[str, ...]:
    """The notes by importance: what brackets mean, a protocol warning, what gains are over …; then marked ones."""
    first = [next((note for note in notes if note.startswith(lead)), None) for lead in _LEADING]
    return tuple(dict.fromkeys([*filter(None, first), *marked, *notes]))


def gap_of(claim: Mapping[str, Any] | None) -> float:
    """The gap that a claim names, as a share; one point without a claim."""
    points = (claim or {}).get("margin")
    return float(points) / 100 if points else 0.01


def margin_of(claim: Mapping[str, Any] | None) -> float:
    """The loss that would not matter, as a share: that of a claim to be not worse, else one point."""
    return gap_of(claim if claim and claim.get("kind") == "not_worse" else None)


def general(
    rows: Sequence[Row],
    spec: Spec,
    kind: str,
    matrix: Matrix,
    no_bold: str | None,
    claim: Mapping[str, Any] | None,
) -> list[str]:
    """The notes about the whole table."""
    done = [row for row in rows if row.done]
    over, gained = gains_of(done, kind)
    gains = [gain for _, gain in gained]
    notes = saw_test_notes(done)
    if done:
        notes.append(_brackets(done, gains, over, matrix, no_bold))
    notes += _gap_notes(gains, gap_of(claim))
    if gained and over != "the control":
        notes.append(
            f"{_NO_CONTROL}: no arm of these records has its towers trained on without fusion, so a gain over late "
            "fusion contains what further training alone gains."
        )
    if constant := constant_axes(rows, spec):
        notes.append("In all rows: " + ", ".join(f"{axis} {text}" for axis, text in constant.items()) + ".")
    notes += _accuracy_notes(done)
    notes += _split_notes(done)
    notes += _gain_notes(gains, over)
    if no_bold and done:
        notes.append(f"No row is bold: {no_bold}.")
    notes += _margin_notes(gained, margin_of(claim), title_axes(done), over)
    notes += _question_notes(done)
    notes += _ceiling_notes(done)
    notes += _selection_notes(done, spec)
    notes += _chain_notes(done)
    notes += _combination_notes(done)
    notes += _quarantine_notes(done)
    return notes + (_paper_notes(rows, spec.paper) if spec.paper else [])


def saw_test_notes(rows: Sequence[Row]) -> list[str]:
    """What the sign behind figures means that test labels helped to choose."""
    if not any(row.saw_test for row in rows):
        return []
    text = (
        f"{SAW_TEST} validated on the test list (val.list=test), as in the released code: test labels helped to choose "
    )
    return [f"{text}the weights, the drops of the rate or the end of the training, so the accuracy is too high."]


def saw_test_line(rows: Sequence[Row]) -> str:
    """The same in a figure, which has room for one line; "" where no row saw the test list."""
    saw = [row.saw_test for row in rows if row.done]
    if not any(saw):
        return ""
    which = "validated" if all(saw) else "some rows are validated"
    return f"{SAW_TEST} {which} on the test list: test labels helped to choose, so accuracies are too high"


def _brackets(rows: Sequence[Row], gains: Sequence[Comparison], over: str, matrix: Matrix, no_bold: str | None) -> str:
    texts = []
    if any(kind != TOGETHER for row in rows for kind in row.shares):
        worth = any(share.effective is not None for row in rows for share in row.shares.values())
        counted = "which allows for groups of alike videos" if worth else "which takes videos as independent"
        texts.append(f"after a percentage, Wilson's {_PERCENT} interval, {counted}")
    found = sum(gain.method is not None for gain in gains)
    if found:
        texts.append(f"after a gain, the {_PERCENT} interval of the method: other seeds and other videos")
    text = f"{_BRACKETS}: {'; '.join(texts)}." if texts else f"{_BRACKETS}: there are none."
    if min((len(gain.per_seed) for gain in gains), default=FEWEST_SEEDS) < FEWEST_SEEDS:
        text += f" With fewer than {FEWEST_SEEDS} seeds a gain has no interval; the gain of each seed is printed."
    whys = dict.fromkeys(gain.why for gain in gains if gain.method is None and gain.why and not _few(gain))
    if whys:
        text += f" {'Some gains' if found else 'Gains'} have no interval: {'; '.join(whys)}."
    if found and over == "the control":
        over_all = f" after Holm's correction over all {found} rows with such an interval" if found > 1 else ""
        text += f" *: the row differs from its control, p ≤ {100 * LEVEL:.0f} %{over_all}."
    if no_bold is None:
        tested = sum(pair.p is not None for pair in matrix.pairs)
        text += " Bold: of the rows with both streams the best, and all that "
        text += f"Holm's test over all {tested} pairs does not tell from it." if tested else "have no difference to it."
        if left := matrix.unjudged:
            listed = short_list([row_title(row, title_axes(rows)) for row in left])
            text += (
                f" Not judged, so not bold: {listed}; with the best row they share too few seeds or groups of videos."
            )
    return text


def _few(gain: Comparison) -> bool:
    """Whether nothing but the number of seeds is in the way of an interval."""
    return len(gain.per_seed) < FEWEST_SEEDS and gain.networks is not None


def _gap_notes(gains: Sequence[Comparison], margin: float) -> list[str]:
    """The smallest gap that these seeds and videos can find, and the seeds that a margin needs."""
    tested = [gain for gain in gains if gain.method]
    found = [smallest_gap(gain.method) for gain in tested if gain.method]
    if not found:
        return []
    needed = []
    for gain in tested:
        try:
            needed.append(seeds_needed(gain, margin))
        except UserError:  # without groups
            continue
    text = f"{_GAP} that these seeds and videos find in 4 of 5 cases: "
    text += _range([f"{100 * one:.1f}" for one in (min(found), max(found))]) + " points."
    wanted = f"a gap of {distance(margin)}"
    counts = sorted(count for count in needed if count is not None)
    if counts:
        text += f" For {wanted} these videos need {_range([f'{count}' for count in (counts[0], counts[-1])])} seeds"
        text += "; on some rows only more videos would do." if len(counts) < len(needed) else "."
    elif needed:
        text += f" No number of seeds finds {wanted} on these videos: that needs more videos."
    return [text]


def _range(ends: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys(ends))


def _split_notes(rows: Sequence[Row]) -> list[str]:
    arms = [arm for row in rows for entry in row.done for arm in entry.parts]
    if not arms:
        return []
    splits = ", ".join(dict.fromkeys(as_typed(arm.axes[SPLIT]) for arm in arms))
    text = (
        f"The accuracy of a seed is the mean of its accuracies on the splits {splits}; gains are compared within each"
    )
    return [f"{text} split. A seed that lacks one of them is in no mean."]


def _accuracy_notes(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["No arm is done yet."]
    numbers = sorted({len(row.done) for row in rows})
    if numbers == [1]:
        return ["Accuracy: one seed, so the spread between trainings is unknown."]
    seeds = "–".join(str(number) for number in dict.fromkeys((numbers[0], numbers[-1])))
    one = "; a row of one seed has no ±" if numbers[0] == 1 else ""
    return [f"Accuracy: mean ± standard deviation (n − 1) over {seeds} seeds{one}."]


def _gain_notes(gains: Sequence[Comparison], over: str) -> list[str]:
    if not gains:
        return []
    notes = []
    if over == "the control":
        notes.append(
            f"{_OVER}: points above the same two towers, trained on as long, on the same draws, each with its own "
            "loss and without fusion, their scores averaged. Over late: above late fusion, whose streams got no "
            "further training. Both are of the same seed, streams and videos."
        )
    else:
        notes.append("Over late: points above late fusion of the same seed, the same streams and the same videos.")
    if any(gain.networks for gain in gains):
        notes.append(
            "These networks: the same gain with an interval over groups of videos only. It says whether these very "
            "networks differ on other videos, and nothing about other seeds. The CSV has it, with an exact p of "
            "sign-flips of groups; so has a table with columns: [networks]."
        )
    return notes


def _margin_notes(gained: Sequence[tuple[Row, Comparison]], margin: float, axes: Sequence[str], over: str) -> list[str]:
    """Which rows are not worse than their control: the lower end of the interval lies above −margin."""
    tested = [(row, gain.method) for row, gain in gained if gain.method]
    if not tested:
        return []
    kept = [row_title(row, axes) for row, estimate in tested if not_worse(estimate, margin)]
    listed = short_list(kept, 12) if kept else "none"
    return [f"Not worse than {over} by more than {distance(margin)}: {listed}."]


def _ceiling_notes(rows: Sequence[Row]) -> list[str]:
    """Which rows lie above what any function of the two streams' scores can reach."""
    limits = {kind: most for row in rows if row.kind == "late" for kind, most in row.ceilings.items() if most < 1}
    notes = []
    for kind, most in limits.items():
        above = [row for row in rows if row.kind == "fused" and lies_above(row, kind, most)]
        axes = title_axes(rows)
        listed = f": {short_list([row_title(row, axes) for row in above], 12)}" if above else ""
        who = f"{len(above) or 'No'} row{'s lie' if len(above) > 1 else ' lies'}"
        notes.append(
            f"{who} above {ceiling(most)}, the ceiling of {SCORES} on {kind}, with the whole interval{listed}."
        )
    return notes


def _question_notes(rows: Sequence[Row]) -> list[str]:
    worth = {kind: share for row in rows for kind, share in row.shares.items() if kind != TOGETHER}
    if not worth:
        return []
    counts = ", ".join(
        f"{share.videos} of {kind}" + (f", worth {share.effective:.0f}" if share.effective is not None else "")
        for kind, share in worth.items()
    )
    text = (
        f"Per kind of question: the mean over seeds ({counts}); all rows see the same videos, so whether the intervals "
        "of two rows overlap does not decide whether they differ."
    )
    notes = [text]
    known = [f"{row.method}: {ceilings}" for row in rows if row.kind != "fused" and (ceilings := _ceilings(row))]
    if known:
        systems = "; ".join(dict.fromkeys(known))  # the baselines of all doses have the same
        notes.append(
            f"The columns “of” show the exact ceiling, the best share that such a system can reach ({systems})."
        )
    return notes


def _ceilings(row: Row) -> str:
    return ", ".join(f"{kind} {ceiling(most)}" for kind, most in row.ceilings.items())


def _selection_notes(rows: Sequence[Row], spec: Spec) -> list[str]:
    if not any(row.tried for row in rows):
        return []
    text = f"Each row, the control too, has the {spec.select} with the lowest "
    if any(row.saw_test for row in rows if row.tried):
        return [f"{text}loss on the test list ({SAW_TEST}), the mean over seeds; the CSV has all trials."]
    text += "validation loss, the mean over seeds; the CSV has all trials. The test predictions of the others were not "
    return [f"{text}opened."]


def _chain_notes(rows: Sequence[Row]) -> list[str]:
    """What was chosen where, of nets that were trained again on the whole training list."""
    if not any(repeated(arm) for row in rows for entry in row.done for arm in entry.arms):
        return []
    text = (
        f"Trained again ({THEN}={RETRAIN}): rates, their drops and the end were chosen on the validation part of the "
        "training list, by each seed for itself. Streams and arms were then trained anew on the whole list, with the "
        "same seeds, drops at the same steps and the same number of steps. The CSV has the nets that chose; their test "
        "predictions were not opened."
    )
    return [text]


_COMBINED = {
    "logits": "the mean of their outputs before the softmax (fc8's), as in 2016",
    "weighted": "a mean with the weight that is best on the validation part of the training list",
    "svm": "a linear support vector machine on them, trained on the training list",
}


def _combination_notes(rows: Sequence[Row]) -> list[str]:
    """How all rows combine scores, where it is another way than the net's own and no column says it."""
    done = [arm for row in rows for entry in row.done for arm in entry.arms]
    how = {arm.result.get(COMBINED, OWN) for arm in done if arm.kind != "tower" and not arm.result.get(ONE_HEAD)}
    return [f"Scores of two heads or two streams: {_COMBINED[one]}." for one in how if len(how) == 1 and one != OWN]


def _quarantine_notes(rows: Sequence[Row]) -> list[str]:
    """The quarantine that all rows share; if they differ there is a protocol warning."""
    done = [arm for row in rows for entry in row.done for arm in entry.arms]
    quarantines = {tuple(quarantined(entry)) for entry in done}
    if len(quarantines) != 1 or not (names := quarantines.pop()):
        return []
    counts = done[0].result.get("quarantined", {})
    lists = ", ".join(f"{count} of the {which} list" for which, count in counts.items())
    return [f"Quarantined: {len(names)} videos ({lists}), named in each record's config; no number includes them."]


def _paper_notes(rows: Sequence[Row], paper: Paper) -> list[str]:
    data = _our_data(rows)
    ours = ", ".join(data)
    if not any(row.paper for row in rows):
        return [f"{paper.source} has no comparable row."] if rows else []
    alike = bool(data) and set(data) <= set(paper.data)
    other = "" if alike else " Videos and networks differ: compare the order of rows, not the numbers."
    here = f"Ours are of {ours}" if ours else "Ours are of this study's data"
    notes = [f"{_PAPER}: {paper.source}. {paper.setting} {here}.{other}".replace("  ", " ")]
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
        cited = " Cited rows are other systems', as the paper prints them." if any(one.cited for one in absent) else ""
        return [*notes, f"The last rows are the paper's, and were not run here.{cited}"]
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
