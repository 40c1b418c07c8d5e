import copy

import pytest

from fusionlab.errors import UserError
from fusionlab.records import signature as law
from fusionlab.records.signature import ABSENT, differing, flatten, identity, signature

CONFIG = {
    "fusion": {"_target_": "fusionlab.fusion.conv.Conv", "init": "identity"},
    "layer": "relu5",
    "seed": 0,
    "optim": {"lr": 0.01, "steps": [10, 20], "clip": None},
    "run": {"device": "cpu", "workers": 2},
}
# The signatures of past versions. A change here disowns every record that was ever made.
GOLDEN = "f067ac46d5e1d46b"
GOLDEN_OF_NOTHING = "44136fa355b3678a"


def test_golden_signatures():
    assert signature(CONFIG) == GOLDEN
    assert signature({}) == GOLDEN_OF_NOTHING


def test_a_knob_born_later_leaves_the_old_signatures_true_at_its_neutral_value():
    neutral = {"optim.label_smoothing": 0.0, "augment.hue": 0, "optim.schedule": []}
    younger = {
        **CONFIG,
        "optim": {**CONFIG["optim"], "label_smoothing": 0.0, "schedule": []},
        "augment": {"hue": 0},
    }
    assert signature(younger, neutral) == GOLDEN
    younger["augment"] = {"hue": 1}
    assert signature(younger, neutral) != GOLDEN


def test_an_older_config_has_a_younger_knob_at_its_neutral_value():
    assert law.value({}, "into") == "appearance" and law.value({"into": "motion"}, "into") == "motion"
    assert law.value({"weights": {"head": "fresh"}}, "weights.motion") is None
    assert law.value({"weights": {"head": "fresh"}}, "weights.head") == "fresh"
    with pytest.raises(KeyError):
        law.value({}, "layer")  # every config has one


def test_a_knob_at_its_neutral_value_is_nothing_and_turned_it_is_something():
    bare = {**CONFIG, "optim": {leaf: one for leaf, one in CONFIG["optim"].items() if leaf != "steps"}}  # now a knob
    for leaf, neutral in law.NEUTRAL.items():
        if leaf == "optim.steps":  # the config above has another option of this name
            continue

        def put(value, leaf=leaf):
            config = copy.deepcopy(bare)
            *above, name = leaf.split(".")
            place = config
            for word in above:
                place = place.setdefault(word, {})
            place[name] = value
            return config

        assert signature(put(neutral)) == signature(bare), leaf
        assert signature(put("turned")) != signature(bare), leaf


def test_the_neutral_values_of_the_house_are_those_that_signature_uses(monkeypatch):
    monkeypatch.setitem(law.NEUTRAL, "optim.ema", 0.0)
    assert signature({**CONFIG, "optim": {**CONFIG["optim"], "ema": 0.0}}) == GOLDEN
    # Neutral is one exact value of one type, not whatever Python takes for equal.
    assert signature({**CONFIG, "optim": {**CONFIG["optim"], "ema": False}}) != GOLDEN


def test_the_run_subtree_is_not_hashed_and_only_the_one_at_the_top():
    assert signature({**CONFIG, "run": {"device": "cuda"}}) == GOLDEN
    assert signature({name: value for name, value in CONFIG.items() if name != "run"}) == GOLDEN
    assert "run" not in identity(CONFIG)
    assert signature({**CONFIG, "optim": {**CONFIG["optim"], "run": 1}}) != GOLDEN


@pytest.mark.parametrize(
    ("place", "value"),
    [("layer", "relu4"), ("seed", 0.0), ("seed", False), ("seed", "0"), ("extra", None), ("extra", {})],
)
def test_place_decides_every_other_leaf_counts(place, value):
    assert signature({**CONFIG, place: value}) != GOLDEN


def test_order_of_keys_is_nothing_order_in_lists_is_something():
    assert signature(dict(reversed(CONFIG.items()))) == GOLDEN
    assert signature({**CONFIG, "optim": {**CONFIG["optim"], "steps": [20, 10]}}) != GOLDEN


def test_identity_changes_nothing_in_its_argument():
    before = repr(CONFIG)
    identity(CONFIG, {"seed": 0})
    assert repr(CONFIG) == before


def test_flatten_and_no_two_trees_flatten_alike():
    assert flatten({"a": {"b": 1}, "c": [2, {"d": None}], "e": {}, "f": []}) == {
        "a.b": 1,
        "c[0]": 2,
        "c[1].d": None,
        "e": {},
        "f": [],
    }
    trees = [{"a": {"b": 1}}, {"a.b": 1}, {"a": [1]}, {"a": {"0": 1}}, {"a[0]": 1}, {"a": {}}, {"a": []}, {}]
    flat = [law.canonical(flatten(tree)) for tree in trees]
    assert len(set(flat)) == len(trees)


@pytest.mark.parametrize("tree", [{1: 2}, {"a": {3: 4}}, {"a": object()}, {"a": {1, 2}}])
def test_what_is_not_a_plain_tree_is_refused(tree):
    with pytest.raises(UserError):
        flatten(tree)


def test_differing_names_leaf_and_both_values():
    other = {**CONFIG, "layer": "relu4", "seed": True, "new": {"x": 1}}
    del other["fusion"]
    assert differing(CONFIG, other) == [
        ("fusion._target_", "fusionlab.fusion.conv.Conv", ABSENT),
        ("fusion.init", "identity", ABSENT),
        ("layer", "relu5", "relu4"),
        ("new.x", ABSENT, 1),
        ("seed", 0, True),
    ]
    assert differing(CONFIG, CONFIG) == []
    assert differing({"a": 1}, {"a": 1.0}) == [("a", 1, 1.0)]
