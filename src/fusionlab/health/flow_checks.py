"""What is wrong with the flow of a store, in words, and what to type about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fusionlab.data.dataset import Entry
from fusionlab.health.field_checks import Walked
from fusionlab.health.finding import NOTE, QUARANTINE, WRONG, Finding, of_files
from fusionlab.health.hypotheses import RIGHT, Evidence
from fusionlab.health.verdict import OF_VIDEO, Verdict, again, verdict
from fusionlab.health.video_checks import Looked
from fusionlab.video.store import Store

PACK = f"python -m fusionlab.prepare with the same words packs what it lacks; or {QUARANTINE}"
AGAIN = "remove {folder}, then python -m fusionlab.prepare with the same words makes it again"

# hypothesis -> (code, what is stored)
STORED = {
    "ahead": ("flow-shifted", "field k is the flow of frames k + 1 and k + 2: it is a frame ahead"),
    "behind": ("flow-shifted", "field k is the flow of frames k − 1 and k: it is a frame behind"),
    "swapped": ("flow-swapped", "x and y are swapped: u lies where v should, and v where u should"),
    "u negated": ("flow-sign", "the sign of u is wrong: it points to the left"),
    "v negated": ("flow-sign", "the sign of v is wrong: it points upwards"),
    "negated": ("flow-sign", "the sign of u and of v is wrong"),
    "mirrored": ("flow-flip", "flow is mirrored and frames are not, or the reverse; u was not negated with it"),
    "mirrored, u negated": ("flow-flip", "flow is mirrored, with u negated, and frames are not, or the reverse"),
    "backward": ("flow-backward", "field k leads from frame k + 1 to frame k: forward and backward flow are exchanged"),
    None: ("flow-unlike", "stored flow is not the flow of these frames, nor that with any fault that is known"),
}


def missing(videos: Sequence[Entry], store: Store) -> list[Finding]:
    """Videos of the lists that the store lacks, or knows under another label."""
    absent = {name: "" for name, _ in videos if name not in store.videos}
    there = [(name, label, store.videos[name].label) for name, label in videos if name in store.videos]
    other = {name: f"label {got}, not {label}" for name, label, got in there if got != label}
    again = AGAIN.format(folder=store.folder)
    return [
        *of_files("flow-missing", WRONG, "{videos} of the lists without flow: the store lacks them", absent, PACK),
        *of_files("labels", WRONG, "{videos} with another label in the store", other, again),
    ]


def counts(looked: Sequence[Looked], store: Store) -> list[Finding]:
    """A store holds one field fewer than frames, always; but are these all frames of the file?"""
    slight: dict[str, str] = {}
    far: dict[str, str] = {}
    for one in looked:
        video = store.videos.get(one.name)
        if video is None or one.found.decoded < 2 or video.frames == one.found.decoded:
            continue
        said = f"{video.frames - 1} fields, and the file has {one.found.decoded} frames"
        (slight if abs(video.frames - one.found.decoded) == 1 else far)[one.name] = said
    notes = {name: "; ".join(said) for name, said in store.notes.items() if name in store.videos}
    what = "{videos} whose number of fields is not that of its frames less one"
    return [
        *of_files("flow-count", WRONG, what, far, f"{AGAIN.format(folder=store.folder)}; or {QUARANTINE}"),
        *of_files("flow-count-by-one", NOTE, what + ", but for one that tools miscount", slight),
        *of_files("store-notes", NOTE, "{videos} of which was noted when they were packed", notes),
    ]


def findings(
    walked: Sequence[Walked], store: Store, by_its_method: Callable[[], Sequence[Walked]] | None = None
) -> tuple[list[Finding], Verdict]:
    """Of the whole walk, and what the sample says of the set. `by_its_method`: the sample once more, estimated as the
    store says that it was made, where that can be done; asked for only where the bound looks wrong, for there are
    methods that find shorter vectors than ours.
    """
    damage = {one.name: one.damage for one in walked if one.damage}
    blank = {
        one.name: f"{one.constant} of {one.fields} fields have one value, and frames move at {one.blank} of {one.asked}"
        for one in walked
        if one.blank
    }
    remake = AGAIN.format(folder=store.folder)
    how = f"{remake}; or {QUARANTINE}"
    found = [
        *of_files("store-damaged", WRONG, "{videos} whose bytes in the store are damaged", damage, remake),
        *of_files("flow-blank", WRONG, "{videos} with blank or constant fields between frames that move", blank, how),
    ]
    of_set = verdict(_evidence(walked))
    if of_set.holds == RIGHT:
        found += _single(walked, store)
    else:
        found.append(_of_set(of_set, store))
    excused = None
    if of_set.stretch != 1 and of_set.holds == RIGHT and by_its_method is not None:
        excused = _excused(of_set, again(_evidence(by_its_method())), store)
    return [*found, *_levels(of_set, store, excused)], of_set


def _evidence(walked: Sequence[Walked]) -> list[Evidence]:
    return [one for video in walked for one in video.evidence]


def _excused(found: Verdict, anew: Verdict, store: Store) -> Finding | None:
    """A note instead of a wrong bound, where the store's own method finds again what is stored."""
    if anew.scale is None or anew.stretch != 1:
        return None
    method = _method(store).get("method")
    what = (
        f"stored flow is {found.stretch:.2f} times as long as what the doctor finds in the frames, and {method}, which "
        f"made it, finds the same again: its bound is right, but it takes these motions for "
        f"{'slower' if found.stretch < 1 else 'faster'} than they are"
    )
    return Finding("flow-length", NOTE, what, numbers={**_numbers(found), "scale by its own method": anew.scale})


