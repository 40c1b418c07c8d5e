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

import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path

from gated_threads import Run, Steps, gates
from model_states import Fault, Laws, Local, World, answer, find

WRITES = ("make", "put", "move", "away", "append")
LOOKS = 6  # in vain, alone: then a worker waits for ever


class Search:
    """Breadth-first through all states; runs of the code teach it the steps that it does not know."""

    def __init__(self, laws: Laws, folder: Path, prepare: Callable[[Path], object], steps: Steps) -> None:
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
            Run(study, self.laws, self.steps, script[::-1], world).wait()
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
