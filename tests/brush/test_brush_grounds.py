"""Whose ground a clip has: its own, or that of its group; and what follows for the lists."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from brush_fakes import CONF, KNOBS

from fusionlab.data.brush import brush as module
from fusionlab.data.brush.brush import Brush, Knobs, composed, drawn
from fusionlab.data.brush.labels import LABELS
from fusionlab.data.split_checks import shared
from fusionlab.data.validation import cut
from fusionlab.errors import UserError
from fusionlab.records.signature import signature
from fusionlab.video.decode import read, reader

CONFIGURED = {name: value for name, value in CONF["dataset"].items() if name != "_target_"}
SMALL = {"what": 2, "binding": 0, "frames": 2}
EITHER = pytest.mark.parametrize("grounds", module.GROUNDS)


def ground_seeds(brush: Brush) -> dict[str, int]:
    names = [(name, group, label) for label in range(len(brush.labels)) for name, group in brush._names(label)]
    return {name: composed(brush.knobs, brush.labels[at], name, group).ground_seed for name, group, at in names}


def test_by_default_each_clip_has_a_ground_of_its_own() -> None:
    assert CONFIGURED["grounds"] == "clip"
    brush = Brush(**{**CONFIGURED, "what": 2, "binding": 1})
    assert len(set(ground_seeds(brush).values())) == len(ground_seeds(brush)) == 24 * (3 * 2 + 12)


@EITHER
def test_a_ground_is_shared_within_a_group_and_nowhere_else(grounds: str) -> None:
    brush = Brush(**{**SMALL, "grounds": grounds})
    seeds = ground_seeds(brush)
    pairs = {(brush.group(name), seed) for name, seed in seeds.items()}
    assert len(pairs) == len({group for group, _ in pairs}) == len({seed for _, seed in pairs})
    assert len(pairs) == {"clip": len(seeds), "group": 24}[grounds]


@EITHER
@pytest.mark.parametrize("split", module.SPLITS)
def test_no_group_is_in_both_lists_and_the_test_has_20_of_them_if_each_clip_has_its_own(
    split: int, grounds: str
) -> None:
    brush = Brush(**{**CONFIGURED, "grounds": grounds})
    train, test = brush.planned_lists(split)
    assert shared(train, test, brush.group) == ([], [])
    for kind in brush.knobs.kinds:
        asked = {brush.group(name) for name, label in test if brush.labels[label].kind == kind}
        assert len(asked) == 8 if grounds == "group" else len(asked) >= 400
    seeds = ground_seeds(brush)
    assert not {seeds[name] for name, _ in train} & {seeds[name] for name, _ in test}


@EITHER
def test_the_validation_list_has_its_part_of_each_class_and_no_ground_of_the_training(grounds: str) -> None:
    brush = Brush(**{**CONFIGURED, "grounds": grounds})
    train, _ = brush.planned_lists(1)
    rest, held = cut(train, brush.group, 0)
    assert shared(rest, held, brush.group) == ([], []) and sorted(rest + held) == sorted(train)
    per_class = Counter(label for _, label in held)
    for label, one in enumerate(brush.labels):
        whole = 16 * getattr(brush.knobs, one.kind)
        assert abs(per_class[label] - 0.1 * whole) <= (0.5 if grounds == "clip" else 0.05 * whole)


def test_only_the_ground_differs() -> None:
    """All else of a clip is drawn from its name, so that both sets ask the same of the same clips."""
    one, other = (composed(Knobs(grounds=grounds), LABELS[4], "a/v_a_g03_c01.avi", 3) for grounds in ("clip", "group"))
    assert one.ground_seed != other.ground_seed
    for name, value in vars(one).items():
        if name != "ground_seed":
            np.testing.assert_array_equal(value, getattr(other, name))


def test_a_set_whose_groups_share_grounds_is_the_set_that_it_was() -> None:
    assert "grounds" not in KNOBS.recipe() and Knobs(grounds="clip").recipe()["grounds"] == "clip"
    assert signature(Knobs(grounds="clip").recipe()) != signature(KNOBS.recipe()) == "ed0a38b54c8bccde"


@EITHER
def test_a_made_set_shows_what_was_drawn(grounds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUPS", 3)
    brush = Brush(**{**SMALL, "grounds": grounds})
    brush.make(tmp_path, say=lambda _: None)
    for name, label in brush.videos()[::4]:
        group = int(name[-10:-8])
        np.testing.assert_array_equal(
            read(brush.path(name), reader("pyav")), drawn(brush.knobs, brush.labels[label], name, group)
        )
        scene = brush.scene(name, label)
        np.testing.assert_array_equal(scene.paths, composed(brush.knobs, brush.labels[label], name, group).paths)
        assert scene.ground_seed == ground_seeds(brush)[name]
        assert brush.group(name) == {"clip": name, "group": f"g{group:02d}"}[grounds]
    for split in module.SPLITS:
        assert shared(*brush.lists(split), brush.group) == ([], [])


def test_other_grounds_are_told() -> None:
    with pytest.raises(UserError, match="unknown choice of grounds") as error:
        Brush(grounds="clips")
    assert "data.dataset.grounds=clip" in str(error.value.hint)
