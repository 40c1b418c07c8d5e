"""The doctor's proof of brush: what is asked of which clips, when it holds, and the page that shows it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from brush_fakes import FIELDS

from fusionlab.data.brush.brush import Brush
from fusionlab.data.dataset import refuse_flow
from fusionlab.errors import UserError
from fusionlab.health import brush_page
from fusionlab.health import brush_proof as module
from fusionlab.health.brush_proof import ClipSamples, ProbeResult, proof, take_samples
from fusionlab.health.probes import Accuracy
from fusionlab.preparation.prepare import prepare
from fusionlab.video.flow import Dis, Farneback
from fusionlab.video.raft import Raft
from fusionlab.video.store import Store

KINDS = ("what", "binding", "order", "how", "still")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Brush, Store]:
    """A clip for each class and group would be 480: four groups of each are kept."""
    folder = tmp_path_factory.mktemp("brush")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fusionlab.data.brush.brush.GROUPS", 4)
        brush = Brush(what=1, binding=1, order=1, how=1, still=1)
        brush.make(folder / "videos", say=lambda _: None)
    final = prepare(brush, folder / "stores", Dis(), recipe={"test": 1}, bound=4.0, say=lambda _: None)
    return brush, Store.open(final)


def test_the_truth_is_that_of_the_clips(made: tuple[Brush, Store]) -> None:
    """A patch around the hand's place has the hand's hue in its frame, and the other one has not."""
    brush, store = made
    seen = take_samples(brush, store, "binding", FIELDS)
    assert len(seen.flow) == 4 * 12 and seen.flow[0].shape[0] == 2 * FIELDS
    names = [(name, label) for name, label in brush.videos() if brush.labels[label].kind == "binding"]
    for (_, label), places, motions in zip(names, seen.places, seen.motions, strict=True):
        assert (places[0], motions[0]) == (brush.labels[label].place, brush.labels[label].motion)
        assert motions[0] != motions[1] and places[0] != places[1]
    patches = seen.patches("frame")
    assert patches.shape == (2 * 48, 3, 2 * module.HALF, 2 * module.HALF)
    colour = patches.astype(int).max(1) - patches.astype(int).min(1)
    assert (colour.reshape(96, -1).max(1) > 30).all(), "each shows a coloured place"


def test_an_order_clip_is_looked_at_once_in_each_segment(made: tuple[Brush, Store]) -> None:
    seen = take_samples(*made, "order", FIELDS)
    assert len(seen.flow) == 8 and sum(seen.sense) == 4
    assert seen.flow[0].shape[0] == 3 * 2 * FIELDS and seen.frame[0].shape[0] == 9
    rest = np.abs(np.stack(seen.flow).astype(int) - 128).max((1, 2, 3))
    assert (rest > 10).all(), "something moves in every window"


def test_a_hand_alone_is_looked_at_twice_and_both_looks_are_of_one_clip(made: tuple[Brush, Store]) -> None:
    brush, store = made
    seen = take_samples(brush, store, "how", FIELDS)
    assert seen.clip == [clip for clip in range(16) for _ in range(2)]
    names = [name for name, label in brush.videos() if brush.labels[label].kind == "how"]
    for name, first, last in zip(names, seen.flow[::2], seen.flow[1::2], strict=True):
        np.testing.assert_array_equal(first, np.concatenate(list(store.flow(name, 0, FIELDS))))
        np.testing.assert_array_equal(last, np.concatenate(list(store.flow(name, 15 - FIELDS, FIELDS))))


def test_every_quantity_is_asked_of_every_kind(made: tuple[Brush, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"linear": Accuracy(50, 100)}
    monkeypatch.setattr(module, "probe", lambda how, pictures, targets, clip: dict.fromkeys(targets, found["linear"]))
    asked = list(proof(*made, FIELDS, lambda _: None))
    assert [(one.quantity, one.visible) for one in asked if "flow around" in one.of] == [
        ("hand or decoy", False), ("place", False), ("motion", True),
    ] * 2 + [("motion", True)] + [("place", False), ("motion", True), ("place", False)]  # fmt: skip
    assert [(one.quantity, one.visible) for one in asked if "frame around" in one.of] == [
        ("hand or decoy", True), ("place", True), ("motion", False),
    ] * 2 + [("place", True), ("motion", False), ("place", True)]  # fmt: skip
    assert [(one.quantity, one.visible) for one in asked if "(order)" in one.of] == [("motion", True)]
    assert sum("whole fields" in one.of for one in asked) == 4 + 2
    assert [one.of for one in asked if "sense" in one.quantity] == [
        "one window of flow", "3 frames in their order",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("right", "visible", "holds"),
    [((500, 495), False, True), ((500, 600), False, False), ((950, 400), True, True), ((890, 400), True, False)],
)
def test_when_it_holds(right: tuple[int, int], visible: bool, holds: bool) -> None:
    found = {how: Accuracy(one, 1000) for how, one in zip(("linear", "convolutional"), right, strict=True)}
    one = ProbeResult("motion", "flow", 0.5, visible, found)
    assert one.holds == holds
    assert "motion, from flow" in str(one) and f"{right[0] / 10:.1f} %" in str(one)


def test_colour_is_refused() -> None:
    with pytest.raises(UserError, match="reads colour") as error:
        refuse_flow(Brush(), Raft())
    assert error.value.hint == "flow=dis"
    for flow in (Dis(), Farneback()):
        refuse_flow(Brush(), flow)


def test_a_search_at_less_than_its_own_size_is_refused() -> None:
    with pytest.raises(UserError, match="does not see its motions") as error:
        refuse_flow(Brush(), Dis(finest_scale=1))
    assert error.value.hint == "flow=dis"


def lengths(brush: Brush, frames: dict[str, int]) -> dict[str, set[int]]:
    """kind -> how long its clips are."""
    found: dict[str, set[int]] = {}
    for name, label in brush.videos():
        found.setdefault(brush.labels[label].kind, set()).add(frames[name])
    return found


def test_clips_of_a_kind_are_all_of_one_length(made: tuple[Brush, Store]) -> None:
    brush, store = made
    frames = {name: video.frames for name, video in store.videos.items()}
    assert lengths(brush, frames) == {"what": {16}, "binding": {16}, "order": {37}, "how": {16}, "still": {2}}
    longer = frames | {name: frames[name] + 1 for name in frames if name.startswith("ScrubTeeth/")}
    assert len(lengths(brush, longer)["binding"]) == 2, "the planted leak"


def test_the_page(made: tuple[Brush, Store], tmp_path: Path) -> None:
    brush, store = made
    found = [
        ProbeResult("motion", "flow", 0.25, True, {"linear": Accuracy(95, 100)}),
        ProbeResult("place", "flow", 1 / 3, False, {"linear": Accuracy(90, 100)}),
    ]
    page = brush_page.write(tmp_path / "page", brush, store, found, "brush").read_text(encoding="utf-8")
    for kind in KINDS:
        picture = cv2.imread(str(tmp_path / "page" / f"{kind}.png"))
        assert picture is not None and picture.std() > 10 and f"]({kind}.png)" in page
    assert "| a fusion that sees order | 1 | 1 | 1 | 1 | 1 |" in page
    assert "| any function of the two streams' scores | 1 | 1/2 | 1/2 | 1 | 1 |" in page
    assert "| order | in which sense does the cycle of three motions run? | 2 | 8 |" in page
    assert page.count("**does not hold**") == 1 and page.count(" holds |") == 1
    again = brush_page.write(tmp_path / "again", brush, store, found, "brush").read_text(encoding="utf-8")
    assert again == page
    assert (tmp_path / "again/order.png").read_bytes() == (tmp_path / "page/order.png").read_bytes()


def test_looks_start_empty() -> None:
    assert ClipSamples().flow == [] and ClipSamples().flow is not ClipSamples().flow


def test_clips_are_chosen_without_favour(made: tuple[Brush, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first clips of the list would be those of the first classes: every place would tell a motion."""
    monkeypatch.setattr(module, "CLIPS", 24)
    seen = take_samples(*made, "binding", FIELDS)
    assert len(seen.flow) == 24
    assert {places[0] for places in seen.places} == {0, 1, 2} and {m[0] for m in seen.motions} == {0, 1, 2, 3}


