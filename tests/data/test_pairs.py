"""pairs=class: the frames of each clip with the flow of another clip of its class."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import torch
from data_fakes import Drifting
from scipy import stats
from torch.utils.data import DataLoader

from fusionlab.data.batches import Clips, keep_batch
from fusionlab.data.module import TwoStreamData
from fusionlab.data.pairs import Partners, derangement, expect_partners
from fusionlab.data.sampler import StepSampler
from fusionlab.data.views import Sampling
from fusionlab.errors import UserError
from fusionlab.video.store import Store

SAMPLING = Sampling(snippets=2, fields=4, stride=(1, 2), crop=16)
LABELS = [0, 1, 0, 2, 2, 0, 1, 2, 0, 2]
ENTRIES = [(f"v{number}", label) for number, label in enumerate(LABELS)]


def data(drifting: Drifting, store: Store, pairs: str = "class", validation: float = 0.25, **how: Any) -> TwoStreamData:
    made = TwoStreamData(
        drifting, store.folder, sampling=replace(SAMPLING, pairs=pairs, **how), batch_size=4, validation=validation
    )
    made.setup()
    return made


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_every_permutation_without_a_fixed_point_is_as_likely(n: int) -> None:
    """Against all of them: 1, 2, 9 and 44."""
    every = [one for one in permutations(range(n)) if all(place != at for at, place in enumerate(one))]
    drawn = Counter(tuple(derangement(n, seed, epoch, 0)) for seed in range(20) for epoch in range(100))
    assert set(drawn) == set(every)
    assert len(every) == 1 or stats.chisquare([drawn[one] for one in every]).pvalue > 0.01


def test_it_is_a_function_of_seed_epoch_and_class() -> None:
    first = derangement(30, 1, 2, 3)
    assert first == derangement(30, 1, 2, 3) and sorted(first) == list(range(30))
    assert all(first != derangement(30, *other) for other in ((0, 2, 3), (1, 3, 3), (1, 2, 4)))


@pytest.mark.parametrize("epoch", [0, 1, 9])
def test_each_clip_lends_its_flow_once_to_another_clip_of_its_class(epoch: int) -> None:
    partners = Partners(ENTRIES, 0)
    pairs = [partners.of(epoch, index) for index in range(len(ENTRIES))]
    assert sorted(place for _, place in pairs) == list(range(len(ENTRIES)))
    for index, (name, place) in enumerate(pairs):
        assert place != index and ENTRIES[place] == (name, LABELS[index])
    assert [Partners(ENTRIES, 0).of(epoch, index) for index in reversed(range(10))] == pairs[::-1]


def test_pairs_change_with_the_epoch_in_training_and_stay_in_validation() -> None:
    training, validation = Partners(ENTRIES, 0), Partners(ENTRIES, 0, [("t", 0), ("u", 1), ("w", 2)])
    of = {epoch: [training.of(epoch, index) for index in range(10)] for epoch in range(9)}
    assert len({tuple(one) for one in of.values()}) > 4
    assert [training.of(0, index) for index in range(10)] == of[0], "back in an earlier epoch they are the same"
    first = [validation.of(0, index) for index in range(10)]
    assert all([validation.of(number, index) for index in range(10)] == first for number in range(1, 9))
    assert all(place != index for index, (_, place) in enumerate(first))
    assert [Partners(ENTRIES, 1, [("t", 0)]).of(0, index) for index in range(10)] != first


def test_a_validation_clip_alone_in_its_class_gets_the_flow_of_a_training_clip() -> None:
    train = [(f"t{number}", number % 2) for number in range(6)]
    drawn = Counter(Partners([("v", 1), ("w", 0), ("x", 0)], seed, train).of(0, 0)[0] for seed in range(60))
    assert set(drawn) == {"t1", "t3", "t5"}


HOW: list[dict[str, Any]] = [
    {}, {"apart": 3}, {"delay": 2}, {"crops": "jitter", "test": "frame"}, {"times": "segments", "subtract_mean": True},
    {"stacking": "trajectory", "test": "final"},
]  # fmt: skip


@pytest.mark.parametrize("how", HOW, ids=str)
def test_a_batch_has_the_frames_of_its_clips_and_the_flow_of_their_partners(
    drifting: Drifting, store: Store, how: dict[str, Any]
) -> None:
    """Each stream in its own clip's view of that epoch, or in validation in the view of that number."""
    own, paired = data(drifting, store, "own", **how), data(drifting, store, **how)
    for which in ("train", "validation"):
        true, clips = own.clips(which), paired.clips(which)
        names = [name for name, _ in clips.entries]
        keys = [(first, index) for first in (0, 1) for index in range(len(clips))]
        batch = clips.__getitems__(keys)
        for row, (first, index) in enumerate(keys):
            assert clips.partners is not None
            name, place = clips.partners.of(first, index)
            assert name == names[place] and clips.entries[place][1] == batch["label"][row] and place != index
            assert torch.equal(batch["appearance"][row], true[first, index]["appearance"][0])
            assert torch.equal(batch["motion"][row], true[first, place]["motion"][0])
        plain = true.__getitems__(keys)
        assert torch.equal(batch["label"], plain["label"]) and torch.equal(batch["index"], plain["index"])
        assert not torch.equal(batch["motion"], plain["motion"])


