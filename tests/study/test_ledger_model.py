from __future__ import annotations

import inspect
import json
import os
import textwrap
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from interleaving import Fault, Killed, Laws, Local, Search, find, heard, here

from fusionlab.records import files
from fusionlab.records.files import write_text
from fusionlab.records.record import new_record, write_record
from fusionlab.study import attempt as attempts
from fusionlab.study import changes, ledger, worker
from fusionlab.study.attempt import Attempt
from fusionlab.study.lease import Leases
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import JOB_KINDS, Arm, Job, Plan
from fusionlab.study.process_id import ProcessId

JOBS = (("a", "prepare", (), ()), ("b", "cohort", ("a",), ("x", "y")))


def make_plan():
    jobs = [Job(name, kind, f"jobs/{name}", needs, {"do": name}, arms) for name, kind, needs, arms in JOBS]
    arms = [Arm(arm, "fused", {"fusion": arm}, arm, {"fusion": arm}, job.id) for job in jobs for arm in job.arms]
    return Plan.of("sweep", jobs, arms)


PLAN = make_plan()


class Worker(worker._Worker):
    """A worker whose job is a stub in its own thread; an event may end the job at any of its operations."""

    def __init__(self, books, study, fails):
        super().__init__(books, study, None, None, JOB_KINDS, None, 0, 0.2, 5, 60, 60, lambda line: None)
        self.fails = fails

    def stopping(self):
        return here().near

    def _child(self, job_id, attempt):
        actor, stopped, status = here(), None, 0
        try:
            actor.in_job = True
            self.job(attempt)
        except Killed:
            stopped, status = (worker.STOPPED, 143) if actor.near else (None, -9)
        actor.in_job = actor.killed = False
        return self._outcome(job_id, attempt, stopped, status)

    def job(self, attempt):
        for arm in attempt.arms or (None,):
            folder = attempt.result / arm if arm else attempt.result
            if arm and arm == self.fails:
                record = new_record(
                    name=arm, kind="fused", axes={}, signature=arm, config={}, status="failed", reason="diverged"
                )
                write_record(attempt.failed / arm, record)
            else:
                folder.mkdir(exist_ok=True)
                (folder / "a.json").write_text("{}")
                attempt.publish(arm)


class Study(Laws):
    """Two workers of one command; a third begins when they have ended, and finds what is left."""

    @property
    def roles(self):
        return tuple((session, self.fails, self.hints) for session in ("now", "now", "later"))

    crash = kill = near = False  # events, once each, to the first worker: at any time
    false_death = False  # the first worker's attempt seems dead while it works
    fails = ""  # an arm that always fails
    hints = False  # lines of changes are written; else all are lost

    def body(self, actor):
        books = Ledger(actor.run.study, PLAN, session=self.roles[actor.index][0])
        return Worker(books, actor.run.study, self.fails).run()

    def may_begin(self, world, index):
        return index < 2 or all(one.over for one in world.actors[:2])

    def certain(self, world, index):
        """A look of the only worker that may write in a job's folder."""
        kind, path = world.actors[index].op
        if kind in ("tail", "skip"):
            return not self.hints
        if kind == "lives":
            return path in world.dead or not (self.crash or self.false_death)
        if kind != "list" or not path or self.false_death:
            return False
        job = path.split("/")[1]
        claims = open_claims(world.files, world.owners, job)
        return all(owner == index for _, owner in claims) if claims else is_complete(world.files, job)

    def events(self, world):
        first, new = world.actors[0], []
        working = not first.over and first.op[0] != "begin"
        held = [claim for claim, owner in open_claims(world.files, world.owners) if owner == 0]
        if self.crash and working and "crash" not in world.happened:
            new.append("crash")
        if "crash" in world.happened and "seen" not in world.happened:
            new.append("seen!")
        if self.kill and first.in_job and "kill" not in world.happened:
            new.append("kill")
        heeds = first.in_job or first.op[0] in ("append", "sleep", "make")  # it asks at the beginning of a look
        if self.near and working and heeds and "near" not in world.happened:
            new.append("near")
        if self.false_death and held and "seems dead" not in world.happened:
            new.append("seems dead")
        return new

    def happen(self, event, world):
        first, *others = world.actors
        if event == "crash":
            return world._replace(actors=(Local(0, ("crashed", ""), crashed=True), *others))
        if event in ("kill", "near"):
            flag = {"killed" if event == "kill" else "near": True}
            return world._replace(actors=(first._replace(**flag), *others))
        held = {claim for claim, owner in open_claims(world.files, world.owners) if owner == 0}
        return world._replace(dead=world.dead | held)

    # laws

    def content(self, path, text):
        if not is_claim(path):
            return text
        claim = json.loads(text)
        return tuple(claim["arms"]), claim["session"]

    def wrote(self, before, after, index, op, content):
        kind, path = op
        job = path.split("/")[1]
        if kind == "away":
            raise Fault(f"taken away: {path}")
        if find(before.files, path) is not None:
            raise Fault(f"written twice: {path}")
        if is_claim(path):
            for claim, _ in open_claims(before.files, before.owners, job):
                if claim not in before.dead:
                    raise Fault(f"two attempts at once: {claim}, {path}")
            again = [arm for arm in content[0] or ("",) if self.is_published(before, job, arm)]
            if again and not self.false_death:
                raise Fault(f"what is published is done again: {path} {again}")

    @staticmethod
    def is_published(world, job, arm):
        return find(world.files, f"/{job}/published/{arm}".rstrip("/")) is not None

    def ended(self, world, index):
        status = int(world.actors[index].op[1])
        if status == worker.REQUEUE:
            if "near" not in world.happened or index != 0:
                raise Fault("a worker asks to be started again")
            return
        if status != (1 if self.fails else 0):
            raise Fault(f"worker {index} ended with {status}")
        self.complete(world)

    def complete(self, world):
        for name, _, _, arms in JOBS:
            for arm in arms or ("",):
                if not self.is_published(world, name, arm) and (not arm or arm != self.fails):
                    raise Fault(f"a worker has ended, and this is left: {name} {arm}")

    def final(self, world):
        self.complete(world)
        won = []
        for claim, owner in world.owners:
            if not is_claim(claim):
                continue
            text = find(world.files, end_of(claim))
            if text is None:
                if not world.actors[owner].crashed:
                    raise Fault(f"without an end: {claim}")
                continue
            end = json.loads(text)
            arms = find(world.files, claim)[0]
            won += [(claim.split("/")[1], arm) for arm in end["published"]]
            if end["differences"]:
                raise Fault(f"differs: {end}")
            left = [arm for arm in arms if not self.is_published(world, claim.split("/")[1], arm)]
            if end["outcome"] == "done" and left or end["outcome"] == "failed" and set(left) != set(end["arms"]):
                raise Fault(f"{left} is not published: {end}")
        if len(set(won)) != len(won):
            raise Fault(f"two ends say that they published it: {won}")


