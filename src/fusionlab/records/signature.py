"""The law of identity: all that determines a result is in the config, outside the subtree `run`.

The subtree `run:` (device, workers, logger, launcher, paths) is not hashed, everything else is. A new knob has its
neutral value in `NEUTRAL` and is left out of the hash at that value, so that older records keep their signatures (a
test has golden ones).

    signature = first 16 hex digits of sha256(canonical JSON of {leaf: value}, leaves sorted)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from fusionlab.errors import UserError

Leaf = Any  # str | int | float | bool | None, or an empty list or dict, which is a leaf too

RUN = "run"
STREAMS = ("appearance", "motion")
ABSENT = "(absent)"

_SECOND = (
    "multitask.",
    "multitask.appearance.",
    "multitask.motion.",
)  # a stream's second data set, and those of an arm

# leaf -> the value at which the knob has no effect. Each knob that is newer than the first records has a line.
NEUTRAL: dict[str, Leaf] = {
    "into": "appearance",
    "keep_motion": False,
    "tower_weight": 0.5,
    "consensus": "scores",
    "fusion.weight": 0.5,
    "align": "refuse",
    "backprop": "above",
    **{f"{tower}.convolutions": 5 for tower in ("backbone.appearance", "backbone.motion", "tower")},
    "weights.appearance": None,
    "weights.motion": None,
    "weights.source": None,  # in the recipe of one stream
    "weights.head": "keep",
    "weights.other_split": "refuse",
    "multitask": None,  # in the recipe of one stream
    "multitask.appearance": None,
    "multitask.motion": None,
    "temporal.side": None,
    "temporal.channels": None,
    "temporal.init": "identity",
    "fusion.classifier": "softmax",
    "fusion.regulariser": None,
    "callbacks": {},
    "val.list": "cut",
    "val.then": "keep",
    "chosen_by": {},  # in the recipes of chain B
    "data.sampling.crops": "square",
    "data.sampling.stacking": "plain",
    "data.sampling.subtract_mean": False,
    "data.sampling.test": "middle",
    "data.sampling.apart": 0,
    "data.sampling.delay": 0,
    "data.sampling.times": "clip",
    "data.sampling.pairs": "own",
    "data.sampling.colour": "plain",
    **{
        f"{above}dataset.{leaf}": neutral
        for above in ("data.", "", *_SECOND)
        for leaf, neutral in (
            ("vocabulary", "brush"),
            ("order", 0),
            ("how", 0),
            ("still", 0),
            ("segment", 8),
            ("pause", 6),
            ("segments", 3),
            ("decoy_speed", 1.0),
            ("exchange", False),
            ("grounds", "group"),
        )
    },
    **{
        f"optim.{stage}{leaf}": neutral
        for stage in ("streams.", "fusion.", "")  # of an arm, and in the recipe of one stream
        for leaf, neutral in (
            ("weights", "best"),
            ("validations", 0),
            ("measure", "loss"),
            ("until", "budget"),
            ("budget", 1),
            ("steps", None),
            ("passes", 1),
            ("draws", "list"),
            ("micro_batch", None),
            ("bias_rate", 1.0),
            ("bias_decay", 1.0),
            ("from_layer", None),
            ("first.from_layer", None),
            ("first.epochs", 0),
            ("class_weights", "none"),
        )
    },
    **{f"optim.streams.{stream}": {} for stream in STREAMS},
    "data.quarantine": [],
    **{f"{above}dataset.counts": True for above in ("data.", "", *_SECOND)},
    **{
        f"{above}store.{leaf}": neutral
        for above in ("data.", "", *_SECOND)  # of an arm, and in the recipe of a store
        for leaf, neutral in (
            ("backward", False),
            ("rule", "bound"),
            ("reader", "auto"),
            ("codec.frames", "raw"),
            ("codec.flow", "raw"),
            ("codec.quality", 95),
            ("flow.aspect", "kept"),
        )
    },
}

TARGET = "_target_"  # a part's class, by its path
# A class that has moved: its path now -> its path when it was born, by which it is hashed. Old plans have the latter.
BORN: dict[str, str] = {}

_PLAIN = re.compile(r"[^.\[\]\"]+")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
_EMPTY = object()  # stands for a node without any leaves left


def born(tree: Any) -> Any:
    """A tree with each class by the path that it was born with."""
    return _renamed(tree, BORN)


def moved(tree: Any) -> Any:
    """A tree with each class by the path that it has now."""
    return _renamed(tree, {old: now for now, old in BORN.items()})


def _renamed(tree: Any, paths: Mapping[str, str]) -> Any:
    if isinstance(tree, Mapping):
        return {
            name: paths.get(one, one) if name == TARGET and isinstance(one, str) else _renamed(one, paths)
            for name, one in tree.items()
        }
    return [_renamed(one, paths) for one in tree] if isinstance(tree, list | tuple) else tree


def canonical(value: object) -> str:
    """One text per value and type (1, 1.0, true and "1" are four texts), with sorted keys."""
    return _ENCODER.encode(value)


def flatten(tree: Mapping[str, Any]) -> dict[str, Leaf]:
    """{"a": {"b": 1}, "c": [2, 3]} -> {"a.b": 1, "c[0]": 2, "c[1]": 3}.

    Two different trees never give the same leaves.
    """
    leaves: dict[str, Leaf] = {}
    _collect(tree, "", leaves)
    return leaves


def _collect(node: Any, at: str, leaves: dict[str, Leaf]) -> None:
    if isinstance(node, Mapping) and (node or not at):
        for name, child in node.items():
            if not isinstance(name, str):
                raise UserError(
                    "the keys of a config must be text", got=f"{at or 'config'}: {name!r}", hint="quote the key"
                )
            word = name if _PLAIN.fullmatch(name) else json.dumps(name)
            _collect(child, f"{at}.{word}" if at else word, leaves)
    elif isinstance(node, (list, tuple)) and node:
        for index, child in enumerate(node):
            _collect(child, f"{at}[{index}]", leaves)
    elif node is None or isinstance(node, (str, int, float, bool)):
        leaves[at] = node
    elif isinstance(node, (Mapping, list, tuple)):
        leaves[at] = {} if isinstance(node, Mapping) else []
    else:
        raise UserError("a config may have plain values only", got=f"{at}: {type(node).__name__}")


def identity(config: Mapping[str, Any], neutral: Mapping[str, Leaf] | None = None) -> dict[str, Any]:
    """The part of a config that determines a result: without `run`, without leaves at their neutral value."""
    kept = born({name: child for name, child in config.items() if name != RUN})
    left = _without_neutral(kept, "", NEUTRAL if neutral is None else neutral)
    return left if isinstance(left, dict) else {}


def _without_neutral(node: Any, at: str, neutral: Mapping[str, Leaf]) -> Any:
    """The node without its neutral leaves, or `_EMPTY`."""
    if at in neutral and canonical(node) == canonical(neutral[at]):
        return _EMPTY
    if not isinstance(node, Mapping):
        return node
    left: dict[str, Any] = {}
    for name, child in node.items():
        word = name if _PLAIN.fullmatch(str(name)) else json.dumps(name)
        rest = _without_neutral(child, f"{at}.{word}" if at else word, neutral)
        if rest is not _EMPTY:
            left[name] = rest
    # A group of neutral knobs only counts as absent; a group that was written empty stays.
    return _EMPTY if node and not left and at else left


def value(config: Mapping[str, Any], leaf: str) -> Any:
    """The value of a newer knob; in an older config that lacks it, the neutral one.

    >>> value({"layer": "relu5"}, "keep_motion"), value({"keep_motion": True}, "keep_motion")
    (False, True)
    """
    node: Any = config
    for word in leaf.split("."):
        if word not in node:
            return NEUTRAL[leaf]
        node = node[word]
    return node


def stream_optim(block: Mapping[str, Any], stream: str) -> dict[str, Any]:
    """How one stream is trained: what is written for it (`optim.streams.motion`) replaces what is for both."""
    both = {leaf: one for leaf, one in block.items() if leaf not in STREAMS}
    return both | block.get(stream, {})


def signature(config: Mapping[str, Any], neutral: Mapping[str, Leaf] | None = None) -> str:
    """16 hex digits for all that determines the result."""
    return _digest(canonical(flatten(identity(config, neutral))))


class Signer:
    """Signatures of many configs that share subtrees, each of which is read once.

    A subtree is known by its identity, so nothing that was signed may be changed while the signer lives.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[Any, list[tuple[str, str]]]] = {}

    def signature(self, config: Mapping[str, Any]) -> str:
        """The same as the function `signature` gives."""
        leaves: list[tuple[str, str]] = []
        for name, child in config.items():
            if name != RUN:
                leaves += self._leaves(name, child)
        leaves.sort()
        return _digest("{" + ",".join([text for _, text in leaves]) + "}")

    def _leaves(self, name: str, child: Any) -> list[tuple[str, str]]:
        """The leaves of a part of a config, each as (name, name and value in JSON)."""
        key = (name, id(child)) if isinstance(child, dict | list) else (name, type(child), child)
        known = self._known.get(key)
        if known is None:
            flat = flatten(identity({name: child}))
            known = child, [(leaf, f"{canonical(leaf)}:{canonical(one)}") for leaf, one in flat.items()]
            self._known[key] = known  # with the child, whose identity another object could get otherwise
        return known[1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Leaf, Leaf]]:
    """The leaves that differ, sorted by name, with both values; `ABSENT` if a side lacks it."""
    leaves_a, leaves_b = flatten(a), flatten(b)
    leaves: list[tuple[str, Leaf, Leaf]] = []
    for name in sorted({**leaves_a, **leaves_b}):
        one, other = leaves_a.get(name, ABSENT), leaves_b.get(name, ABSENT)
        if (name in leaves_a) != (name in leaves_b) or canonical(one) != canonical(other):
            leaves.append((name, one, other))
    return leaves