def _of_set(found: Verdict, store: Store) -> Finding:
    code, what = STORED[found.holds]
    said = f"of all videos {what}"
    if found.rival is not None:
        said += f" (or: {STORED[found.rival][1]})"
    numbers = {**_numbers(found), "hypothesis": found.holds, "rival": found.rival}
    remedies = [remedy(holds, store) for holds in (found.holds, found.rival)[: 1 + (found.rival is not None)]]
    return Finding(code, WRONG, said, " or: ".join(dict.fromkeys(remedies)), numbers=numbers)


def _single(walked: Sequence[Walked], store: Store) -> list[Finding]:
    """Videos whose flow is wrong where that of the others is right."""
    files: dict[str | None, dict[str, str]] = defaultdict(dict)
    for one in walked:
        found = verdict(one.evidence, OF_VIDEO)
        if found.holds != RIGHT:
            files[found.holds][one.name] = f"disagreement {found.of_right or 0:.2f} over {found.pairs} pairs of frames"
    how, findings = f"{AGAIN.format(folder=store.folder)}; or {QUARANTINE}", []
    for holds, names in files.items():
        code, stored = STORED[holds]
        what = "{videos}, of those estimated anew: " + stored
        findings += of_files(code, WRONG, what, names, how, hypothesis=holds)
    return findings


def _levels(found: Verdict, store: Store, excused: Finding | None) -> list[Finding]:
    """Bound and zero. `excused`: said instead of a wrong bound."""
    wrong, level = [], 2 * store.bound / 255
    if excused is not None:
        wrong.append(excused)
    elif found.stretch != 1:
        fits = float(f"{store.bound / found.stretch:.3g}")
        what = (
            f"stored flow is {found.stretch:.2f} times as long as that of the frames: its bound is not "
            f"{store.bound:g} but about {fits:g} pixels"
        )
        how = f"data.store.bound={fits:g}" if _imported(store) else AGAIN.format(folder=store.folder)
        wrong.append(Finding("flow-bound", WRONG, what, how, numbers={**_numbers(found), "bound": fits}))
    offset = found.offset(store.bound)
    if any(offset):
        zeros = [127.5 + one / level for one in offset]
        what = (
            f"where nothing moves stored flow is u = {offset[0]:+.2f}, v = {offset[1]:+.2f} pixels: its zero lies "
            f"at the levels {zeros[0]:.0f} and {zeros[1]:.0f}, not at 128"
        )
        how = "images in which 128 stands for no motion" if _imported(store) else AGAIN.format(folder=store.folder)
        wrong.append(Finding("flow-zero", WRONG, what, how, numbers={**_numbers(found), "zero": zeros}))
    return wrong


def _numbers(found: Verdict) -> dict[str, Any]:
    return {
        "pairs": found.pairs, "disagreement": found.disagreement, "disagreement with what is right": found.of_right,
        "scale": found.scale, "offset": found.zero, "votes": {name: list(votes) for name, votes in found.votes.items()},
    }  # fmt: skip


def _imported(store: Store) -> bool:
    return _method(store).get("method") == "imported"


def _method(store: Store) -> Mapping[str, Any]:
    return store.made.get("flow", {})


def remedy(holds: str | None, store: Store) -> str:
    """What to type: of imported flow the option that says it right, where there is one; computed flow is made again."""
    if not _imported(store):
        return AGAIN.format(folder=store.folder)
    order, offset = _method(store).get("order", "xy"), _method(store).get("offset", 0)
    otherwise = "images with u to the right and v downwards, of these very frames (run.flow=…), or flow=dis_medium"
    return {
        "ahead": f"data.store.flow.offset={offset - 1}",
        "behind": f"data.store.flow.offset={offset + 1}",
        "swapped": f"data.store.flow.order={'yx' if order == 'xy' else 'xy'}",
        "backward": "the images that lead forward: those of the other direction were given (run.flow=…)",
    }.get(holds or "", otherwise)


def unjudged(found: Verdict) -> list[str]:
    """What the sample could not tell, in words."""
    if not found.pairs and found.zero is None:
        return ["no pair of frames in the sample says anything: too little moves in it, or can be trusted"]
    lacking = [name for name in STORED if name is not None and name not in found.judged]
    names = ", ".join(lacking)
    told = [f"these faults of flow: {names} (they would show in too few pairs of the sample)"] * bool(lacking)
    told += ["the bound (too few fast pixels)"] * (found.scale is None and found.holds is not None)
    return told + ["the zero level (nothing is still)"] * (found.zero is None)
