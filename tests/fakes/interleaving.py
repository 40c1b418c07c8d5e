"""All interleavings of a few workers at their operations on shared files, learned from the code as it is.

The code under test runs for real, in threads: each operation of `os` and `open` on a study's shared files is a gate, at
which a thread waits for its turn. What a thread does from one gate to the next depends on its place and on the answer
to its operation only; this step is recorded. The search goes through all states (the shared files, the place of each
thread, what has happened) by recorded steps, and answers operations by the rules of a file system: exclusive create,
rename onto what is there, list. Where a step is not known, the code is run to that state and learned from; the answers
of the real files must be those of the rules, and the same step must always come out the same.

Not a choice, as it commutes with all that others may do: a look at a file that is there, since such a file never
changes or vanishes (which is checked).
"""

from __future__ import annotations

import builtins
import io
import os
import shutil
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from collections import deque
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

Op = tuple[str, str]  # kind and path; of an actor that has ended: "ended" and its status
WRITES = ("make", "put", "move", "away", "append")
LOOKS = 6  # in vain, alone: then a worker waits for ever

_here = threading.local()


class Fault(AssertionError):
    """A law that an interleaving breaks."""


class Stopped(BaseException):
    """Ends a thread: it has crashed, or the run is over. Cleaning up has no effect, as after SIGKILL."""


class Killed(BaseException):
    """Ends a thread's job, not the thread."""


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


class Search:
    """Depth-first through all states; runs of the code teach it the steps that it does not know."""

    def __init__(
        self, laws: Laws, folder: Path, prepare: Callable[[Path], object], steps: dict[tuple[int, Any], Step]
    ) -> None:
        self.laws, self.folder, self.prepare = laws, folder, prepare
        self.steps = steps  # (place, answer) -> step; what is known already, of the same roles
        self.parents: dict[World, tuple[World, str] | None] = {}
        self.runs = self.ends = 0

    def explore(self) -> Search:
        start = World(tuple(Local(hash(("begin", role)), ("begin", "")) for role in self.laws.roles))
        self.parents[start] = None
        left = deque([start])  # the shortest stories first
        with gates():
            while left:
                world = left.popleft()
                try:
                    for action in self.actions(world):
                        after = self.after(world, action)
                        if after not in self.parents:
                            self.parents[after] = world, action
                            left.append(after)
                except Fault as fault:
                    raise Fault("\n".join([str(fault), *self.story(world)])) from None
        return self

    def actions(self, world: World) -> list[str]:
        """Indices of actors, and events. Who sleeps is woken by a change, or if nothing else can happen."""
        live = [index for index, one in enumerate(world.actors) if not one.over and self.laws.may_begin(world, index)]
        for index in live:
            op = world.actors[index].op
            if (op[0] == "look" and find(world.files, op[1]) is not None) or self.laws.certain(world, index):
                return [str(index)]
        events = self.laws.events(world)
        if awake := [index for index in live if not world.actors[index].sleeps]:
            return [*map(str, awake), *(event.rstrip("!") for event in events)]
        if musts := [event.rstrip("!") for event in events if event.endswith("!")]:
            return musts
        if not live:
            self.ends += 1
            self.laws.final(world)
            return []
        first = min(live, key=lambda index: world.actors[index].fruitless)
        if world.actors[first].fruitless > LOOKS:
            raise Fault(f"worker {first} waits for ever")
        return [str(first), *events]

    def after(self, world: World, action: str) -> World:
        if not action.isdecimal():
            changed = tuple(one._replace(changed=True) for one in world.actors)
            return self.laws.happen(action, world._replace(actors=changed, happened=world.happened | {action}))
        index = int(action)
        one = world.actors[index]
        reply = answer(world, index)
        step = self.steps.get((one.place, reply))
        if step is None:
            self.learn(world, action)
            step = self.steps[one.place, reply]
        files, owners, actors = world.files, world.owners, list(world.actors)
        kind, path = one.op
        done = kind in WRITES and reply[0] == "done"
        if done and kind == "append":
            for at, other in enumerate(actors):
                if other.op[0] != "begin" and not other.over:
                    actors[at] = other._replace(unread=(*other.unread, step.content))
        elif done:
            files = frozenset(pair for pair in files if pair[0] != path)
            if kind != "away":
                files |= {(path, step.content)}
            if kind == "make":
                owners |= {(path, index)}
        if done or step.op[0] == "ended":
            actors = [other if other.changed else other._replace(changed=True) for other in actors]
        unread = () if kind in ("tail", "skip") else actors[index].unread
        changed = actors[index].changed and not step.looks
        fruitless = 0 if changed else one.fruitless
        if step.op[0] == "sleep" and not changed:
            fruitless += 1
        actors[index] = Local(
            step.place, step.op, step.in_job, changed, fruitless, unread,
            killed=one.killed and step.in_job, near=one.near,
        )  # fmt: skip
        if step.op[0] == "ended":
            actors[index] = Local(0, step.op)
        after = world._replace(actors=tuple(actors), files=files, owners=owners)
        if done and kind != "append":
            self.laws.wrote(world, after, index, one.op, step.content)
        if step.op[0] == "ended":
            self.laws.ended(after, index)
        return after

    def learn(self, world: World, action: str) -> None:
        """Run the code to this state, do the action, and go on for as long as steps are learned."""
        script = [action]
        at: World = world
        while (parent := self.parents[at]) is not None:
            at, one = parent
            script.append(one)
        self.runs += 1
        study = self.folder / "study"
        self.prepare(study)
        try:
            Run(study, self, script[::-1], world).wait()
        finally:
            shutil.rmtree(study)

    def story(self, world: World) -> list[str]:
        """How this state came about."""
        lines = []
        while (parent := self.parents[world]) is not None:
            world, action = parent
            op = world.actors[int(action)].op if action.isdecimal() else ("", "")
            lines.append(f"{action} {op[0]} {op[1]}")
        return lines[::-1]


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
    return ("done", one.near)


