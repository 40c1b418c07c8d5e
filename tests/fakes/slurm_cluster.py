"""A real SLURM on one machine: a head, nodes with GPUs that only look like some, and a login machine.

Each machine is a set of Linux namespaces: its own host name, processes and mounts, so that a worker of another machine
cannot be seen by pid, and a machine that is switched off loses all its processes at once. They share one network, which
is nothing but loopback. A machine ends when its pipe is closed, so nothing is left of it where the tests were killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "unshare", "nsenter", "ip")
NODES, CPUS, GPUS = 2, 4, 2  # GPUs and CPUs of each node
PORT = 17000
LIMIT = 150.0  # seconds; what is waited for takes much less, also on a busy machine
SLURMD_TIMEOUT = 15  # seconds after which a node that does not answer is down

# The first process of a machine: it reaps orphans and ends with its pipe. Its end ends all processes of its namespace.
_INIT = """
import signal, socket, sys
socket.sethostname(sys.argv[1])
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("up", flush=True)
sys.stdin.read()
"""


def missing() -> str | None:
    """Why there can be no cluster here."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"SLURM's programs are missing: {', '.join(absent)} (apt-get install slurm-wlm munge iproute2)"
    return None if os.geteuid() == 0 else "only root can start a SLURM here"


def until(
    happened: Callable[[], T], what: str, command: subprocess.Popen[str] | None = None, limit: float = LIMIT
) -> T:
    """Wait for a condition, and return what it returned.

    The test fails after `limit` seconds, or where the command ends that should make it happen.
    """
    end = time.monotonic() + limit
    while not (value := happened()):
        if command is not None and command.poll() is not None and not happened():
            out, err = command.communicate()
            raise AssertionError(f"the command ended before it happened: {what}\n{out}\n{err}")
        assert time.monotonic() < end, f"it did not happen within {limit:g} s: {what}"
        time.sleep(0.1)
    return value


