from collections import Counter

import pytest

from fusionlab.data.ucf101 import group_of
from fusionlab.data.validation import cut, divide
from fusionlab.errors import UserError


def training(classes: int = 5, groups: int = 18, clips: int = 5) -> list[tuple[str, int]]:
    return [
        (f"C{c}/v_C{c}_g{g:02d}_c{k:02d}.avi", c)
        for c in range(classes)
        for g in range(8, 8 + groups)
        for k in range(1, 1 + clips + (c + g) % 3)
    ]


def test_no_group_is_split_and_nothing_is_lost() -> None:
    train = training()
    rest, held_out = cut(train, group_of, seed=0)
    assert not {group_of(name) for name, _ in rest} & {group_of(name) for name, _ in held_out}
    assert sorted(rest + held_out) == sorted(train)


def test_each_class_gives_about_its_part() -> None:
    train = training()
    _, held_out = cut(train, group_of, seed=0)
    whole, taken = Counter(label for _, label in train), Counter(label for _, label in held_out)
    for label in whole:
        assert abs(taken[label] - 0.1 * whole[label]) <= 4  # half a group


def test_groups_that_span_classes_stay_whole_too() -> None:
    train = [(f"C{c}/v_g{g:02d}_{k}", c) for c in range(4) for g in range(20) for k in range(3)]
    rest, held_out = cut(train, lambda name: name.split("_")[1], seed=3)
    assert not {n.split("_")[1] for n, _ in rest} & {n.split("_")[1] for n, _ in held_out}
    assert Counter(label for _, label in held_out) == dict.fromkeys(range(4), 6)


def test_the_cut_depends_on_the_seed_and_not_on_the_order_of_the_list() -> None:
    train = training()
    first = set(cut(train, group_of, seed=0)[1])
    assert set(cut(train[::-1], group_of, seed=0)[1]) == first
    assert set(cut(train, group_of, seed=1)[1]) != first


def test_a_group_is_taken_only_if_the_numbers_come_nearer() -> None:
    """Of 20 videos in groups of two, three are wanted: one group has two, and a second one would have as far to it."""
    train = [(f"v_g{group:02d}_{clip}", 0) for group in range(10) for clip in range(2)]
    for seed in range(5):
        assert len(cut(train, lambda name: name[:5], seed, fraction=0.15)[1]) == 2


def test_neither_side_is_ever_empty() -> None:
    train = training(classes=2, groups=1, clips=4)  # one group a class
    rest, held_out = cut(train, group_of, seed=0)
    assert rest and held_out
    with pytest.raises(UserError, match="at least two groups"):
        cut(training(classes=1, groups=1), group_of, seed=0)
    with pytest.raises(UserError, match="at least two groups"):
        cut([], group_of, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_a_fraction_that_cannot_be_is_told(fraction: float) -> None:
    with pytest.raises(UserError, match="below one half"):
        cut(training(), group_of, seed=0, fraction=fraction)


def test_all_is_trained_on_where_nothing_or_the_test_list_is_validated() -> None:
    train, test = [(f"a_g{n}_c1", 0) for n in range(6)], [("b_g9_c1", 0)]
    group = lambda name: name.split("_")[1]  # noqa: E731
    assert divide("none", train, test, group, 0, 0.2) == (train, [])
    assert divide("test", train, test, group, 0, 0.2) == (train, test)
    assert divide("cut", train, test, group, 0, 0.2) == cut(train, group, 0, 0.2)
