"""Findings about the flow of a store: the errors in words, and how to repair them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionlab.data.dataset import Entry
from fusionlab.health.field_checks import CheckedVideo
from fusionlab.health.findings import NOTE, QUARANTINE, UNJUDGED, UNSURE, WRONG, Finding, of_files
from fusionlab.health.flow_evidence import HYPOTHESES, NONE, OF_PLACES, OF_VECTORS, RIGHT, Evidence
from fusionlab.health.flow_verdict import AS_OTHERS, OF_SET, OF_VIDEO, Verdict, verdict, verdict_by_own_method
from fusionlab.health.video_checks import CheckedFile
from fusionlab.video.flow import other_version
from fusionlab.video.opencv import cv2
from fusionlab.video.store import Store

PACK = f"python -m fusionlab.prepare with the same words packs what it lacks; or {QUARANTINE}"
OTHERWISE = "images with u to the right and v downwards, of these very frames (run.flow=…), or flow=dis_medium"

UNLIKE = ("flow-unlike", "stored flow is not the flow of these frames, nor that with any fault that is known")
PLACES = {
    "flipped": "flipped top to bottom", "mirrored": "mirrored left to right",
    "transposed": "transposed (rows became columns)", "transposed and turned by 180°": "transposed and turned by 180°",
}  # fmt: skip
VECTORS = {
    "u negated": "the sign of u is wrong: it points to the left",
    "v negated": "the sign of v is wrong: it points upwards",
    "negated": "the sign of u and of v is wrong",
    "swapped": "x and y are swapped: u lies where v should, and v where u should",
    "swapped, u negated": "x and y are swapped, and then the sign of u is wrong",
    "swapped, v negated": "x and y are swapped, and then the sign of v is wrong",
    "swapped, negated": "x and y are swapped, and the sign of u and of v is wrong",
}


@dataclass(frozen=True)
class Origin:
    """Where flow comes from: `method` as the store's index has it, and how it is made again."""

    method: Mapping[str, Any]
    bound: float
    again: str
    damage: str = "store-damaged"  # the code where it cannot be read

    @classmethod
    def of(cls, store: Store) -> Origin:
        method = store.made.get("flow", {})
        first = f"correct the images and remove {store.folder}" if _is_imported(method) else f"remove {store.folder}"
        return cls(method, store.bound, f"{first}, then python -m fusionlab.prepare with the same words makes it again")

    @property
    def imported(self) -> bool:
        return _is_imported(self.method)


def _is_imported(method: Mapping[str, Any]) -> bool:
    return method.get("method") == "imported"


# A report lists these faults as judged or not. The others combine two of them, and are as visible.
BASIC = tuple(name for name, one in HYPOTHESES.items() if NONE in (one.places, one.vectors) and name != RIGHT)


def stored_as(name: str | None) -> tuple[str, str]:
    """The code of an accepted hypothesis, and a description of the stored flow."""
    if name is None:
        return UNLIKE
    one = HYPOTHESES[name]
    if one.backward:
        what = "field k leads from frame k + 1 to frame k: forward and backward flow are exchanged"
        return "flow-backward", what
    if one.shift:
        by, side = abs(one.shift), "ahead" if one.shift > 0 else "behind"
        first, second = (f"k {'+' if n > 0 else '−'} {abs(n)}" if n else "k" for n in (one.shift, one.shift + 1))
        frames = "a frame" if by == 1 else f"{by} frames"
        return "flow-shifted", f"field k is the flow of frames {first} and {second}: it is {frames} {side}"
    vectors = VECTORS.get(OF_VECTORS[one.vectors], "")
    if one.places == NONE:
        return "flow-swapped" if one.vectors.exchanged else "flow-sign", vectors
    places = OF_PLACES[one.places]
    what = f"fields are {PLACES.get(places, places)} and frames are not, or the reverse"
    if one.vectors == one.places:
        return "flow-flip", f"{what}; their vectors were changed in the same way ({OF_VECTORS[one.vectors]})"
    return "flow-flip", f"{what}; " + (f"and {vectors}" if vectors else "their vectors were not changed with them")


def missing(videos: Sequence[Entry], store: Store) -> list[Finding]:
    """Videos of the lists that the store lacks, or has under another label."""
    absent = {name: "" for name, _ in videos if name not in store.videos}
    packed = [(name, label, store.videos[name].label) for name, label in videos if name in store.videos]
    other = {name: f"label {got}, not {label}" for name, label, got in packed if got != label}
    again = Origin.of(store).again
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
        *of_files("flow-count", WRONG, what, far, f"{Origin.of(store).again}; or {QUARANTINE}"),
        *of_files("flow-count-by-one", NOTE, what + ", but for one that tools miscount", slight),
        *of_files("store-notes", NOTE, "{videos} of which was noted when they were packed", notes),
        *_version(store),
    ]