class Actor:
    """A thread that runs the code."""

    def __init__(self, run: Run, index: int) -> None:
        self.run, self.index = run, index
        self.turn = threading.Semaphore(0)
        self.op: Op = ("begin", "")
        self.history: Any = ("begin", run.search.laws.roles[index])
        self.place = hash(self.history)
        self.crashed = self.killed = self.near = self.in_job = self.looks = False
        self.status: int | None = None
        self.asked: tuple[int, Op] | None = None  # the last operation's place
        self.reply: tuple[Any, ...] = ()
        self.content: Any = None
        self.thread = threading.Thread(target=self._main, daemon=True)

    def fold(self, *seen: Any) -> None:
        self.history = hash((self.history, *seen))

    def answered(self, *reply: Any, content: Any = None) -> None:
        """The answer to the operation at the last gate."""
        self.reply, self.content = (*reply, self.near), content
        self.fold(self.op, self.reply)

    def gate(self, op: Op) -> None:
        """Wait here until it is this thread's turn."""
        self._stepped(op)
        self.op = op
        self.run.pass_on(self)
        if self.crashed or self.run.over:
            raise Stopped
        self.asked, self.looks = (self.place, op), False
        if self.in_job and (self.killed or self.near):
            self.answered("killed")
            raise Killed

    def _stepped(self, op: Op) -> None:
        self.place = hash((self.history, op, self.in_job))
        if self.asked is None:
            return
        step = Step(self.content, self.place, op, self.in_job, self.looks)
        known = self.run.search.steps.setdefault((self.asked[0], self.reply), step)
        assert known == step, f"one step, two ends: {self.asked[1]} {self.reply}: {known} {step}"

    def sleep(self, _seconds: float = 0) -> None:
        self.gate(("sleep", ""))
        self.answered("done")

    def _main(self) -> None:
        _here.actor = self
        self.turn.acquire()
        try:
            if self.run.over or self.crashed:
                return
            self.asked = self.place, self.op
            self.answered("done")
            self.status = self.run.search.laws.body(self)
            self._stepped(("ended", str(self.status)))
            self.run.pass_on(None)
        except Stopped:
            pass
        except BaseException as error:
            with suppress(Stopped):
                self.run.stop(error)


