"""Words that stand for several: `seed=3` is all three seeds, `backbone=vgg_m` the towers of both streams.

Where a narrow word is typed too it holds, in whatever order: `backbone=vgg_m appearance=vgg16`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TypeVar

from fusionlab.errors import UserError

WIDE = {
    "backbone": ("appearance", "motion"),
    "seed": ("seed.init", "seed.data", "seed.dropout"),
    "weights": ("weights.appearance", "weights.motion"),
}
Value = TypeVar("Value")


def spread(typed: Mapping[str, Value]) -> dict[str, Value]:
    """Each wide word as the narrow ones that it stands for; `seed={init: 1}` is seed.init=1.

    >>> spread({"appearance": "vgg16", "backbone": "vgg_m"})
    {'appearance': 'vgg16', 'motion': 'vgg_m'}
    """
    narrow: dict[str, Value] = {}
    for word, value in typed.items():
        if word in WIDE and isinstance(value, Mapping):
            narrow.update({f"{word}.{one}": own for one, own in value.items()})
        elif word in WIDE:
            narrow.update({one: value for one in WIDE[word] if one not in typed})
        else:
            narrow[word] = value
    return narrow


def said(word: str, typed: Container[str]) -> bool:
    """Whether what was typed leaves nothing for this word to say."""
    wider = [one for one, narrow in WIDE.items() if word in narrow]
    return word in typed or any(one in typed for one in wider) or overruled(word, typed)


def overruled(word: str, typed: Container[str]) -> bool:
    """Whether all that a wide word stands for was typed word by word."""
    return word in WIDE and all(one in typed for one in WIDE[word])


def refuse_overruled(typed: Container[str]) -> None:
    """A wide word that turns nothing."""
    for word, narrow in WIDE.items():
        if word in typed and overruled(word, typed):
            raise UserError(
                f"{word} says what {' and '.join(narrow)} leave open, which is nothing here",
                got=", ".join(f"{one}=…" for one in (word, *narrow)),
                hint=f"leave {word}=… out",
            )
