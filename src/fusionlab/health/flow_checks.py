"""Findings about the flow of a store: the errors in words, and how to repair them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fusionlab.data.dataset import Entry
from fusionlab.health.field_checks import CheckedVideo
from fusionlab.health.findings import NOTE, QUARANTINE, WRONG, Finding, of_files
from fusionlab.health.flow_evidence import RIGHT, Evidence
from fusionlab.health.flow_verdict import OF_VIDEO, Verdict, verdict, verdict_by_own_method
from fusionlab.health.video_checks import CheckedFile
from fusionlab.video.flow import other_version
from fusionlab.video.opencv import cv2
from fusionlab.video.store import Store

PACK = f"python -m fusionlab.prepare with the same words packs what it lacks; or {QUARANTINE}"
AGAIN = "remove {folder}, then python -m fusionlab.prepare with the same words makes it again"

# hypothesis -> (code, description of the stored flow)
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
    """Videos of the lists that the store lacks, or has under another label."""
    absent = {name: "" for name, _ in videos if name not in store.videos}
    packed = [(name, label, store.videos[name].label) for name, label in videos if name in store.videos]
    other = {name: f"label {got}, not {label}" for name, label, got in packed if got != label}
    again = AGAIN.format(folder=store.folder)
    return [
        *of_files("flow-missing", WRONG, "{videos} of the lists without flow: the store lacks them", absent, PACK),
        *of_files("labels", WRONG, "{videos} with another label in the store", other, again),
    ]


def counts(files: Sequence[CheckedFile], store: Store) -> list[Finding]:
    """Findings about missing frames: a store has one field fewer than frames; and notes about how it was made."""
    slight: dict[str, str] = {}
    far: dict[str, str] = {}
    for one in files:
        video = store.videos.get(one.name)
        if video is None or one.inspection.decoded < 2 or video.frames == one.inspection.decoded:
            continue
        remark = f"{video.frames - 1} fields, and the file has {one.inspection.decoded} frames"
        (slight if abs(video.frames - one.inspection.decoded) == 1 else far)[one.name] = remark
    notes = {name: "; ".join(remarks) for name, remarks in store.notes.items() if name in store.videos}
    what = "{videos} whose number of fields is not that of its frames less one"
    return [
        *of_files("flow-count", WRONG, what, far, f"{AGAIN.format(folder=store.folder)}; or {QUARANTINE}"),
        *of_files("flow-count-by-one", NOTE, what + ", but for one that tools miscount", slight),
        *of_files("store-notes", NOTE, "{videos} of which was noted when they were packed", notes),
        *_version(store),
    ]


def _version(store: Store) -> list[Finding]:
    """A note where another version of OpenCV made the store, and its method would give other fields here."""
    made_by, method = other_version(_method(store)), _method(store).get("method")
    if made_by is None:
        return []
    what = (
        f"flow was computed with OpenCV {made_by}; by {cv2.__version__}, which is here, {method} gives slightly other "
        "fields (some hundredths of a pixel): a store that is made here has another hash"
    )
    return [Finding("flow-version", NOTE, what)]


def findings(
    checked: Sequence[CheckedVideo], store: Store, by_own_method: Callable[[], Sequence[CheckedVideo]] | None = None
) -> tuple[list[Finding], Verdict]:
    """Findings about all videos, and the verdict of the sample.

    `by_own_method`: estimates the sample again by the method that made the store. It is called only if the bound looks
    wrong, since some methods find shorter vectors than the doctor's own.
    """
    damage = {one.name: one.damage for one in checked if one.damage}
    blank = {
        one.name: f"{one.constant} of {one.fields} fields have one value, and frames move at {one.blank} of {one.asked}"
        for one in checked
        if one.blank
    }
    remake = AGAIN.format(folder=store.folder)
    how = f"{remake}; or {QUARANTINE}"
    wrong = [
        *of_files("store-damaged", WRONG, "{videos} whose bytes in the store are damaged", damage, remake),
        *of_files("flow-blank", WRONG, "{videos} with blank or constant fields between frames that move", blank, how),
    ]
    of_set = verdict(_evidence(checked))
    if of_set.holds == RIGHT:
        wrong += _single(checked, store)
    else:
        wrong.append(_of_set(of_set, store))
    length = None
    if of_set.stretch != 1 and of_set.holds == RIGHT and by_own_method is not None:
        length = _length_note(of_set, verdict_by_own_method(_evidence(by_own_method())), store)
    return [*wrong, *_check_levels(of_set, store, length)], of_set


def _evidence(checked: Sequence[CheckedVideo]) -> list[Evidence]:
    return [one for video in checked for one in video.evidence]


def _length_note(of_set: Verdict, anew: Verdict, store: Store) -> Finding | None:
    """A note instead of a wrong bound, if the store's own method gives the same lengths again."""
    if anew.scale is None or anew.stretch != 1:
        return None
    method = _method(store).get("method")
    what = (
        f"stored flow is {of_set.stretch:.2f} times as long as what the doctor finds in the frames, and {method}, "
        f"which made it, finds the same again: its bound is right, but it takes these motions for "
        f"{'slower' if of_set.stretch < 1 else 'faster'} than they are"
    )
    return Finding("flow-length", NOTE, what, numbers={**_numbers(of_set), "scale by its own method": anew.scale})


