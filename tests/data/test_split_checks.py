import pytest

from fusionlab.data.split_checks import refuse_leaks, shared
from fusionlab.errors import UserError


def group(name: str) -> str:
    return name.partition("_")[0]


def test_what_is_in_both_lists_equals_a_loop() -> None:
    train = [(f"g{number % 7}_{number}", 0) for number in range(0, 30, 2)]
    test = [(f"g{number % 7 + 4}_{number}", 0) for number in range(0, 30, 3)]
    videos = {one for one, _ in train for other, _ in test if one == other}
    groups = {group(one) for one, _ in train for other, _ in test if group(one) == group(other)}
    assert shared(train, test, group) == (sorted(videos), sorted(groups)) and groups


def test_the_number_and_ten_of_them_are_told() -> None:
    train, test = ([(f"g{number:02d}_{side}", 0) for number in range(25)] for side in "ab")
    with pytest.raises(UserError, match="groups are in both") as error:
        refuse_leaks(train, test, group)
    assert "25: g00, g01" in str(error.value) and "g09 …" in str(error.value) and "g10" not in str(error.value)


def test_a_video_in_both_is_told_as_such_whatever_its_group() -> None:
    numbers = iter("12")
    with pytest.raises(UserError, match="videos are in both") as error:
        refuse_leaks([("a", 0)], [("a", 0)], lambda _: next(numbers))
    assert "1: a" in str(error.value)


def test_lists_that_share_nothing_pass() -> None:
    refuse_leaks([("a_1", 0), ("a_2", 0)], [("b_1", 0)], group)
    refuse_leaks([], [], group)