def surplus(checked: Sequence[CheckedVideo], offset: int, origin: Origin) -> list[Finding]:
    """Findings about images of flow that are more or fewer than a video's frames need; tools miscount by one."""
    other = {
        one.name: f"{one.fields + max(one.surplus, 0)} fields, and {one.fields + 1 - min(one.surplus, 0)} frames"
        for one in checked
        if one.surplus
    }
    far = {one.name for one in checked if abs(one.surplus) > 1 + abs(offset)}
    how, what = f"{origin.again}; or {QUARANTINE}", "{videos} whose number of fields is not that of its frames less one"
    return [
        *of_files("flow-count", WRONG, what, {name: why for name, why in other.items() if name in far}, how),
        *of_files(
            "flow-count-by-one", NOTE, what + ", but for what tools miscount",
            {name: why for name, why in other.items() if name not in far},
        ),
    ]  # fmt: skip


def _version(store: Store) -> list[Finding]:
    """A note where another version of OpenCV made the store, and its method would give other fields here."""
    flow = store.made.get("flow", {})
    made_by, method = other_version(flow), flow.get("method")
    if made_by is None:
        return []
    what = (
        f"flow was computed with OpenCV {made_by}; by {cv2.__version__}, which is here, {method} gives slightly other "
        "fields (some hundredths of a pixel): a store that is made here has another hash"
    )
    return [Finding("flow-version", NOTE, what)]


