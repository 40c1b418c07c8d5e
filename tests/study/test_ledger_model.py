"""The ledger in all interleavings of two workers, with one event at any point: never two published, none lost or stuck.

What is driven is the code: `Worker.run` with its ledger, attempts and the file of changes; only jobs are stubs, and
whether an owner is seen as dead is an event. A store and a cohort of two arms that needs it. States (the folder and the
place of each worker) of each search, of which a run of the code had to teach some 25,500 steps in 5,000 runs:

    undisturbed                         18,537     a worker crashes, and lines of changes are there  265,623
    an arm fails                       100,540     the time limit of a worker is near                 36,411
    a worker crashes                    31,393     a job is killed (the cohort alone)                144,602
    a worker seems dead and works on   120,439

All lines of `changes` are lost but in one; `test_ledger_hints.py` has lines that are lost or wrong at random. What is
not in the model: a file system that shows a change late, and the failed records that older versions published.
"""

from __future__ import annotations

import inspect
import json
import os
import textwrap
from contextlib import suppress
from functools import cache
from types import SimpleNamespace

import pytest
from gated_threads import Killed, heard, here
from interleaving import Search
from model_states import Fault, Laws, Local, find

from fusionlab.records.files import write_text
from fusionlab.records.record import new_record, write_record
from fusionlab.study import attempt as attempts
from fusionlab.study import changes, ledger, worker
from fusionlab.study.attempt import Attempt
from fusionlab.study.lease import Leases
from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import JOB_KINDS, Arm, Job, Plan
from fusionlab.study.process_id import ProcessId

STORE = ("a", "prepare", (), ())  # id, kind, needs, arms
COHORT = ("b", "cohort", ("a",), ("x", "y"))
ALONE = ("b", "cohort", (), ("x", "y"))
ARMS = {"a": ("",), "b": ("x", "y")}  # without arms the whole is published


@cache
def make_plan(jobs):
    made = [Job(name, kind, f"jobs/{name}", needs, {"do": name}, arms) for name, kind, needs, arms in jobs]
    arms = [Arm(arm, "fused", {"fusion": arm}, arm, {"fusion": arm}, job.id) for job in made for arm in job.arms]
    return Plan.of("sweep", made, arms)


class Worker(worker._Worker):
    """A worker whose job is a stub in its own thread; an event may end the job at any of its operations."""

    def __init__(self, laws, books, study):
        super().__init__(books, study, None, None, JOB_KINDS, None, 0, 0.2, 5, 60, 60, lambda line: None)
        self.fails = laws.fails

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
                around = {"kind": "fused", "axes": {}, "signature": arm, "config": {}}
                write_record(attempt.failed / arm, new_record(name=arm, status="failed", reason="diverged", **around))
            else:
                folder.mkdir(exist_ok=True)
                (folder / "a.json").write_text("{}")
                attempt.publish(arm)