class Run:
    """The code, run along a list of actions and then on."""

    def __init__(self, study: Path, search: Search, script: list[str], world: World) -> None:
        self.study, self.search, self.script, self.world = study, search, script, world
        self.jobs = f"{study}/jobs"
        self.actors = [Actor(self, index) for index in range(len(search.laws.roles))]
        self.files: dict[str, Any] = {}
        self.owners: dict[str, int] = {}
        self.dead: frozenset[str] = frozenset()
        self.at = 0
        self.over = False
        self.fault: BaseException | None = None
        self.finished = threading.Semaphore(0)

    def wait(self) -> None:
        with suppress(Stopped):
            self.pass_on(None)
        self.finished.acquire()
        self.over = True
        for actor in self.actors:
            if actor.thread.ident is not None:
                actor.turn.release()
                actor.thread.join()
        if self.fault:
            raise Fault("".join(traceback.format_exception(self.fault)))

    def stop(self, error: BaseException) -> NoReturn:
        """End the run with a fault, in the thread that found it."""
        self.fault, self.over = error, True
        self.finished.release()
        raise Stopped

    def pass_on(self, actor: Actor | None) -> None:
        """Hand over to whose turn it is, and wait for the next turn."""
        try:
            chosen = self._chosen(actor)
        except Exception as error:
            self.stop(error)
        if chosen is not actor or actor is None:
            if chosen is not None and chosen.thread.ident is None:
                chosen.thread.start()
            (self.finished if chosen is None else chosen.turn).release()
            if actor is not None:
                actor.turn.acquire()

    def _chosen(self, last: Actor | None) -> Actor | None:
        while self.at < len(self.script):
            action = self.script[self.at]
            if self.at == len(self.script) - 1:
                for actor, local in zip(self.actors, self.world.actors, strict=True):
                    assert actor.crashed or local.over or (actor.place, actor.op) == local[:2], "a replay went astray"
            self.at += 1
            if action.isdecimal():
                return self.actors[int(action)]
            self._happen(action)
        # Beyond the script: this thread goes on until it sleeps or ends.
        if last is None or last.status is not None or last.crashed or last.op[0] == "sleep":
            return None
        return last

    def _happen(self, event: str) -> None:
        """Let the law of an event work on this run's actors."""
        locals_ = tuple(Local(one.place, one.op, one.in_job) for one in self.actors)
        world = World(locals_, frozenset(self.files.items()), frozenset(self.owners.items()), dead=self.dead)
        after = self.search.laws.happen(event, world)
        self.dead = after.dead
        for actor, local in zip(self.actors, after.actors, strict=True):
            actor.crashed = actor.crashed or local.crashed
            actor.killed = actor.killed or local.killed
            actor.near = actor.near or local.near

    def operate(self, actor: Actor, op: Op | None, real: Callable[..., Any], args: Any, words: Any) -> Any:
        if actor.crashed or self.over:
            raise Stopped
        if op is None:
            return real(*args, **words)
        actor.gate(op)
        kind, path = op
        try:
            result = real(*args, **words)
        except FileNotFoundError:
            self._answer(actor, op, None)
            raise
        except OSError:
            actor.answered("exists")
            raise
        self._answer(actor, op, result)
        if kind == "list" and path and not actor.reply[1]:
            raise FileNotFoundError(path)  # an empty folder is as none, so that it is no state of its own
        return [name for name in result if name in actor.reply[1]] if kind == "list" and not path else result

    def _answer(self, actor: Actor, op: Op, result: Any) -> None:
        kind, path = op
        if kind == "list":
            names, visible = names_in(self.files.items(), path), _visible(result or ())
            assert names == visible or not path or (names == ("…",) and visible), (
                f"{path}: {names}, and {visible} on disk"
            )
            actor.answered("names", names)
        elif kind == "look":
            actor.answered("content", None if result is None else self.files[path])
        elif kind == "tail":
            pass  # see `heard`
        else:
            if kind in ("make", "put", "move"):
                text = _read(self.jobs + path) if path.endswith(".json") else None
                self.files[path] = "" if text is None else self.search.laws.content(path, text)
            if kind == "make":
                self.owners[path] = actor.index
            if kind == "away":
                del self.files[path]
            actor.answered("done", content=self.files[path] if kind in ("make", "put", "move") else None)

    def shared(self, path: Any) -> str | None:
        """The path, if it is one that others read."""
        if isinstance(path, int):
            return None
        text = os.fspath(path)
        if not text.startswith(self.jobs) or text.endswith((".tmp", ".beat")) or "/attempts" in text:
            return None
        return None if text.endswith(PRIVATE) else text.removeprefix(self.jobs)


