"""What docs/clusters.md says to type is typed, on a cluster. Its first part needs none: the slow tests run it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from slurm_cluster import Cluster, Machine
from slurm_studies import claims
from terminal import FAST, WAIT, Lab

PAGE = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text(encoding="utf-8")
SMALL = f"{FAST} run.device=cpu"
SLOTS = "run.launcher.gpus=1 run.launcher.cpus=1 run.launcher.prepare_cpus=1"  # the nodes have few cores


def blocks(title: str, language: str) -> list[str]:
    """The blocks of a part of the page."""
    part = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", part, re.DOTALL)


def typed(lab: Lab, machine: Machine, line: str, **variables: str) -> subprocess.Popen[str]:
    """A line of the page in a working directory on a machine."""
    line = line.replace("python -m", f"{shlex.quote(sys.executable)} -m", 1)
    there = Lab(lab.home, lab.data, tuple(machine.enter()), lab.variables, lab.started)
    return there.start_words("bash", "-c", f"cd {shlex.quote(str(lab.home))} && {line}", **variables)


def end(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err
    return out


def test_slurm_and_a_site_s_own_file(cluster: Cluster, lab: Lab, study: Lab) -> None:
    (line,) = blocks("SLURM", "bash")
    line = line.strip().replace("experiment=how", "fusion=conv,sum layer=relu5")
    assert "launcher=slurm" in line and "fusion=conv,sum" in line
    assert "report: " in end(typed(lab, cluster.login, f"{line} {SMALL} {SLOTS}"))
    assert lab.records() == study.records()
    assert {claim["device"] for claim in claims(lab, "cohort")} <= {"0", "1"}

    (site,) = blocks("SLURM", "yaml")
    (lab.home / "conf" / "launcher").mkdir()
    (lab.home / "conf" / "launcher" / "site.yaml").write_text(site, encoding="utf-8")
    module = lab.home / "bin" / "module"
    module.parent.mkdir()
    module.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(lab.home / "loaded"))}\n', encoding="utf-8")
    module.chmod(0o755)
    path = f"{module.parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    sweep = f"python -m fusionlab.sweep fusion=conv launcher=site run.launcher.prepare_cpus=1 {SMALL}"
    assert "report: " in end(typed(lab, cluster.login, sweep, PATH=path))
    assert set((lab.home / "loaded").read_text(encoding="utf-8").splitlines()) == {"load cuda"}
    script = "".join(place.read_text(encoding="utf-8") for place in lab.home.glob("runs/*/workers/*.sh"))
    assert "--account=vision" in script and "--time=12:00:00" in script


def test_several_machines_by_hand(cluster: Cluster, lab: Lab, study: Lab) -> None:
    """One prepares, the other one trains; the sweep on `login` finds that all is done."""
    sweep = f"python -m fusionlab.sweep fusion=conv,sum layer=relu5 {SMALL}"
    end(typed(lab, cluster.login, f"{sweep} launcher=script"))
    (line,) = blocks("Several machines by hand", "bash")
    line = line.strip().replace("runs/x", shlex.quote(str(lab.study)))
    first = typed(lab, cluster.nodes["n1"], f"{line} kinds=prepare")
    second = typed(lab, cluster.nodes["n2"], f"{line} kinds=stream,cohort")
    end(first), end(second)
    assert "report: " in end(typed(lab, cluster.login, sweep))
    assert {(claim["kind"], claim["host"]) for claim in claims(lab)} >= {("prepare", "n1"), ("cohort", "n2")}
    assert len(claims(lab, "prepare")) == len(claims(lab, "cohort")) == 1
    assert lab.records() == study.records()