@cache
def open_claims(files, owners, job=""):
    """Claims without an end, with their owners."""
    claims = ((claim, owner) for claim, owner in owners if claim.startswith(f"/{job}") and is_claim(claim))
    return [(claim, owner) for claim, owner in claims if find(files, end_of(claim)) is None]


@cache
def is_complete(files, job):
    arms = next(arms for name, _, _, arms in JOBS if name == job)
    return all(find(files, f"/{job}/published/{arm}".rstrip("/")) is not None for arm in arms or ("",))


def is_claim(path):
    return "/claims/" in path and not path.endswith(".end.json")


def end_of(claim):
    return claim.replace(".json", ".end.json")


def memory(books):
    """What a ledger remembers, without what it could read again with the same result."""
    states = books._states
    own = tuple(
        (state.name, state.attempts, frozenset(state.failed), state.published) for state in states._own.values()
    )
    said = tuple(frozenset(jobs) for jobs in books._said_done.values())
    ended = tuple(books._ended.items())
    return own, tuple(states.running), ended, said, frozenset(books._done), bool(books._next_look)


def summary(result):
    if isinstance(result, tuple):
        return tuple(map(summary, result))
    return result.number if isinstance(result, Attempt) else result if isinstance(result, (str, bool)) else None


def forgetful(function, top=False):
    """Of what a function has read, its result and the ledger's memory are left: the rest is forgotten."""

    def wrapped(self, *args, **words):
        actor = here()
        if actor is None:
            return function(self, *args, **words)
        if top:
            actor.history, actor.looks = hash((actor.run.search.laws.roles[actor.index], memory(self))), True
        before = actor.history
        result = function(self, *args, **words)
        self._read.clear()
        self._sound.clear()
        named = args[:1] if function.__name__ in ("_look", "claim") else None
        actor.history = hash((before, function.__name__, named, summary(result), memory(self)))
        return result

    return wrapped


def lives(self, attempt, claim):
    actor = here()
    path = os.fspath(attempt.claim_file).removeprefix(actor.run.jobs)
    actor.gate(("lives", path))
    actor.answered("lives", path not in actor.run.dead)
    return actor.reply[1]


def new(self, real=changes.Changes.new):
    lines = real(self)
    assert lines is not None
    heard(f"{word} {os.path.basename(folder)}" for folder, word in lines)
    return lines


@pytest.fixture
def patched(monkeypatch):
    for name in ("_look", "look", "_listen", "claim", "left"):
        monkeypatch.setattr(Ledger, name, forgetful(getattr(Ledger, name)))
    monkeypatch.setattr(Ledger, "claim_next", forgetful(Ledger.claim_next, top=True))
    same = ProcessId.here()
    monkeypatch.setattr(ProcessId, "here", lambda: same)
    monkeypatch.setattr(Leases, "lives", lives)
    monkeypatch.setattr(changes.Changes, "new", new)
    for module in (attempts, ledger):
        monkeypatch.setattr(module, "note", lambda *told: here().run.search.laws.hints and changes.note(*told))
    still = SimpleNamespace(monotonic=lambda: 1.0, sleep=lambda seconds: here().sleep())
    for module in (ledger, worker):
        monkeypatch.setattr(module, "time", still)
    monkeypatch.setattr(ledger, "uuid", SimpleNamespace(uuid4=lambda: SimpleNamespace(int=0, hex="0")))
    return monkeypatch


def prepare(study):
    (study / "jobs").mkdir(parents=True)
    (study / "plan.json").write_text("{}")


def explore(folder, laws):
    return Search(laws(), folder, prepare).explore()


class Crash(Study):
    crash = True


class CrashHints(Crash):
    hints = True


class Near(Study):
    near = True


class Kill(Study):
    kill = True


class FalseDeath(Study):
    false_death = True


class Fails(Study):
    fails = "y"


STEPS = {}
@pytest.mark.parametrize("laws", [Study, Fails, Crash, Near, Kill, FalseDeath, CrashHints])
def test_model(tmp_path, patched, laws):
    import time as t

    begun, cpu = t.perf_counter(), t.process_time()
    search = Search(laws(), tmp_path, prepare, STEPS)
    try:
        search.explore()
    finally:
        print(
            laws.__name__,
            "runs",
            search.runs,
            "states",
            len(search.parents),
            "steps",
            len(search.steps),
            "ends",
            search.ends,
            round(t.perf_counter() - begun, 1),
            round(t.process_time() - cpu, 1),
        )
