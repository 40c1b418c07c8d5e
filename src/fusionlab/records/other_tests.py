"""Other tests of a trained net: by further protocols, with a stream taken away, with other ways to combine heads.

How a net is tested is no part of its identity. Its own test, `data.sampling.test`, is in its record; those that
`run.tests`, `run.combine` and `run.ablate` ask for lie in folders `tests/<name>/` beside it, made without training.

    tests=[simonyan,frame] combine=[scores,svm]   four tests of each arm: simonyan · simonyan,combine=svm · frame · …
    ablate=[motion:mean]                          for each protocol, one with the mean input for motion
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fusionlab.errors import UserError, unknown
from fusionlab.records.signature import STREAMS

FOLDER = "tests"  # beside a record
FILE = "test.json"
OWN = "scores"  # the combination that a net makes itself
TEST, VALIDATION, TRAIN = "test", "validation", "train"
PROTOCOLS = ("middle", "frame", "final", "simonyan", "video")  # data.views says what each looks at
WAYS = ("mean", "freeze", "shuffle")  # data.ablation says what each does to a stream
# combination -> the lists, beside the test's, whose scores it chooses its numbers on
COMBINATIONS: Mapping[str, tuple[str, ...]] = {OWN: (), "logits": (), "weighted": (VALIDATION,), "svm": (TRAIN,)}
ABLATIONS = tuple(f"{stream}:{way}" for stream in STREAMS for way in WAYS)
# option of `run` -> its shorthand, what it names, its values
OPTIONS: Mapping[str, tuple[str, str, Sequence[str]]] = {
    "tests": ("test", "protocol of test views", PROTOCOLS),
    "combine": ("combine", "combination of heads", tuple(COMBINATIONS)),
    "ablate": ("ablate", "ablation of a stream", ABLATIONS),
}


@dataclass(frozen=True)
class OtherTest:
    """One test. `ablate`: stream:way, or None. `of`: the list whose videos are looked at."""

    views: str
    ablate: str | None = None
    combine: str = OWN
    of: str = TEST

    @property
    def name(self) -> str:
        """The name of its folder: simonyan · frame,ablate=motion-mean · simonyan,combine=svm · simonyan,list=train."""
        parts = [self.views]
        parts += [f"ablate={self.ablate.replace(':', '-')}"] if self.ablate else []
        parts += [f"combine={self.combine}"] if self.combine != OWN else []
        parts += [f"list={self.of}"] if self.of != TEST else []
        return ",".join(parts)

    @property
    def stream(self) -> str | None:
        """The stream that is taken away."""
        return self.ablate and self.ablate.partition(":")[0]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Asked:
    """What is asked of every net of a study; empty: its own test only."""

    tests: tuple[str, ...] = ()
    combine: tuple[str, ...] = ()
    ablate: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> Asked:
        """From the `run` of a config; plans of older versions ask for nothing."""
        lists = {}
        for option, (word, what, known) in OPTIONS.items():
            values = run.get(option) or ()
            for value in values:
                if value not in known:
                    raise unknown(what, str(value), known, form=f"{word}={{}}")
            if twice := [value for value in values if list(values).count(value) > 1]:
                raise UserError(f"{word}= names a value twice", got=twice[0], hint=f"{word}={twice[0]} once")
            lists[option] = tuple(values)
        return cls(**lists)

    @classmethod
    def typed(cls, words: Sequence[str]) -> tuple[Asked, list[str]]:
        """From words like test=simonyan,final; and the words that are others."""
        options = {word: option for option, (word, *_) in OPTIONS.items()}
        own = [word for word in words if word.partition("=")[0] in options and "=" in word]
        run: dict[str, list[str]] = {}
        for word in own:
            name, _, values = word.partition("=")
            if options[name] in run:
                raise UserError("an option is given twice", got=name, hint=f"one list: {name}=a,b")
            run[options[name]] = values.strip("[]").split(",")
        return cls.of(run), [word for word in words if word not in own]

    def __bool__(self) -> bool:
        return bool(self.tests or self.combine or self.ablate)

    @property
    def words(self) -> list[str]:
        """As it is typed."""
        return [f"{OPTIONS[option][0]}={','.join(one)}" for option, one in asdict(self).items() if one]

    def protocols(self, own: str) -> tuple[str, ...]:
        """`own`: the protocol of the net's own test."""
        return self.tests or (own,)

    def shown(self, own: str) -> list[OtherTest]:
        """The tests that are rows of tables, among them perhaps its own."""
        return [OtherTest(views, combine=c) for views in self.protocols(own) for c in self.combine or (OWN,)]

    def axes(self, test: OtherTest) -> dict[str, str]:
        """The axes that tell the rows of `shown` apart."""
        protocol = {"test": test.views} if len(self.tests) > 1 else {}
        return {**protocol, **({"combine": test.combine} if len(self.combine) > 1 else {})}

    @property
    def shown_axes(self) -> list[dict[str, str]]:
        """These axes of each test."""
        return [self.axes(test) for test in self.shown("")]

    def ablated(self, own: str, stream: str | None = None) -> list[OtherTest]:
        """Those with a stream taken away. `stream`: the only one that the net reads; it does not miss the other."""
        tests = [OtherTest(views, ablate) for views in self.protocols(own) for ablate in self.ablate]
        return [test for test in tests if stream in (None, test.stream)]

    def measured(self, own: str, stream: str | None = None, heads: bool = True) -> list[OtherTest]:
        """Those that the network computes, without its own test. `heads`: whether its scores of other lists are asked.

        A combination of the scores of other tests needs no network.
        """
        views = [OtherTest(views) for views in self.protocols(own) if views != own]
        needs = dict.fromkeys(of for combine in self.combine for of in COMBINATIONS[combine] if heads)
        lists = [OtherTest(views, of=of) for views in self.protocols(own) for of in needs]
        return [*views, *lists, *self.ablated(own, stream)]
