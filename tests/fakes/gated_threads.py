"""Threads that run code and wait at each operation on shared files for their turn. See `interleaving.py`."""

from __future__ import annotations

import builtins
import io
import os
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from model_states import Fault, Laws, Local, Op, Step, World, names_in

Steps = dict[tuple[int, Any], Step]  # place and answer -> step

_here = threading.local()


class Stopped(BaseException):
    """Ends a thread: it has crashed, or the run is over. Cleaning up has no effect, as after SIGKILL."""


class Killed(BaseException):
    """Ends a thread's job, not the thread."""


class Actor:
    """A thread that runs the code."""

    def __init__(self, run: Run, index: int) -> None:
        self.run, self.index = run, index
        self.turn = threading.Semaphore(0)
        self.op: Op = ("begin", "")
        self.history: Any = ("begin", run.laws.roles[index])
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
        known = self.run.steps.setdefault((self.asked[0], self.reply), step)
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
            self.status = self.run.laws.body(self)
            self._stepped(("ended", str(self.status)))
            self.run.pass_on(None)
        except Stopped:
            pass
        except BaseException as error:
            with suppress(Stopped):
                self.run.stop(error)


class Run:
    """The code, run along a list of actions and then on."""

    def __init__(self, study: Path, laws: Laws, steps: Steps, script: list[str], world: World) -> None:
        self.study, self.laws, self.steps, self.script, self.world = study, laws, steps, script, world
        self.jobs = f"{study}/jobs"
        self.actors = [Actor(self, index) for index in range(len(laws.roles))]
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
        after = self.laws.happen(event, world)
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
        elif kind == "away" and path not in self.files:
            actor.answered("missing")
        else:
            if kind in ("make", "put", "move"):
                text = _read(self.jobs + path) if path.endswith(".json") else None
                self.files[path] = "" if text is None else self.laws.content(path, text)
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

_NAMES = ("stat", "lstat", "listdir", "link", "rename", "replace", "mkdir", "rmdir", "unlink", "utime", "write", "open")
_REAL: dict[str, Callable[..., Any]] = {f"os.{name}": getattr(os, name) for name in _NAMES} | {"open": builtins.open}


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
    if name in ("os.link", "os.rename", "os.replace"):
        to, source = run.shared(args[1]), run.shared(args[0])
        if to is None:
            return None if source is None else ("away", source)
        return ("make" if name == "os.link" else "put" if to.endswith(".json") else "move"), to
    path = run.shared(args[0])
    if path is None:
        return None
    if path.endswith("/.changes"):
        writes = name == "os.open" and args[1] & os.O_APPEND
        return ("append" if writes else "tail" if name == "os.open" else "skip"), path
    if name == "os.listdir":
        return "list", path
    if name in ("os.stat", "open", "os.open") and follow_symlinks and path.endswith(".json"):
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
            if name == "os.write" and actor.op[0] == "append":
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
