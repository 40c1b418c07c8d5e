import pytest

from fusionlab.data.sampler import StepSampler, ViewSampler, order


def uninterrupted(n: int, size: int, seed: int, epochs: int) -> list[list[tuple[int, int]]]:
    steps = StepSampler(n, size, seed).steps_per_epoch
    return [batch for epoch in range(epochs) for batch in StepSampler(n, size, seed, epoch * steps)]


@pytest.mark.parametrize("n, size", [(20, 4), (23, 4), (3, 8), (1, 1)])
def test_a_resumed_order_is_the_tail_of_the_uninterrupted_one_at_every_step(n: int, size: int) -> None:
    whole = uninterrupted(n, size, 5, 3)
    steps = len(whole) // 3
    for start in range(len(whole)):
        rest: list[list[tuple[int, int]]] = []
        while start + len(rest) < len(whole):
            sampler = StepSampler(n, size, 5, start + len(rest))
            batches = list(sampler)
            assert len(batches) == len(sampler) == steps - (start + len(rest)) % steps
            rest += batches
        assert rest == whole[start:]


def test_an_epoch_holds_each_video_once_and_all_batches_are_full() -> None:
    for epoch in range(3):
        keys = [k for batch in StepSampler(24, 4, 0, epoch * 6) for k in batch]
        assert sorted(keys) == [(epoch, index) for index in range(24)]
    assert [len(batch) for batch in StepSampler(23, 4, 0)] == [4] * 5
    assert [len(batch) for batch in StepSampler(3, 8, 0)] == [3]


def test_orders_differ_by_epoch_and_seed_and_never_change() -> None:
    assert order(20, 0, 0) != order(20, 0, 1)
    assert order(20, 0, 0) != order(20, 1, 0)
    assert order(8, 0, 0) == [7, 0, 2, 5, 1, 4, 6, 3]


def test_an_empty_list_has_no_batches() -> None:
    assert len(StepSampler(0, 4, 0)) == 0 and list(StepSampler(0, 4, 0)) == []


def test_views_lie_side_by_side_and_each_comes_once() -> None:
    batches = list(ViewSampler(5, 2, 4))
    assert [k for batch in batches for k in batch] == [(view, index) for index in range(5) for view in (0, 1)]
    assert [len(batch) for batch in batches] == [4, 4, 2] and len(ViewSampler(5, 2, 4)) == 3


def test_a_batch_of_views_has_one_shape() -> None:
    small, large, tall = (1, 10, 20), (1, 30, 40), (1, 40, 30)
    sizes = [large, small, large, tall, small, large]
    sampler = ViewSampler(6, 2, 3, sizes)
    batches = list(sampler)
    assert len(sampler) == len(batches) == 2 + 2 + 1
    assert [{sizes[index] for _, index in batch} for batch in batches] == [{large}] * 2 + [{small}] * 2 + [{tall}]
    keys = [key for batch in batches for key in batch]
    assert keys == [(view, index) for index in (0, 2, 5, 1, 4, 3) for view in (0, 1)]
    assert max(map(len, batches)) == 3, "the batch size counts views"
    assert list(ViewSampler(6, 2, 3, [large] * 6)) == list(ViewSampler(6, 2, 3))
    assert list(ViewSampler(0, 2, 3, [])) == []


@pytest.mark.parametrize("snippets", [1, 4])
def test_long_views_are_fewer_in_a_batch(snippets: int) -> None:
    """No more frames than `batch_size` clips of T = `snippets` have, but one view at least, and never more views."""
    lengths = [1, 2, 4, 5, 7, 8, 12, 13, 40]
    shapes = [(length, 8, 8) for length in lengths for _ in range(7)]
    batches = list(ViewSampler(len(shapes), 1, 6, shapes, snippets))
    assert [key for batch in batches for key in batch] == [(0, index) for index in range(len(shapes))]
    for length in lengths:
        rows = [len(batch) for batch in batches if {shapes[index][0] for _, index in batch} == {length}]
        assert sum(rows) == 7, "no batch has two lengths"
        most = max(rows)
        assert most <= 6 and (most == 1 or most * length <= 6 * snippets)
        assert most in (6, 1) or (most + 1) * length > 6 * snippets, "as many as fit"