@dataclass
class Machine:
    """A host with its own name and mounts; `own_processes`: its processes too, else those of this machine."""

    name: str
    first: subprocess.Popen[str]  # of it the namespaces' first process is the child
    pid: int  # of the first process
    kinds: tuple[str, ...]

    @classmethod
    def start(cls, name: str, inside: Machine | None = None, own_processes: bool = True) -> Machine:
        flags = ["--mount", "--uts", *(["--pid", "--fork", "--kill-child", "--mount-proc"] if own_processes else [])]
        enter = ["--net"] if inside is None else []
        words = ["unshare", *flags, *enter, sys.executable, "-c", _INIT, name]
        first = subprocess.Popen(
            [*inside.enter(), *words] if inside else words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert first.stdout is not None
        assert (said := first.stdout.readline()) == "up\n", f"the machine {name} does not start: {said}"
        pid = first.pid
        if own_processes:
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])
        return cls(name, first, pid, ("-n", "-m", "-u", *(("-p",) if own_processes else ())))

    def enter(self) -> list[str]:
        """The words before a command that runs on this machine."""
        return ["nsenter", "-t", str(self.pid), *self.kinds, "--"]

    def run(self, *words: str, check: bool = True, variables: Mapping[str, str] | None = None) -> str:
        """Run a command to its end; returns what it printed."""
        done = subprocess.run(
            [*self.enter(), *words],
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
        assert not check or done.returncode == 0, f"{' '.join(words)} on {self.name}:\n{done.stdout}"
        return done.stdout.strip()

    def switch_off(self) -> None:
        """As without power: none of its processes can do anything more."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        assert self.first.stdin is not None and self.first.stdout is not None
        self.first.stdin.close()
        self.first.wait(timeout=LIMIT)
        self.first.stdout.close()


@dataclass
class Cluster:
    """A running SLURM. What is typed by a user runs on the machine `login`."""

    root: Path
    login: Machine
    head: Machine
    nodes: dict[str, Machine] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.root / "slurm.conf")}

    @property
    def private(self) -> Path:
        """A folder of the machine `login`, which the nodes do not have."""
        return self.root / "private"

    @classmethod
    def start(cls, root: Path) -> Cluster:
        for name in ("run", "log", "state", "private"):
            (root / name).mkdir(parents=True)
        root.chmod(0o755)
        names = [f"n{number}" for number in range(1, NODES + 1)]
        (root / "hosts").write_text(f"127.0.0.1 localhost login head {' '.join(names)}\n", encoding="ascii")
        login = Machine.start("login", own_processes=False)
        cluster = cls(root, login, login)
        try:
            login.run("ip", "link", "set", "lo", "up")
            # getaddrinfo ignores 127.0.0.1 where it asks whether the machine has any address at all.
            login.run("ip", "addr", "add", "127.0.0.2/8", "dev", "lo")
            login.run("mount", "--bind", str(root / "hosts"), "/etc/hosts")
            cluster.head = Machine.start("head", inside=login)
            cluster._configure(names)
            cluster._munge()
            cluster.start_controller()
            for name in names:
                cluster.start_node(name)
            until(lambda: cluster.node_states() == dict.fromkeys(names, "idle"), "all nodes are idle")
        except BaseException:
            cluster.stop()
            raise
        return cluster

    def stop(self) -> None:
        """End all machines, and what else still runs in their network."""
        own = network(self.login.pid)
        for machine in (*self.nodes.values(), self.head):
            if machine is not self.login:
                machine.switch_off()
        for pid in members(own) if own and own != network("self") else ():
            if pid != self.login.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.login.switch_off()

    def run(self, *words: str, check: bool = True) -> str:
        """A command that a user types."""
        return self.login.run(*words, check=check, variables=self.variables)

    def start_controller(self) -> None:
        self.head.run("slurmctld", "-f", self.variables["SLURM_CONF"])
        until(lambda: "UP" in self.run("scontrol", "ping", check=False), "slurmctld answers")

    def kill_controller(self) -> None:
        self._kill(self.head, "slurmctld.pid")

    def start_node(self, name: str) -> None:
        """Start slurmd, and the machine where it is switched off."""
        if name not in self.nodes:
            self.nodes[name] = Machine.start(name, inside=self.login)
            self.nodes[name].run("mount", "-t", "tmpfs", "tmpfs", str(self.private))
        self.nodes[name].run("slurmd", "-N", name, variables=self.variables)

    def kill_slurmd(self, name: str) -> None:
        """Kill slurmd alone: its jobs run on, and nobody hears of them."""
        self._kill(self.nodes[name], f"slurmd-{name}.pid")

    def switch_off(self, name: str) -> None:
        self.nodes.pop(name).switch_off()

    def set_node(self, name: str, state: str) -> None:
        """DOWN, DRAIN, RESUME, as an administrator does."""
        self.run("scontrol", "update", f"NodeName={name}", f"State={state}", "Reason=test")

    def node_states(self) -> dict[str, str]:
        lines = self.run("sinfo", "-h", "-N", "-o", "%N %T", check=False).splitlines()
        return {words[0]: words[1] for words in map(str.split, lines) if len(words) == 2}

    def repair(self) -> None:
        """The queue empty, the controller and all nodes up: what the next test expects."""
        if "UP" not in self.run("scontrol", "ping", check=False):
            self.start_controller()
        self.run("scancel", "-u", "root", check=False)
        for name in (f"n{number}" for number in range(1, NODES + 1)):
            machine = self.nodes.get(name)
            if machine is None or not self._alive(machine, f"slurmd-{name}.pid"):
                self.start_node(name)

        def ready() -> bool:
            states = self.node_states()
            for name, state in states.items():
                if state.rstrip("*") in ("down", "drained", "draining", "drng", "drain"):
                    self.run("scontrol", "update", f"NodeName={name}", "State=RESUME", check=False)
            return not self.jobs() and set(states.values()) == {"idle"}

        until(ready, "the queue is empty and all nodes are idle")

    def jobs(self, *words: str) -> dict[str, tuple[str, str]]:
        """Job id, as squeue prints it -> state, reason."""
        lines = self.run("squeue", "-h", "-a", "-r", *words, "-o", "%i|%T|%R").splitlines()
        return {one[0]: (one[1], one[2]) for one in (line.split("|", 2) for line in lines) if len(one) == 3}

    def _kill(self, machine: Machine, file: str) -> None:
        """By its id in its machine's own numbering."""
        pid = (self.root / "run" / file).read_text(encoding="ascii").strip()
        machine.run("kill", "-KILL", pid)
        until(lambda: not self._alive(machine, file), f"{file} has ended")

    def _alive(self, machine: Machine, file: str) -> bool:
        place = self.root / "run" / file
        if not place.is_file():
            return False
        script = "import os, sys; os.kill(int(sys.argv[1]), 0)"
        words = [*machine.enter(), sys.executable, "-c", script, place.read_text(encoding="ascii").strip()]
        return subprocess.run(words, capture_output=True).returncode == 0

    def _munge(self) -> None:
        key, run = self.root / "munge.key", self.root / "run"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.head.run(
            "munged", "--force", f"--key-file={key}", f"--socket={run / 'munge.sock'}", "--num-threads=2",
            f"--pid-file={run / 'munged.pid'}", f"--log-file={self.root / 'log' / 'munged.log'}",
            f"--seed-file={run / 'munge.seed'}",
        )  # fmt: skip
        until((run / "munge.sock").is_socket, "munged listens")

    def _configure(self, nodes: list[str]) -> None:
        """slurmd wants character devices as GPUs: twins of /dev/null."""
        run, log = self.root / "run", self.root / "log"
        for number in range(GPUS):
            os.mknod(run / f"gpu{number}", 0o666 | 0o020000, os.makedev(1, 3))
        lines = [
            "ClusterName=test",
            "SlurmctldHost=head(127.0.0.1)",
            f"SlurmctldPort={PORT}",
            "SlurmUser=root",
            "SlurmdUser=root",
            # A job that is requeued starts when the credentials of its first start are not valid any more.
            f"AuthInfo=socket={run / 'munge.sock'},cred_expire=5",
            "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
            f"SrunPortRange={PORT + 500}-{PORT + 900}",
            f"StateSaveLocation={self.root / 'state'}",
            f"SlurmdSpoolDir={run / 'spool-%n'}",
            f"SlurmctldPidFile={run / 'slurmctld.pid'}",
            f"SlurmdPidFile={run / 'slurmd-%n.pid'}",
            f"SlurmctldLogFile={log / 'slurmctld.log'}",
            f"SlurmdLogFile={log / 'slurmd-%n.log'}",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core",
            "SchedulerParameters=bf_interval=2,sched_interval=2",
            "SlurmdParameters=config_overrides",
            "ReturnToService=1",
            f"SlurmdTimeout={SLURMD_TIMEOUT}",
            "KillWait=30",
            "MinJobAge=300",
            "JobRequeue=1",
            "MpiDefault=none",
            "GresTypes=gpu",
            "PropagateResourceLimits=NONE",
            *(
                f"NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={PORT + number} "
                f"CPUs={CPUS} RealMemory=8000 Gres=gpu:{GPUS} State=UNKNOWN"
                for number, name in enumerate(nodes, 1)
            ),
            # Jobs of `urgent` take the place of others, which are queued again.
            "PreemptType=preempt/partition_prio",
            "PreemptMode=REQUEUE",
            *(
                f"PartitionName={name} Nodes=ALL State=UP MaxTime=INFINITE"
                for name in ("gpu", "main Default=YES", "urgent PriorityTier=9")
            ),
        ]
        (self.root / "slurm.conf").write_text("\n".join(lines) + "\n", encoding="ascii")
        (self.root / "gres.conf").write_text(f"Name=gpu File={run}/gpu[0-{GPUS - 1}]\n", encoding="ascii")
        (self.root / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", encoding="ascii")


def network(pid: int | str) -> str | None:
    """The network of a process."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:  # it has just ended
        return None


def members(own: str) -> list[int]:
    """The processes in a network."""
    return [int(place.name) for place in Path("/proc").glob("[0-9]*") if network(place.name) == own]
