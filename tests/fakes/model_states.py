"""The states of a model of workers on shared files, and the rules of a file system. See `interleaving.py`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from gated_threads import Actor

Op = tuple[str, str]  # kind and path; of an actor that has ended: "ended" and its status
WRITES = ("make", "put", "move", "away", "append")


class Fault(AssertionError):
    """A law that an interleaving breaks."""


class Local(NamedTuple):
    """An actor in a state. `changed`: something was written since it began to look."""

    place: int
    op: Op
    in_job: bool = False
    changed: bool = True
    fruitless: int = 0  # looks in vain
    unread: tuple[str, ...] = ()  # lines of the file of changes
    crashed: bool = False
    killed: bool = False
    near: bool = False  # its time limit

    @property
    def over(self) -> bool:
        return self.crashed or self.op[0] == "ended"

    @property
    def sleeps(self) -> bool:
        return self.op[0] == "sleep" and not self.changed


class World(NamedTuple):
    """A state of all. `dead`: claims whose owners are seen as dead."""

    actors: tuple[Local, ...]
    files: frozenset[tuple[str, Any]] = frozenset()
    owners: frozenset[tuple[str, int]] = frozenset()  # of files that were created exclusively
    happened: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()


class Step(NamedTuple):
    """What an actor does after an answer: what it has written, and where it waits next."""

    content: Any
    place: int
    op: Op
    in_job: bool
    looks: bool  # it has begun to look meanwhile


class Laws:
    """What may happen, and what must hold. `body` runs in a thread."""

    roles: tuple[str, ...] = ("worker", "worker")  # those of one role run the same code

    def body(self, actor: Actor) -> int:
        raise NotImplementedError

    def content(self, path: str, text: str) -> Any:
        """What matters of a file, hashable."""
        return text

    def may_begin(self, world: World, index: int) -> bool:
        return True

    def certain(self, world: World, index: int) -> bool:
        """Whether an operation commutes with all that others may do from now on."""
        return False

    def events(self, world: World) -> list[str]:
        """Events that may happen; with `!` if it must, before one waits in vain."""
        return []

    def happen(self, event: str, world: World) -> World:
        return world

    def wrote(self, before: World, after: World, index: int, op: Op, content: Any) -> None:
        """Check a write."""

    def ended(self, world: World, index: int) -> None:
        """Check a worker's end."""

    def final(self, world: World) -> None:
        """Check a state in which nothing can happen."""


@cache
def names_of(files: frozenset[tuple[str, Any]], folder: str) -> tuple[str, ...]:
    return names_in(files, folder)


def names_in(files: Iterable[tuple[str, Any]], folder: str) -> tuple[str, ...]:
    """What a list of a folder shows. What was published as a whole has some content."""
    below = {name[len(folder) + 1 :].partition("/")[0] for name, _ in files if name.startswith(f"{folder}/")}
    return tuple(sorted(below)) or (("…",) if any(name == folder for name, _ in files) else ())


@cache
def find(files: frozenset[tuple[str, Any]], path: str) -> Any:
    """The content of a file; None if it is not there."""
    return next((content for name, content in files if name == path), None)


def answer(world: World, index: int) -> tuple[Any, ...]:
    """The answer of the file system to an actor's operation."""
    one = world.actors[index]
    kind, path = one.op
    if one.in_job and (one.killed or one.near):
        return ("killed", one.near)
    if kind == "list":
        return ("names", names_of(world.files, path), one.near)
    if kind == "look":
        return ("content", find(world.files, path), one.near)
    if kind == "lives":
        return ("lives", path not in world.dead, one.near)
    if kind == "tail":
        return ("lines", one.unread, one.near)
    if kind in ("make", "move") and find(world.files, path) is not None:
        return ("exists", one.near)
    if kind == "away" and find(world.files, path) is None:
        return ("missing", one.near)
    return ("done", one.near)
