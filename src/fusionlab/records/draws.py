"""The law of randomness: nothing carries generator state.

Each draw is a function of (purpose, kind of seed, name or index, epoch, step). The function is `key`, and every
generator is seeded with it just before its draw:

    a parameter's initial values    key("init", seed.init, parameter's name)
    the views of a training sample  key("sample", seed.data, epoch, index)
    the order of an epoch           key("order", seed.data, epoch)
    the dropout of a step           key("dropout", seed.dropout, step)
    the cut of a validation set     key("validation", seed.data, group)
    pairs of clips of one class     key("pairs", seed.data, epoch, class)
    a stream of other test clips    key("ablation", seed.data, stream)

So an arm that is trained alone equals the same arm in a cohort, all arms of a seed share their draws (comparisons are
paired), and resuming has nothing to restore. Every result depends on these values: they never change (golden test).
"""

from __future__ import annotations

import hashlib
import json

Part = str | int | float | bool | None


def key(*parts: Part) -> int:
    """A 63-bit seed: the first 63 bits of sha256 of the parts as canonical JSON.

    Generators take a signed 64-bit seed. Parts of different types differ: 1, 1.0, True and "1".
    """
    for part in parts:
        assert part is None or type(part) in (str, int, float, bool), f"not a plain scalar: {part!r}"
    text = json.dumps(list(parts), separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "big") >> 1