# All write the same job.json; the stubs leave no run.json; a file in a publication is there as long as that is.
PRIVATE = ("/job.json", "/run.json", "/a.json")

_REAL: dict[str, Callable[..., Any]] = {
    **{name: getattr(os, name) for name in ("stat", "lstat", "listdir", "link", "rename", "replace", "mkdir")},
    **{
        "write": os.write,
        "unlink": os.unlink,
        "utime": os.utime,
        "rmdir": os.rmdir,
        "os.open": os.open,
        "open": builtins.open,
    },
}


def _visible(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if not name.endswith((".tmp", ".beat")) and name != ".changes"))


def heard(lines: Iterable[str]) -> None:
    """The answer to the operation "tail"."""
    if (actor := here()) is not None and actor.op[0] == "tail":
        actor.answered("lines", tuple(lines))


def _read(path: str) -> str:
    with _REAL["open"](path, encoding="utf-8") as file:
        return str(file.read())


def _classify(run: Run, name: str, args: Any, follow_symlinks: bool = True, **_: Any) -> Op | None:
    if name in ("link", "rename", "replace"):
        to, source = run.shared(args[1]), run.shared(args[0])
        if to is None:
            return None if source is None else ("away", source)
        return ("make" if name == "link" else "put" if to.endswith(".json") else "move"), to
    path = run.shared(args[0])
    if path is None:
        return None
    if path.endswith("/.changes"):
        writes = name == "os.open" and args[1] & os.O_APPEND
        return ("append" if writes else "tail" if name == "os.open" else "skip"), path
    if name == "listdir":
        return "list", path
    if name in ("stat", "open", "os.open") and follow_symlinks and path.endswith(".json"):
        creates = name == "open" and len(args) > 1 and args[1][0] in "xwa"
        return ("make" if creates else "look"), path
    return None


@contextmanager
def gates() -> Iterator[None]:
    """Operations of `os` and `open` are gates for the threads of a run; others are not affected."""

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **words: Any) -> Any:
            actor = here()
            if actor is None:
                return real(*args, **words)
            if name == "write" and actor.op[0] == "append":
                actor.content = args[1].decode().strip()
            return actor.run.operate(actor, _classify(actor.run, name, args, **words), real, args, words)

        return wrapped

    def install(name: str, function: Any) -> None:
        if name == "open":
            builtins.open = io.open = function
        else:
            setattr(os, name.removeprefix("os."), function)

    fsync = os.fsync
    for name, real in _REAL.items():
        install(name, wrap(name, real))
    os.fsync = lambda handle: None  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync = fsync
        for name, real in _REAL.items():
            install(name, real)


def here() -> Actor | None:
    return getattr(_here, "actor", None)
