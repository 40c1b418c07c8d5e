"""Small studies of real child processes: what a job does is written in its config."""

import pytest
from child_argv import child_argv

from fusionlab.study.plan import Arm, Job, Plan


@pytest.fixture
def argv():
    return child_argv


@pytest.fixture
def make_plan():
    """make_plan({"job id": (needs, [what its attempts do])}, command); a job has one arm, or those of a deed."""

    def make(jobs, command="sweep fusion=conv", folder="jobs/{}"):
        made, arms = [], []
        for name, (needs, deeds) in jobs.items():
            own = tuple(deeds[0]) if isinstance(deeds[0], dict) else (f"arm-{name}",)
            kind = "stream" if folder.startswith("..") else "cohort"
            made.append(Job(name, kind, folder.format(name), tuple(needs), {"do": deeds}, own))
            arms += [
                Arm(arm, "fused", {"fusion": arm}, arm.replace("arm-", "sig-"), {"fusion": arm}, name) for arm in own
            ]
        return Plan.of(command, made, arms)

    return make


@pytest.fixture
def make(tmp_path, make_plan):
    """The folder of a study of such jobs."""

    def made(jobs):
        make_plan(jobs).write(tmp_path)
        return tmp_path

    return made
