"""The cluster of these tests leaves nothing behind, however they end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from slurm_cluster import Cluster, members, network, until

HOLD = """
import sys
from pathlib import Path
from slurm_cluster import Cluster

made = Cluster.start(Path(sys.argv[1]))
print(made.login.pid, flush=True)
sys.stdin.read()
"""


def test_nothing_runs_on_where_the_tests_are_killed(cluster: Cluster, tmp_path: Path) -> None:
    around = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "fakes")}
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, env=around, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        own = network(tests.stdout.readline().strip())
        assert own is not None and own not in (network("self"), network(cluster.login.pid))
        assert len(members(own)) >= 10, "munged, slurmctld, two slurmds, and what holds their machines"
        tests.kill()
    until(lambda: not members(own), "all have ended")