def _of_set(of_set: Verdict, store: Store) -> Finding:
    code, what = STORED[of_set.holds]
    sentence = f"of all videos {what}"
    if of_set.rival is not None:
        sentence += f" (or: {STORED[of_set.rival][1]})"
    numbers = {**_numbers(of_set), "hypothesis": of_set.holds, "rival": of_set.rival}
    remedies = [remedy(holds, store) for holds in (of_set.holds, of_set.rival)[: 1 + (of_set.rival is not None)]]
    return Finding(code, WRONG, sentence, " or: ".join(dict.fromkeys(remedies)), numbers=numbers)


def _single(checked: Sequence[CheckedVideo], store: Store) -> list[Finding]:
    """Videos whose flow is wrong although that of the other videos is right."""
    files: dict[str | None, dict[str, str]] = defaultdict(dict)
    for one in checked:
        of_video = verdict(one.evidence, OF_VIDEO)
        if of_video.holds != RIGHT:
            pairs = f"over {of_video.pairs} pairs of frames"
            files[of_video.holds][one.name] = f"disagreement {of_video.of_right or 0:.2f} {pairs}"
    how, findings = f"{AGAIN.format(folder=store.folder)}; or {QUARANTINE}", []
    for holds, names in files.items():
        code, stored = STORED[holds]
        what = "{videos}, of those estimated anew: " + stored
        findings += of_files(code, WRONG, what, names, how, hypothesis=holds)
    return findings


def _check_levels(of_set: Verdict, store: Store, length: Finding | None) -> list[Finding]:
    """Findings about bound and zero. `length`: a note instead of a wrong bound."""
    wrong, step = [], 2 * store.bound / 255
    if length is not None:
        wrong.append(length)
    elif of_set.stretch != 1:
        fits = float(f"{store.bound / of_set.stretch:.3g}")
        what = (
            f"stored flow is {of_set.stretch:.2f} times as long as that of the frames: its bound is not "
            f"{store.bound:g} but about {fits:g} pixels"
        )
        how = f"data.store.bound={fits:g}" if _imported(store) else AGAIN.format(folder=store.folder)
        wrong.append(Finding("flow-bound", WRONG, what, how, numbers={**_numbers(of_set), "bound": fits}))
    offset = of_set.offset(store.bound)
    if any(offset):
        zeros = [127.5 + one / step for one in offset]
        what = (
            f"where nothing moves stored flow is u = {offset[0]:+.2f}, v = {offset[1]:+.2f} pixels: its zero lies "
            f"at the levels {zeros[0]:.0f} and {zeros[1]:.0f}, not at 128"
        )
        how = "images in which 128 stands for no motion" if _imported(store) else AGAIN.format(folder=store.folder)
        wrong.append(Finding("flow-zero", WRONG, what, how, numbers={**_numbers(of_set), "zero": zeros}))
    return wrong


def _numbers(of_set: Verdict) -> dict[str, Any]:
    return {
        "pairs": of_set.pairs, "disagreement": of_set.disagreement, "disagreement with what is right": of_set.of_right,
        "scale": of_set.scale, "offset": of_set.zero,
        "votes": {name: list(votes) for name, votes in of_set.votes.items()},
    }  # fmt: skip


def _imported(store: Store) -> bool:
    return _method(store).get("method") == "imported"


def _method(store: Store) -> Mapping[str, Any]:
    return store.made.get("flow", {})


def remedy(holds: str | None, store: Store) -> str:
    """How to repair it: imported flow by an option, if one exists; computed flow is made again."""
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


def unjudged(of_set: Verdict) -> list[str]:
    """The errors that the sample cannot show, in words."""
    if not of_set.pairs and of_set.zero is None:
        return ["no pair of frames in the sample says anything: too little moves in it, or can be trusted"]
    lacking = [name for name in STORED if name is not None and name not in of_set.judged]
    names = ", ".join(lacking)
    unknown = [f"these faults of flow: {names} (they would show in too few pairs of the sample)"] * bool(lacking)
    unknown += ["the bound (too few fast pixels)"] * (of_set.scale is None and of_set.holds is not None)
    return unknown + ["the zero level (nothing is still)"] * (of_set.zero is None)