def test_cells_of_a_map_are_those_at_the_places() -> None:
    """A map that says where each of its cells lies, four pixels wide, in the picture of which a border is cut off."""
    y, x = np.mgrid[0:12, 0:12] * 4 + 1.5 + module.BORDER
    maps = np.stack([np.stack([x, y])] * 2)
    centres = [np.array([[14.0, 25.0], [35.0, 24.0]]), np.array([[3.0, 3.0], [24.5, 46.0]])]
    cells = module._cells(maps, centres)
    assert cells.shape == (4, 2, 5, 5)
    for found, centre in zip(cells[:, :, 2, 2], np.concatenate(centres), strict=True):
        assert (np.abs(found - centre) <= 2.01).all()


def test_frozen_streams_are_asked_for_what_must_be_seen(
    made: tuple[Brush, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []

    def features(pictures: np.ndarray) -> np.ndarray:
        seen.append(pictures.shape)
        return np.zeros((len(pictures), 7, 12, 12), np.float32)

    monkeypatch.setattr(
        module, "probe", lambda how, pictures, targets, clip: dict.fromkeys(targets, Accuracy(len(clip), len(clip)))
    )
    asked = list(proof(*made, FIELDS, lambda _: None, {"motion": features, "appearance": features}))
    found = [(one.quantity, one.visible, one.holds) for one in asked if "frozen" in one.of]
    of_two = [("motion", True, True), ("hand or decoy", True, True), ("place", True, True)]
    assert found == [*of_two, *of_two, of_two[0], of_two[2], of_two[2]]  # what, binding, how, still
    assert {shape[1:] for shape in seen} == {(2 * FIELDS, 48, 48), (3, 48, 48)}


def test_without_weights_nothing_is_frozen() -> None:
    from fusionlab.config.compose import tree
    from fusionlab.config.run_config import RunConfig
    from fusionlab.config.schema import ArmConfig
    from fusionlab.health.frozen_streams import stream_features

    plain = tree({}).with_leaves({})
    assert stream_features(ArmConfig.of(plain), RunConfig.of(plain), Brush()) == {}
