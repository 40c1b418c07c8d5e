"""Batches of two data sets: the second list goes round, and its place follows from the step alone."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch
from data_fakes import Drifting

from fusionlab.data.batches import second_task
from fusionlab.data.dataset import Entry
from fusionlab.data.module import TwoStreamData
from fusionlab.data.sampler import RoundSampler, StepSampler, order
from fusionlab.data.views import Sampling
from fusionlab.video.store import Store

SAMPLING = Sampling(snippets=2, fields=4, stride=1, crop=16)


class Two(Drifting):
    """Two classes of the drifting videos, under other names: a shorter list."""

    classes = ("Sit", "Stand")
    class_count = 2

    def videos(self) -> list[Entry]:
        every = Drifting(self.root, self.groups, self.per_group, self.side).videos()
        return [entry for entry in every if entry[1] < 2]


def data(drifting: Drifting, store: Store, rows: int = 5, **how: Any) -> TwoStreamData:
    own = {"sampling": SAMPLING, "batch_size": rows, "validation": 0.25, "seed": 3, **how}
    second = TwoStreamData(Two(drifting.root), store.folder, held_out="none", **own)
    return TwoStreamData(drifting, store.folder, second=second, **own)


@pytest.mark.parametrize("start", [0, 1, 4, 17])
@pytest.mark.parametrize(("n", "rows"), [(7, 3), (3, 7), (6, 3), (1, 4)])
def test_the_second_list_goes_round(n: int, rows: int, start: int) -> None:
    """A loop over row numbers."""
    batches = list(islice(RoundSampler(n, rows, 5, start), 9))
    for step, batch in enumerate(batches, start):
        numbers = [step * rows + row for row in range(rows)]
        assert batch == [(q // n, order(n, 5, q // n)[q % n]) for q in numbers]
    assert all(len(set(batch)) == rows for batch in batches), "a video that is there twice has two views"


def test_draws_by_class_are_those_of_one_list() -> None:
    labels = [0, 0, 0, 1, 2, 2]
    alone = StepSampler(6, 4, 5, passes=100, labels=labels)
    assert list(islice(RoundSampler(6, 4, 5, 2, labels=labels), 5)) == list(alone)[2:7]


@pytest.mark.parametrize("draws", ["list", "classes"])
def test_a_batch_has_both_lists_clips_and_each_as_it_is_alone(drifting: Drifting, store: Store, draws: str) -> None:
    both = list(data(drifting, store, draws=draws).train_dataloader())
    alone = TwoStreamData(drifting, store.folder, sampling=SAMPLING, batch_size=5, validation=0.25, seed=3, draws=draws)
    for batch, own in zip(both, alone.train_dataloader(), strict=True):
        assert all(torch.equal(batch[name], one) for name, one in own.items())
        second = second_task(batch)
        assert set(second) == set(own) and second["motion"].shape == own["motion"].shape
        assert int(second["label"].max()) < 2 and len(second["label"]) == 5
    seen = [int(index) for batch in both for index in batch["second.index"]]
    assert max(seen) < 16, "its whole training list: nothing of it is held out"


def test_the_place_in_both_lists_follows_from_the_step(drifting: Drifting, store: Store) -> None:
    """From each step on the batches are those of an undisturbed run, over the ends of epochs."""

    def batches(of: TwoStreamData, first: int, last: int) -> list[dict[str, torch.Tensor]]:
        made: list[dict[str, torch.Tensor]] = []
        while first + len(made) < last:
            of.start_step = first + len(made)
            made += islice(of.train_dataloader(), last - first - len(made))
        return made

    steps = len(data(drifting, store).train_dataloader())
    whole = batches(data(drifting, store), 0, 3 * steps)
    for first in range(1, 2 * steps):
        for one, again in zip(whole[first:], batches(data(drifting, store), first, 3 * steps), strict=True):
            assert one.keys() == again.keys() and all(torch.equal(one[name], again[name]) for name in one)


@pytest.mark.slow
def test_loaders_give_the_same_batches(drifting: Drifting, store: Store) -> None:
    plain, loaded = (list(data(drifting, store, workers=workers).train_dataloader()) for workers in (0, 2))
    for one, other in zip(plain, loaded, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_validation_and_test_are_the_main_list_s(drifting: Drifting, store: Store) -> None:
    of = data(drifting, store)
    for loader in (of.val_dataloader(), of.test_dataloader()):
        assert not any(second_task(batch) for batch in loader)
