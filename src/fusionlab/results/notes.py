"""What a table says in sentences: the answer at its head, and how to read its numbers at its foot."""

from __future__ import annotations

from collections.abc import Sequence

from fusionlab.errors import UserError
from fusionlab.results.figures import ceiling, listed, percent, points, points_between, typed
from fusionlab.results.gains import NO_PREDICTIONS, differences, partner
from fusionlab.results.load import TOGETHER
from fusionlab.results.protocol_warnings import quarantined, telling, title
from fusionlab.results.rows import Row, constant_axes, counted
from fusionlab.results.spec import Paper, Spec
from fusionlab.results.statistics import CONFIDENCE, Difference, sign_flip, smallest_p, unpaired

_PERCENT = f"{100 * CONFIDENCE:.0f} %"


def headline(rows: Sequence[Row], spec: Spec, kind: str) -> str:
    """The table's answer: the fusion with the largest gain over late, or what is missing for one."""
    best = _best(rows, kind)
    if best is None:
        wanted = ", ".join(f"{axis}={_either(value)}" for axis, value in spec.where.items())
        if not any(row.kind == "fused" for row in rows):
            return "No fusion in this table" + (f" (it is about {wanted})" if wanted else "") + ": only the baselines."
        if not any(row.kind == "fused" and row.done for row in rows):
            return "No fusion is done yet."
        return "No fusion could be held against late fusion; the notes say why."
    row, gain = best
    on = "" if kind == TOGETHER else f" on {kind}"
    text = f"Most over late fusion{on}: {title(row, telling(rows))}, {percent(row.shares[kind].mean, spec.decimals)} %"
    text = f"{text}, {points(gain.mean, spec.decimals)} points {_interval(gain, spec.decimals)}".rstrip()
    return text + ("." if kind in row.gains else ", unpaired, as no predictions lie beside the records.")


def _best(rows: Sequence[Row], kind: str) -> tuple[Row, Difference] | None:
    """The fusion with the largest gain, paired where predictions allow it."""
    gained = [(row, row.gains[kind]) for row in rows if kind in row.gains] + _unpaired(rows, kind)
    return max(gained, key=lambda one: one[1].mean, default=None)


def _unpaired(rows: Sequence[Row], kind: str) -> list[tuple[Row, Difference]]:
    """Of fusions without predictions, from the records' own counts: over late fusion of the same seeds and streams."""
    late = [entry for row in rows if row.kind == "late" for entry in row.done]
    found = []
    for row in rows:
        if row.no_gain is None or not row.no_gain.startswith(NO_PREDICTIONS):
            continue
        pairs = [(counted(entry), counted(other)) for entry in row.done if (other := partner(entry, late)) is not None]
        counts = [(one[kind], other[kind]) for one, other in pairs if kind in one and kind in other]
        if counts:
            shares = [(right / total, held / out_of) for (right, total), (held, out_of) in counts]
            videos = min(one for (_, one), _ in counts), min(one for _, (_, one) in counts)
            found.append((row, unpaired(shares, videos)))
    return found


def _either(value: object) -> str:
    return " or ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _interval(gain: Difference, decimals: int) -> str:
    return "" if gain.low is None or gain.high is None else points_between(gain.low, gain.high, decimals)


def general(rows: Sequence[Row], spec: Spec, kind: str) -> list[str]:
    """The notes about the whole table."""
    done = [row for row in rows if row.done]
    notes = []
    constant = {axis: value for axis, value in constant_axes(rows, spec).items() if value is not None}
    if constant:
        notes.append("In all rows: " + ", ".join(f"{axis} {typed(value)}" for axis, value in constant.items()) + ".")
    notes += _accuracy(done)
    notes += _kinds(done)
    notes += _quarantine(done)
    gained = [row for row in done if kind in row.gains]
    if gained:
        notes += _gains(gained, spec, kind)
        notes += _spread(gained, spec, kind)
    best = _best(rows, kind)
    if best is not None and kind not in best[0].gains:
        notes.append(_unpaired_note(len(best[1].per_seed)))
    return notes + (_paper(rows, spec.paper) if spec.paper else [])


def _quarantine(rows: Sequence[Row]) -> list[str]:
    """Where all rows leave out the same; where they do not, a guard says so."""
    done = [entry for row in rows for entry in row.done]
    left_out = {tuple(quarantined(entry)) for entry in done}
    if len(left_out) != 1 or not (names := left_out.pop()):
        return []
    counts = done[0].result.get("quarantined", {})
    lists = ", ".join(f"{count} of the {which} list" for which, count in counts.items())
    return [f"Quarantined: {len(names)} videos ({lists}), by name in each record's config; they are in no figure."]


