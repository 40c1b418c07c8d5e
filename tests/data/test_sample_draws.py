"""One generator that is set back draws what a new one would."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from fusionlab.data import sample_draws as module
from fusionlab.data.sample_draws import drawing
from fusionlab.records.draws import key


def some(draw: np.random.Generator, seed: int) -> list[Any]:
    """Of several kinds, an odd number of them: half of a word, and words, are left over."""
    return [
        int(draw.integers(7)), draw.random(), int(draw.integers(2, dtype=np.uint8)), float(draw.normal()),
        *draw.permutation(5 + seed % 3).tolist(), int(draw.integers(2**40)), int(draw.integers(3)),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_it_draws_what_a_new_generator_would(seed: int) -> None:
    for index in range(3):
        new = np.random.Generator(np.random.Philox(key=key("sample", seed, 0, index)))
        assert some(drawing("sample", seed, 0, index), seed) == some(new, seed)


def test_a_key_of_more_than_a_word_would_do_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    large = 3 * 2**64 + 5
    monkeypatch.setattr(module, "key", lambda *_: large)
    assert drawing().integers(2**62) == np.random.Generator(np.random.Philox(key=large)).integers(2**62)


def test_threads_do_not_disturb_each_other() -> None:
    def many(seed: int) -> list[Any]:
        return [some(drawing("sample", seed, 0, index), seed) for index in range(300)]

    expected = [many(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(many, range(4))) == expected