def findings(
    checked: Sequence[CheckedVideo], origin: Origin, by_own_method: Callable[[], Sequence[CheckedVideo]] | None = None
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
    how = f"{origin.again}; or {QUARANTINE}"
    wrong = [
        *of_files(origin.damage, WRONG, "{videos} whose stored flow cannot be used", damage, how),
        *of_files("flow-blank", WRONG, "{videos} with blank or constant fields between frames that move", blank, how),
    ]
    of_set = verdict(_evidence(checked))
    single = _single(checked, origin) if of_set.holds in (RIGHT, None) else []
    unlike = sum(len(one.files) for one in single if one.numbers["hypothesis"] is None)
    # Several faults in a set may be like nothing together, and most of its videos like something one by one.
    if of_set.holds == RIGHT or (single and unlike <= (1 - OF_SET.wins) * sum(one.compared for one in checked)):
        wrong += single
    else:
        wrong.append(_of_set(of_set, origin))
    length = None
    if of_set.stretch != 1 and of_set.holds == RIGHT and by_own_method is not None:
        length = _length_note(of_set, verdict_by_own_method(_evidence(by_own_method())), origin)
    return [*wrong, *_check_levels(of_set, origin, length)], of_set


def _evidence(checked: Sequence[CheckedVideo]) -> list[Evidence]:
    return [one for video in checked for one in video.evidence]


def _length_note(of_set: Verdict, anew: Verdict, origin: Origin) -> Finding | None:
    """A note instead of a wrong bound, if the store's own method gives the same lengths again."""
    if anew.scale is None or anew.stretch != 1:
        return None
    method = origin.method.get("method")
    what = (
        f"stored flow is {of_set.stretch:.2f} times as long as what the doctor finds in the frames, and {method}, "
        f"which made it, finds the same again: its bound is right, but it takes these motions for "
        f"{'slower' if of_set.stretch < 1 else 'faster'} than they are"
    )
    return Finding("flow-length", NOTE, what, numbers={**_numbers(of_set), "scale by its own method": anew.scale})


def _of_set(of_set: Verdict, origin: Origin) -> Finding:
    code, what = stored_as(of_set.holds)
    sentence = f"of all videos {what}"
    if of_set.rival is not None:
        sentence += f" (or: {stored_as(of_set.rival)[1]})"
    numbers = {**_numbers(of_set), "hypothesis": of_set.holds, "rival": of_set.rival}
    remedies = [remedy(holds, origin) for holds in (of_set.holds, of_set.rival)[: 1 + (of_set.rival is not None)]]
    return Finding(code, WRONG, sentence, " or: ".join(dict.fromkeys(remedies)), numbers=numbers)


def _single(checked: Sequence[CheckedVideo], origin: Origin) -> list[Finding]:
    """Videos whose flow is wrong although that of all together is right.

    Without these, the others are judged once more: together, and one by one with less evidence for the same faults.
    """
    left, files = [one for one in checked if one.evidence], defaultdict[str | None, dict[str, str]](dict)
    strictness, known = OF_VIDEO, frozenset(HYPOTHESES)
    while True:
        each = {one.name: verdict(one.evidence, strictness, known) for one in left}
        wrong = {name: one for name, one in each.items() if one.holds != RIGHT}
        for name, one in wrong.items():
            files[one.holds][name] = f"disagreement {one.of_right or 0:.2f} over {one.pairs} pairs of frames"
        left = [one for one in left if one.name not in wrong]
        rest = verdict(_evidence(left)) if wrong else Verdict()
        if rest.holds != RIGHT:
            files[rest.holds] |= {one.name: "judged together with the other videos" for one in left}
            break
        if not wrong:
            break
        strictness, known = AS_OTHERS, frozenset(name for name in files if name is not None)
    how, findings = f"{origin.again}; or {QUARANTINE}; --sample N compares more videos", []
    for holds, names in files.items():
        code, stored = stored_as(holds)
        what = "{videos}, of those estimated anew: " + stored
        findings += of_files(code, WRONG, what, names, how, hypothesis=holds)
    return findings


def _check_levels(of_set: Verdict, origin: Origin, length: Finding | None) -> list[Finding]:
    """Findings about bound and zero. `length`: a note instead of a wrong bound."""
    wrong, step = [], 2 * origin.bound / 255
    if length is not None:
        wrong.append(length)
    elif of_set.stretch != 1:
        fits = float(f"{origin.bound / of_set.stretch:.3g}")
        what = (
            f"stored flow is {of_set.stretch:.2f} times as long as that of the frames: its bound is not "
            f"{origin.bound:g} but about {fits:g} pixels"
        )
        how = f"data.origin.bound={fits:g}" if origin.imported else origin.again
        wrong.append(Finding("flow-bound", WRONG, what, how, numbers={**_numbers(of_set), "bound": fits}))
    offset = of_set.offset(origin.bound)
    if any(offset):
        zeros = [127.5 + one / step for one in offset]
        what = (
            f"where nothing moves stored flow is u = {offset[0]:+.2f}, v = {offset[1]:+.2f} pixels: its zero lies "
            f"at the levels {zeros[0]:.0f} and {zeros[1]:.0f}, not at 128"
        )
        how = "images in which 128 stands for no motion" if origin.imported else origin.again
        wrong.append(Finding("flow-zero", WRONG, what, how, numbers={**_numbers(of_set), "zero": zeros}))
    return wrong


def _numbers(of_set: Verdict) -> dict[str, Any]:
    return {
        "pairs": of_set.pairs, "disagreement": of_set.disagreement, "disagreement with what is right": of_set.of_right,
        "scale": of_set.scale, "offset": of_set.zero,
        "votes": {name: list(votes) for name, votes in of_set.votes.items()},
    }  # fmt: skip


def remedy(holds: str | None, origin: Origin) -> str:
    """How to repair it: imported flow by an option, if one exists; computed flow is made again."""
    if not origin.imported:
        return origin.again
    order, offset = origin.method.get("order", "xy"), origin.method.get("offset", 0)
    return {
        **{one.name: f"data.store.flow.offset={offset - one.shift}" for one in HYPOTHESES.values() if one.shift},
        "swapped": f"data.store.flow.order={'yx' if order == 'xy' else 'xy'}",
        "backward": "the images that lead forward: those of the other direction were given (run.flow=…)",
    }.get(holds or "", OTHERWISE)


def unjudged(checked: Sequence[CheckedVideo], of_set: Verdict, wrong: Sequence[Finding]) -> list[Finding]:
    """The faults that the pairs cannot exclude, of all videos, or of single ones that are not found `wrong`."""
    if of_set.holds != RIGHT:
        return []
    lacking = [name for name in BASIC if name not in of_set.excluded]
    if lacking:
        what = "too little moves in what was compared, or can be trusted"
        if len(lacking) < len(BASIC):
            what = f"these faults would show in too few pairs: {', '.join(lacking)}"
        what, how = f"cannot say whether flow is that of the frames: {what}", "more videos: --sample N"
        return [Finding("flow-unjudged", UNSURE, what, how, numbers={"pairs": of_set.pairs, "faults": lacking})]
    found = {name for one in wrong for name in one.files}
    still = {}
    for one in checked:
        of_video = verdict(one.evidence, OF_VIDEO)
        lacking = [name for name in BASIC if name not in of_video.excluded and not HYPOTHESES[name].shift]
        if one.compared and one.name not in found and lacking:
            still[one.name] = f"{of_video.pairs} pairs of frames move" + f"; unseen: {', '.join(lacking)}" * (
                of_video.pairs > 0
            )
    return of_files(UNJUDGED, NOTE, "{videos} in which too little moves to judge their flow one by one", still)


def unmeasured(of_set: Verdict) -> list[str]:
    """What else the pairs cannot show, in words."""
    lacking = ["the bound (too few fast pixels)"] * (of_set.scale is None and of_set.holds is not None)
    return lacking + ["the zero level (nothing is still)"] * (of_set.zero is None)