class Study(Laws):
    """Two workers of one command; a third begins when they have ended, and finds what is left."""

    def __init__(self, event="", jobs=(STORE, COHORT), fails="", hints=False):
        self.event = event  # happens once, to the first worker, at any time
        self.jobs = jobs
        self.fails = fails  # an arm that always fails
        self.hints = hints  # lines of changes are written; else all are lost
        self.roles = tuple((session, jobs, fails, hints) for session in ("now", "now", "later"))

    def body(self, actor):
        books = Ledger(actor.run.study, make_plan(self.jobs), session=self.roles[actor.index][0])
        return Worker(self, books, actor.run.study).run()

    def content(self, path, text):
        if not is_claim(path):
            return text
        claim = json.loads(text)
        return tuple(claim["arms"]), claim["session"]

    def may_begin(self, world, index):
        return index < 2 or all(one.over for one in world.actors[:2])

    def certain(self, world, index):
        """A look of the only worker that may write in a job's folder; where nobody will; and what cannot change."""
        kind, path = world.actors[index].op
        if kind in ("tail", "skip"):
            return not self.hints
        if kind == "lives":
            return path in world.dead or self.event not in ("crash", "seems dead")
        if kind != "list" or not path or self.event == "seems dead":
            return False
        job = path.split("/")[1]
        claims = open_claims(world.files, world.owners, job)
        return all(owner == index for _, owner in claims) if claims else not left_of(world.files, job)

    # events

    def events(self, world):
        first = world.actors[0]
        if "crash" in world.happened and "seen" not in world.happened:
            return ["seen!"]
        asks = first.op[0] in ("make", "append", "sleep")  # before it asks whether its time limit is near
        held = any(owner == 0 for _, owner in open_claims(world.files, world.owners))
        when = {"crash": first.op[0] != "begin", "kill": first.in_job, "near": first.in_job or asks, "seems dead": held}
        return [self.event] if not world.happened and not first.over and when.get(self.event) else []

    def happen(self, event, world):
        first, *others = world.actors
        if event in ("seen", "seems dead"):
            held = {claim for claim, owner in open_claims(world.files, world.owners) if owner == 0}
            return world._replace(dead=world.dead | held)
        if event == "crash":
            return world._replace(actors=(Local(0, ("crashed", ""), crashed=True), *others))
        return world._replace(actors=(first._replace(**{"killed" if event == "kill" else "near": True}), *others))

    # laws

    def wrote(self, before, after, index, op, content):
        kind, path = op
        job = path.split("/")[1]
        if kind == "away" or find(before.files, path) is not None:
            raise Fault(f"{'taken away' if kind == 'away' else 'written twice'}: {path}")
        if is_claim(path):
            for claim, _ in open_claims(before.files, before.owners, job):
                if claim not in before.dead:
                    raise Fault(f"two attempts at once: {claim}, {path}")
            again = set(content[0] or ("",)) - set(left_of(before.files, job))
            if again and self.event != "seems dead":  # an owner that works on may publish between look and claim
                raise Fault(f"what is published is done again: {path} {again}")

    def ended(self, world, index):
        status = int(world.actors[index].op[1])
        if status == worker.REQUEUE and index == 0 and world.happened == {"near"}:
            return
        if status != (1 if self.fails else 0):
            raise Fault(f"worker {index} ended with {status}")
        self.complete(world)

    def complete(self, world):
        for name, *_ in self.jobs:
            if left := [arm for arm in left_of(world.files, name) if not arm or arm != self.fails]:
                raise Fault(f"a worker has ended, and this is left: {name} {left}")

    def final(self, world):
        self.complete(world)
        won = []
        for claim, owner in world.owners:
            if not is_claim(claim):
                continue
            job, text = claim.split("/")[1], find(world.files, end_of(claim))
            if text is None:
                if not world.actors[owner].crashed:
                    raise Fault(f"without an end: {claim}")
                continue
            end = json.loads(text)
            won += [(job, arm) for arm in end["published"]]
            left = set(find(world.files, claim)[0]) & set(left_of(world.files, job))
            if end["differences"] or not left <= set(end["arms"]) or (end["outcome"] == "done" and end["arms"]):
                raise Fault(f"{left} is left of {claim}, which ended: {end}")
        if len(set(won)) != len(won):
            raise Fault(f"two ends say that they published it: {won}")


def is_claim(path):
    return "/claims/" in path and not path.endswith(".end.json")


def end_of(claim):
    return claim.replace(".json", ".end.json")


@cache
def open_claims(files, owners, job=""):
    """Claims without an end, with their owners."""
    claims = ((claim, owner) for claim, owner in owners if claim.startswith(f"/{job}") and is_claim(claim))
    return [(claim, owner) for claim, owner in claims if find(files, end_of(claim)) is None]


@cache
def left_of(files, job):
    """The arms of a job that are not published."""
    return [arm for arm in ARMS[job] if find(files, f"/{job}/published/{arm}".rstrip("/")) is None]


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
        if top:
            actor.history, actor.looks = hash((actor.run.laws.roles[actor.index], memory(self))), True
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
    """What the search must know of the code, and no clock, chance or process."""
    for name in ("_look", "look", "_listen", "claim", "left"):
        monkeypatch.setattr(Ledger, name, forgetful(getattr(Ledger, name)))
    monkeypatch.setattr(Ledger, "claim_next", forgetful(Ledger.claim_next, top=True))
    same = ProcessId.here()
    monkeypatch.setattr(ProcessId, "here", lambda: same)
    monkeypatch.setattr(Leases, "lives", lives)
    monkeypatch.setattr(changes.Changes, "new", new)
    for module in (attempts, ledger):
        monkeypatch.setattr(module, "note", lambda *told: here().run.laws.hints and changes.note(*told))
    still = SimpleNamespace(monotonic=lambda: 1.0, sleep=lambda seconds: here().sleep())
    for module in (ledger, worker):
        monkeypatch.setattr(module, "time", still)
    monkeypatch.setattr(ledger, "uuid", SimpleNamespace(uuid4=lambda: SimpleNamespace(int=0, hex="0")))
    return monkeypatch


