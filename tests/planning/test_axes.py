import itertools

import pytest

from fusionlab.errors import UserError
from fusionlab.planning.axes import Grid


def expand(axes, exclude=()):
    return Grid([axes], exclude=[(entry, [entry]) for entry in exclude]).cells()


AXES = {"fusion": ["sum", "conv"], "layer": ["relu5", "fc8"], "seed": [0, 1]}


def test_row_major_order():
    assert [tuple(point.values()) for point in expand(AXES)] == list(itertools.product(*AXES.values()))
    assert all(list(point) == list(AXES) for point in expand(AXES))
    assert expand({}) == [{}]


def test_an_exclude_takes_what_matches_in_all_its_leaves():
    kept = expand(AXES, [{"fusion": "sum", "layer": "fc8"}, {"seed": 1, "fusion": "conv"}])
    assert [tuple(point.values()) for point in kept] == [
        ("sum", "relu5", 0),
        ("sum", "relu5", 1),
        ("conv", "relu5", 0),
        ("conv", "fc8", 0),
    ]


def test_nested_excludes_name_dotted_axes():
    assert expand({"optim.lr": [0.1, 1]}, [{"optim": {"lr": 1.0}}]) == [{"optim.lr": 0.1}]


def test_an_exclude_names_a_dotted_axis_as_it_is_typed():
    axes = {"weights": [None, "a.pt"], "weights.head": ["keep", "fresh"]}
    kept = expand(axes, [{"weights": None, "weights.head": "fresh"}, {"weights": "a.pt", "weights.head": "keep"}])
    assert kept == [{"weights": None, "weights.head": "keep"}, {"weights": "a.pt", "weights.head": "fresh"}]


def test_overlapping_excludes_are_each_asked_of_the_whole_grid():
    assert len(expand(AXES, [{"fusion": "sum"}, {"fusion": "sum", "seed": 0}])) == 4


@pytest.mark.parametrize(
    ("axes", "exclude", "words"),
    [
        (AXES, [{"fusion": "max"}], ["matches no point", "{fusion:max}", "fusion=sum"]),
        (AXES, [{"seed": True}], ["matches no point"]),
        (AXES, [{}], ["matches no point"]),
        (AXES, [{"fusoin": "sum"}], ["unknown axis in exclude", "did you mean fusion ?"]),
        (AXES, [{"fusion": "sum"}, {"fusion": "conv"}], ["removes every point"]),
        ({"fusion": []}, [], ["has no values"]),
        ({"fusion": ["sum", "sum"]}, [], ["twice", "fusion: sum"]),
        ({"logger": ["none", "wandb"]}, [], ["logger does not change the result", "logger=none,wandb", "logger=none"]),
        ({"table": ["how", "all"], "seed": [0, 1]}, [], ["table does not change the result"]),
        ({"run.device": ["cpu", "cuda"]}, [], ["run.device does not change the result", "run.device=cpu"]),
        ({"run.folder": [None, "a"]}, [], ["run.folder=null,a"]),
        ({"experiment": ["how", "order"]}, [], ["experiment=how has a grid of its own"]),
    ],
)
def test_what_is_surely_a_mistake_is_told(axes, exclude, words):
    with pytest.raises(UserError) as caught:
        expand(axes, exclude)
    assert all(word in str(caught.value) for word in words)


def test_true_is_not_one_as_a_value():
    assert expand({"a": [1, True]}, [{"a": 1}]) == [{"a": True}]


def test_one_value_of_what_is_not_hashed_loses_nothing():
    assert expand({"run.device": ["cpu"], "seed": [0, 1]}) == [
        {"run.device": "cpu", "seed": 0},
        {"run.device": "cpu", "seed": 1},
    ]
