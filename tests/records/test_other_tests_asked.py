"""What is asked of every net, and the names of its tests."""

from __future__ import annotations

import pytest

from fusionlab.config.overrides import parse_overrides
from fusionlab.data.views import TESTS
from fusionlab.errors import UserError
from fusionlab.records.other_tests import COMBINATIONS, PROTOCOLS, Asked, OtherTest


def test_the_protocols_are_those_of_the_views() -> None:
    """They stand here too, since this level imports none of the data's."""
    assert tuple(TESTS) == PROTOCOLS


@pytest.mark.parametrize(
    "test, name",
    [
        (OtherTest("simonyan"), "simonyan"),
        (OtherTest("frame", "motion:mean"), "frame,ablate=motion-mean"),
        (OtherTest("simonyan", combine="svm"), "simonyan,combine=svm"),
        (OtherTest("simonyan", of="train"), "simonyan,list=train"),
    ],
)
def test_the_name_of_a_folder(test: OtherTest, name: str) -> None:
    assert test.name == name and OtherTest(**test.to_dict()) == test


def test_all_names_are_different_folders() -> None:
    asked = Asked(PROTOCOLS, tuple(COMBINATIONS), ("appearance:mean", "motion:mean"))
    tests = [*asked.shown("middle"), *(one for one in asked.measured("middle") if one.of != "test" or one.ablate)]
    names = {test.name for test in tests}
    assert len(names) == len(tests) == 5 * 4 + 5 * 2 + 5 * 2
    assert not any("/" in name or ":" in name or name.startswith(".") for name in names)


def test_without_a_word_a_net_has_its_own_test() -> None:
    assert Asked().shown("video") == [OtherTest("video")] and not Asked() and not Asked().measured("video")
    assert Asked(("video",)).measured("video") == [], "it is in the record"


def test_what_a_network_computes_and_what_is_combined_later() -> None:
    asked = Asked(("frame", "middle"), ("logits", "weighted", "svm"), ("motion:mean", "appearance:freeze"))
    names = [test.name for test in asked.measured("middle")]
    assert names[:1] == ["frame"] and not any("combine" in name for name in names)
    lists = {name for name in names if "list=" in name}
    assert lists == {f"{views},list={of}" for views in ("frame", "middle") for of in ("validation", "train")}
    assert not any("list=" in test.name for test in asked.measured("middle", heads=False))
    alone = {test.name for test in asked.measured("middle", "appearance") if test.ablate}
    assert alone == {"frame,ablate=appearance-freeze", "middle,ablate=appearance-freeze"}


def test_axes_are_what_varies() -> None:
    assert Asked(("frame",), ("svm",)).shown_axes == [{}]
    assert Asked(("frame", "final"), ("svm",)).shown_axes == [{"test": "frame"}, {"test": "final"}]
    assert {"test": "frame", "combine": "svm"} in Asked(("frame", "final"), ("scores", "svm")).shown_axes


def test_typed_words() -> None:
    asked, rest = Asked.typed(["runs/x", "test=frame,final", "ablate=[motion:mean]", "fusion=late,seed=0"])
    assert asked == Asked(("frame", "final"), (), ("motion:mean",)) and rest == ["runs/x", "fusion=late,seed=0"]
    assert asked.words == ["test=frame,final", "ablate=motion:mean"]
    parsed = parse_overrides(["test=frame,final", "ablate=motion:mean", "fusion=sum,conv"])
    assert parsed.leaves == {"test": ["frame", "final"], "ablate": ["motion:mean"]} and list(parsed.axes) == ["fusion"]


@pytest.mark.parametrize(
    "words, told",
    [
        (["test=fram"], "unknown protocol of test views"),
        (["combine=sum"], "unknown combination of heads"),
        (["ablate=motion"], "unknown ablation of a stream"),
        (["test=frame,frame"], "twice"),
        (["test=frame", "test=final"], "twice"),
    ],
)
def test_bad_words_are_answered(words: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Asked.typed(words)


def test_a_protocol_is_no_axis() -> None:
    with pytest.raises(UserError) as refused:
        parse_overrides(["data.sampling.test=frame,final"])
    assert refused.value.hint == "test=frame,final"
    assert parse_overrides(["data.sampling.test=frame"]).leaves == {"data.sampling.test": "frame"}
