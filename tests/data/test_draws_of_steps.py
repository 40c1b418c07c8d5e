"""Several passes over the list in an epoch, and draws by class."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from fusionlab.data.sampler import StepSampler, order, steps_of_epoch

LABELS = [0] * 12 + [1] * 3 + [2] * 1 + [4] * 4  # of class 3 there is no video


def keys(start: int, steps: int, **how: Any) -> list[tuple[int, int]]:
    """Those of `steps` steps from `start` on."""
    found: list[tuple[int, int]] = []
    while steps:
        batches = list(StepSampler(20, 3, 5, start, **how))[:steps]
        found += [one for batch in batches for one in batch]
        start, steps = start + len(batches), steps - len(batches)
    return found


@pytest.mark.parametrize("passes", [1, 2, 7])
def test_an_epoch_is_the_orders_one_after_the_other(passes: int) -> None:
    """An index loop over the definition; P n mod b keys are left out at an epoch's end."""
    found, steps = [], passes * 20 // 3
    for epoch in range(3):
        chain = [(p, i) for p in range(epoch * passes, (epoch + 1) * passes) for i in order(20, 5, p)]
        found += chain[: steps * 3]
    assert keys(0, 3 * steps, passes=passes) == found


@pytest.mark.parametrize("how", [{"passes": 3}, {"labels": LABELS}, {"passes": 3, "labels": LABELS}])
def test_every_step_can_be_the_first(how: dict[str, Any]) -> None:
    whole = keys(0, 50, **how)
    for start in range(50):
        assert keys(start, 50 - start, **how) == whole[3 * start :]


def test_steps_of_the_papers() -> None:
    assert steps_of_epoch(9537, 96, 10) == 993
    assert steps_of_epoch(9537, 256, 10) == 372
    assert [steps_of_epoch(5, batch, 2) for batch in (1, 2, 5, 100)] == [10, 5, 2, 2]
    assert steps_of_epoch(0, 4) == 0
    assert len(StepSampler(20, 3, 5, passes=7)) == StepSampler(20, 3, 5, passes=7, labels=LABELS).steps_per_epoch == 46


def test_classes_are_drawn_alike_and_each_draw_has_its_own_number() -> None:
    drawn = keys(0, 2000, labels=LABELS)
    assert [number for number, _ in drawn] == list(range(6000))
    counts = Counter(LABELS[index] for _, index in drawn)
    assert set(counts) == {0, 1, 2, 4}
    assert all(abs(count - 1500) < 5 * np.sqrt(6000 * 3 / 16) for count in counts.values())
    videos = Counter(index for _, index in drawn)
    assert all(abs(videos[index] - 125) < 5 * np.sqrt(125) for index in range(12)), "alike in their class"


def test_the_words_of_a_draw() -> None:
    text = json.dumps(["draw", 5, 4], separators=(",", ":"))
    draw = np.random.Generator(np.random.Philox(key=int.from_bytes(sha256(text.encode()).digest()[:8], "big") // 2))
    of_class = [[i for i, label in enumerate(LABELS) if label == one] for one in (0, 1, 2, 4)]
    videos = of_class[int(draw.integers(4))]
    assert keys(0, 2, labels=LABELS)[4] == (4, videos[int(draw.integers(len(videos)))])