def _accuracy(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["No arm is done yet."]
    numbers = sorted({len(row.done) for row in rows})
    if numbers == [1]:
        return ["Accuracy: one seed, so nothing is said about the spread between trainings."]
    seeds = "–".join(str(number) for number in dict.fromkeys((numbers[0], numbers[-1])))
    one = "; a row of one seed has no ±" if numbers[0] == 1 else ""
    return [f"Accuracy: mean ± standard deviation (n − 1) over {seeds} seeds{one}."]


def _kinds(rows: Sequence[Row]) -> list[str]:
    videos = {kind: share.videos for row in rows for kind, share in row.shares.items() if kind != TOGETHER}
    if not videos:
        return []
    counts = ", ".join(f"{count} of {kind}" for kind, count in videos.items())
    text = (
        f"Per kind of question: the mean over seeds and, in brackets, Wilson's {_PERCENT} interval for that "
        f"many test videos ({counts}), not videos times seeds, since the seeds see the same videos. So do the rows: "
        "whether two of these intervals overlap does not say whether two rows differ, a paired difference does."
    )
    notes = [text]
    known = [f"{row.method}: {ceilings}" for row in rows if row.kind != "fused" and (ceilings := _ceilings(row))]
    if known:
        systems = "; ".join(dict.fromkeys(known))  # a baseline of every dose has the same
        notes.append(f"of: the exact share that such a system can reach at best, whatever it learns ({systems}).")
    return notes


def _ceilings(row: Row) -> str:
    known = {
        kind: share.ceiling for kind, share in row.shares.items() if kind != TOGETHER and share.ceiling is not None
    }
    return ", ".join(f"{kind} {ceiling(most)}" for kind, most in known.items())


def _gains(rows: Sequence[Row], spec: Spec, kind: str) -> list[str]:
    numbers = sorted({len(row.gains[kind].per_seed) for row in rows})
    one = numbers == [1]
    over = "videos (one seed: other trainings may differ by more)" if one else "videos and seeds"
    text = (
        "Over late: points gained over late fusion of the same seed, the same streams and the same videos, "
        f"with its {_PERCENT} interval over {over}."
    )
    notes = [text]
    if one:
        return notes
    if numbers[-1] < 4:
        few = f"{numbers[-1]} seeds say little of how trainings differ"
        notes[0] += f" Where it is wide, that is because {few}: a few more narrow it fast."
    tested = [(row, sign_flip(row.gains[kind].per_seed)) for row in rows]
    told = [f"{title(row, telling(rows))} {p:.3g}" for row, p in tested if p is not None]
    if told:
        notes.append(f"Sign-flip test over seeds, two-sided p: {', '.join(told)}.")
    else:
        seeds = numbers[-1]
        least = f"2/2^{seeds} = {smallest_p(seeds):.3g}"
        notes.append(f"No p-value: with {seeds} paired seeds a sign-flip test cannot go below {least}.")
    return notes


def _unpaired_note(seeds: int) -> str:
    over = (
        "; one seed, so nothing of how trainings differ is in it" if seeds == 1 else ", widened by what the seeds vary"
    )
    return (
        f"Unpaired: the difference of the records' shares, with Newcombe's {_PERCENT} interval for two independent "
        f"samples of videos{over}. Both answered the same videos: a paired interval, which needs predictions, is "
        "narrower where both tend to be right on the same ones."
    )


def _spread(rows: Sequence[Row], spec: Spec, kind: str) -> list[str]:
    """How far the best and the worst fusion are apart, paired as the gains are."""
    if len(rows) < 2:
        return []
    ranked = sorted(rows, key=lambda row: row.gains[kind].mean)
    worst, best = ranked[0], ranked[-1]
    axes = telling(rows)
    by_seed = {entry.seed: entry for entry in worst.done}
    pairs = [(entry, by_seed[entry.seed]) for entry in best.done if entry.seed in by_seed]
    on = "" if kind == TOGETHER else f" on {kind}"
    span = f"from {points(worst.gains[kind].mean, spec.decimals)} ({title(worst, axes)})"
    span += f" to {points(best.gains[kind].mean, spec.decimals)} ({title(best, axes)})"
    text = f"Spread of the {len(rows)} fusions over late{on}: {span}"
    try:
        apart = differences(pairs).get(kind) if pairs else None
    except UserError:  # other test videos, or predictions that a guard tells of
        apart = None
    if apart is None:
        return [text + "."]
    interval = f" {_interval(apart, spec.decimals)}".rstrip()
    flatters = "; the two were picked after looking, which flatters" if len(rows) > 2 else ""
    return [f"{text}; the two are {points(apart.mean, spec.decimals)} points apart{interval}{flatters}."]


def _paper(rows: Sequence[Row], paper: Paper) -> list[str]:
    ours = _our_data(rows)
    if not any(row.paper for row in rows):
        return [f"{paper.source} has no row like these."] if rows else []
    other = "" if ours == paper.data else " Other videos and other nets: compare the order of rows, not the numbers."
    held = f"Ours are of {ours}" if ours else "Ours are of this study's data"
    notes = [f"The paper's numbers: {paper.source}. {paper.setting} {held}.{other}".replace("  ", " ")]
    certainty: dict[str, list[str]] = {}
    for row in rows:
        if row.paper and row.paper.figures:
            certainty.setdefault(row.paper.certainty, []).append(row.method)
    if certainty:
        notes.append(
            "How certain the paper's numbers are: "
            + "; ".join(f"{how} ({listed(list(dict.fromkeys(names)), 12)})" for how, names in certainty.items())
            + "."
        )
    here = [row.paper for row in rows if row.paper]
    absent = [row for row in paper.rows if row.figures and row not in here]
    first = next(iter(paper.figures), None)
    told = [" ".join([*filter(None, map(_told, row.key.values())), row.figures.get(first or "", "")]) for row in absent]
    return notes + ([f"In the paper, but not run here: {listed(told, 12)}."] if told else [])


def _told(value: object) -> str:
    """A key's value in words; of a list its first, which is the usual one."""
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    return "" if first is None or isinstance(first, bool) else str(first)


def _our_data(rows: Sequence[Row]) -> str:
    """The data set's name, where the axes or the config tell."""
    names: dict[str, None] = {}
    for row in rows:
        for entry in row.done:
            for leaf in ("data", "data.name", "data.dataset._target_"):
                value = entry.value(leaf)
                if isinstance(value, str):
                    names[value.rpartition(".")[2].casefold()] = None
                    break
    return ", ".join(names)