def test_the_test_has_true_pairs(drifting: Drifting, store: Store) -> None:
    for how in ({}, {"test": "frame", "apart": 2}):
        true, tested = (list(data(drifting, store, pairs, **how).test_dataloader()) for pairs in ("own", "class"))
        for a, b in zip(true, tested, strict=True):
            assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_stream_alone_is_the_same_as_in_company(drifting: Drifting, store: Store) -> None:
    both = data(drifting, store).clips("train").__getitems__([(1, 0), (1, 5)])
    for stream in ("appearance", "motion"):
        alone = TwoStreamData(
            drifting, store.folder, sampling=replace(SAMPLING, pairs="class"), streams=stream, validation=0.25
        )
        assert torch.equal(alone.clips("train").__getitems__([(1, 0), (1, 5)])[stream], both[stream])


def test_resuming_equals_the_tail_and_workers_give_the_same(drifting: Drifting, store: Store) -> None:
    of = data(drifting, store)
    steps = len(of.train_dataloader())
    whole = []
    for epoch in range(3):
        of.start_step = epoch * steps
        whole += list(of.train_dataloader())
    assert not torch.equal(whole[0]["motion"], whole[steps]["motion"])
    for start in range(2 * steps):
        again = data(drifting, store)
        again.start_step = start
        rest = list(again.train_dataloader())
        assert all(torch.equal(a[name], b[name]) for a, b in zip(rest, whole[start:], strict=False) for name in a)
    copy: Clips = pickle.loads(pickle.dumps(of.clips("train")))
    loader = DataLoader(
        copy, batch_sampler=StepSampler(len(copy), 4, 0, steps), num_workers=2, collate_fn=keep_batch,
        multiprocessing_context="fork",
    )  # fmt: skip
    for a, b in zip(loader, whole[steps : 2 * steps], strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_class_with_one_training_clip_is_told_before_the_training(drifting: Drifting, store: Store) -> None:
    train, test = drifting.lists(1)
    lone = [entry for entry in train if entry[1] == 1][:2]

    class Few(Drifting):
        def lists(self, split: int) -> tuple[list[Any], list[Any]]:
            return [entry for entry in train if entry[1] != 1 or entry in lone[:1]], test

    few: Drifting = Few(drifting.root)
    with pytest.raises(UserError, match="two training clips of each class") as error:
        data(few, store, validation=0.1).train_dataloader()
    assert "Jump" in error.value.got and "Hop" not in error.value.got
    assert len(data(few, store, validation=0.1).test_dataloader()), "a test needs no partners"
    assert len(data(few, store, "own", validation=0.1).train_dataloader())
    expect_partners([("a", 0), ("b", 0)], ["x", "y"])
