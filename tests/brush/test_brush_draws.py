"""10 000 drawn scenes: nothing but the label differs between classes, and the ground tells no class."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from brush_fakes import KNOBS, motions_of, scenes
from numpy.typing import NDArray
from scipy import stats

from fusionlab.data.brush.brush import GROUPS, Brush
from fusionlab.data.brush.labels import ASKED, LABELS, PLACES, Label
from fusionlab.data.brush.motions import MOTIONS
from fusionlab.data.brush.render import planes
from fusionlab.data.brush.scene import Scene, compose

Drawn = list[tuple[Label, Scene]]
Rows = dict[str, list[int]]


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return list(scenes(10_000, 6, seed=11, shake=1.0))


def quarter(offset: NDArray[np.float64]) -> int:
    return int(offset[0] > 0) + 2 * int(offset[1] > 0)


def variables(label: Label, scene: Scene) -> dict[str, int]:
    """What a class leaves open, as small numbers; distances around the rings for the decoy."""
    hand, decoy = motions_of(scene)
    offsets = scene.paths - scene.centres[:, None]
    middle = scene.centres.mean(0)
    turns = np.sign(offsets[:, 0, 0] * offsets[:, 1, 1] - offsets[:, 0, 1] * offsets[:, 1, 0])
    return {
        "decoy's place": (scene.place_hues[1] - scene.place_hues[0]) % len(PLACES),
        "decoy's motion": (decoy - hand) % len(MOTIONS),
        "hand's motion": hand if label.motion is None else 0,
        "side": int(scene.centres[0].sum() > scene.centres[1].sum()),
        "middle x": int(middle[0]),
        "middle y": int(middle[1]),
        "hand's quarter": quarter(offsets[0, 0]),
        "decoy's quarter": quarter(offsets[1, 0]),
        "hand's sense": int(turns[0]),
        "decoy's sense": int(turns[1]),
        "shake x": int(scene.shake[0, 0]),
        "shake y": int(scene.shake[0, 1]),
    }


def least_p(drawn: Drawn, kind: str) -> dict[str, float]:
    """Per variable the p of χ²: is it uniform (shake is not meant to be), and the same in every class?"""
    table: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for label, scene in drawn:
        if label.kind == kind:
            for name, value in variables(label, scene).items():
                table[name][label.name].append(value)
    found = {}
    for name, rows in table.items():
        values = sorted({value for row in rows.values() for value in row})
        counts = np.array([[row.count(value) for value in values] for row in rows.values()])
        if len(values) == 1:
            continue
        same = stats.chi2_contingency(counts).pvalue
        uniform = 1.0 if "shake" in name else stats.chisquare(counts.sum(0)).pvalue
        found[name] = float(min(same, uniform))
    return found


@pytest.mark.parametrize("kind", ASKED)
def test_what_a_class_leaves_open_is_uniform_and_the_same_in_all(kind: str, drawn: Drawn) -> None:
    found = least_p(drawn, kind)
    assert len(found) == 11 + (kind == "what")  # the hand's motion is open only there
    assert min(found.values()) > 0.01 / (2 * len(found)), found


def test_each_value_that_may_be_drawn_is(drawn: Drawn) -> None:
    seen: dict[str, set[int]] = defaultdict(set)
    for label, scene in drawn[:1000]:
        for name, value in variables(label, scene).items():
            seen[name].add(value)
    assert seen["decoy's place"] == {1, 2} and seen["decoy's motion"] == {1, 2, 3}
    assert seen["hand's motion"] == {0, 1, 2, 3} and seen["side"] == {0, 1}
    assert len(seen["middle x"]) == len(seen["middle y"]) == 3


def swapped_sides(label: Label, scene: Scene) -> Scene:
    """A leak: the first place lies right or below more often than not."""
    first = scene.centres[0].sum() > scene.centres[1].sum()
    if label.place == 0 and first and scene.noise_seed % 4 == 0:
        shift = scene.centres[::-1] - scene.centres
        return replace(scene, centres=scene.centres + shift, paths=scene.paths + shift[:, None])
    return scene


@pytest.mark.parametrize("kind", ASKED)
def test_a_side_that_leans_to_a_place_is_found(kind: str, drawn: Drawn) -> None:
    leaning = [(label, swapped_sides(label, scene)) for label, scene in drawn[:4000]]
    assert least_p(leaning, kind)["side"] < 1e-4


def test_the_label_is_what_is_shown(drawn: Drawn) -> None:
    for label, scene in drawn[:600]:
        hand, decoy = motions_of(scene)
        apart = scene.centres[0] - scene.centres[1]
        assert (apart[0] == 0) == (label.kind == "binding") and (apart[1] == 0) == (label.kind == "what")
        assert scene.place_hues[0] == label.place != scene.place_hues[1] and hand != decoy
        assert label.motion is None or hand == label.motion


def test_a_scene_follows_from_the_seed_and_the_name_alone() -> None:
    label = LABELS[5]
    once, again = (compose(3, "a/v_a_g01_c01.avi", 1, label, 9, 0.5) for _ in range(2))
    for name, value in vars(once).items():
        np.testing.assert_array_equal(value, getattr(again, name))
    for seed, name in ((4, "a/v_a_g01_c01.avi"), (3, "a/v_a_g01_c02.avi")):
        assert not np.array_equal(compose(seed, name, 1, label, 9, 0.5).paths, once.paths)


def ground(scene: Scene) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Luma and hue where neither places nor movers are."""
    nowhere = replace(scene, centres=scene.centres - 1000, paths=scene.paths - 1000)
    lumas, hues = planes(nowhere, clutter=KNOBS.clutter)
    return lumas[0], hues[0]


def test_the_ground_depends_on_seed_and_group_alone() -> None:
    def of(seed: int, label: Label, group: int, clip: int) -> Scene:
        return compose(seed, f"{label.name}/v_{label.name}_g{group:02d}_c{clip:02d}.avi", group, label, 2, 0.0)

    for group in (1, 2, GROUPS):
        first = ground(of(0, LABELS[0], group, 1))
        for clip, label in enumerate(LABELS):
            np.testing.assert_array_equal(ground(of(0, label, group, clip)), first)
        assert (ground(of(1, LABELS[0], group, 1))[0] != first[0]).any()
    grounds = {ground(of(0, LABELS[0], group, 1))[0].tobytes() for group in range(1, GROUPS + 1)}
    assert len(grounds) == GROUPS


def test_every_class_has_every_group_and_as_many_clips_in_each() -> None:
    brush = Brush()
    for label, one in enumerate(LABELS):
        names = brush._names(label)
        of_group = [group for _, group in names]
        assert set(of_group) == set(range(1, GROUPS + 1)) and len(set(names)) == len(names)
        assert {of_group.count(group) for group in set(of_group)} == {getattr(KNOBS, one.kind)}