def prepare(study):
    (study / "jobs").mkdir(parents=True)
    (study / "plan.json").write_text("{}")


def explore(folder, steps, **words):
    return Search(Study(**words), folder, prepare, steps).explore()


def test_one_cohort_and_a_worker_that_crashes(tmp_path, patched):
    search = explore(tmp_path, {}, event="crash", jobs=(ALONE,))
    assert len(search.parents) > 1000 and search.ends


SEARCHES = {
    "undisturbed": {},
    "an arm fails": {"fails": "y"},
    "a worker crashes": {"event": "crash"},
    "a worker crashes, and lines of changes are there": {"event": "crash", "hints": True},
    "the time limit of a worker is near": {"event": "near"},
    "a job is killed": {"event": "kill", "jobs": (ALONE,)},
    "a worker seems dead and works on": {"event": "seems dead"},
}


@pytest.mark.slow
def test_all_interleavings(tmp_path, patched):
    steps = {}  # what is learned from one is known to the next
    for name, words in SEARCHES.items():
        search = explore(tmp_path, steps, **words)
        print(f"{name}: {len(search.parents)} states, {search.ends} ends, {search.runs} runs, {len(steps)} steps")
        assert len(search.parents) > 10_000 and search.ends > 1


def changed(function, old, new):
    """A function with another text in its source."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1
    scope = dict(function.__globals__)
    exec("from __future__ import annotations\n" + source.replace(old, new), scope)
    return scope[function.__name__]


def check_and_write(path, text, sync=True):
    if path.exists():
        return False
    write_text(path, text, sync=sync)
    return True


def overwrite(result, published):
    with suppress(FileNotFoundError):
        published.rename(result.with_name("older"))
    published.parent.mkdir(exist_ok=True)
    result.rename(published)
    return True


def broken(patch, what, own=Ledger._own, claim=Ledger.claim, left=Ledger.left):
    if what == "a claim is checked, then written":
        patch.setattr(ledger, "create_exclusive", check_and_write)
    elif what == "a publication replaces another":
        patch.setattr(attempts, "publish", overwrite)
    elif what == "ends are read after publications":
        again = "        past = self._past(job, attempts)\n        done = self._published(job, attempts)\n"
        patch.setattr(Ledger, "_own", changed(own, again, "        past = self._past(job, attempts)\n"))
    elif what == "the number is of another look":
        changes_ = "Attempt(folder, state.attempts + 1)", "Attempt(folder, len(self.attempts(job_id)) + 1)"
        patch.setattr(Ledger, "claim", forgetful(changed(claim, *changes_)))
    elif what == "nobody looks at what runs":
        patch.setattr(Ledger, "_watch", lambda self: None)
    elif what == "a line decides that something is left":
        patch.setattr(Ledger, "left", forgetful(changed(left, "        self.look()", "        pass")))
    elif what == "nobody waits":
        patch.setattr(Ledger, "left", lambda self, kinds: False)
    elif what == "all owners are dead":
        patch.setattr(Leases, "lives", lambda self, attempt, claim: False)


@pytest.mark.parametrize(
    ("what", "event", "law"),
    [
        ("a claim is checked, then written", "", "written twice"),
        ("a publication replaces another", "seems dead", "taken away"),
        ("ends are read after publications", "", "done again"),
        ("the number is of another look", "", "two attempts at once"),
        ("nobody looks at what runs", "crash", "waits for ever"),
        ("a line decides that something is left", "heard", "waits for ever"),
        ("nobody waits", "", "ended with 1"),
        ("all owners are dead", "", "two attempts at once"),
    ],
)
def test_a_broken_ledger_is_found(tmp_path, patched, what, event, law):
    broken(patched, what)
    with pytest.raises(Fault, match=law):
        explore(tmp_path, {}, event=event, jobs=(ALONE,), hints=event == "heard")
