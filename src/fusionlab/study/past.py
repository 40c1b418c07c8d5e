"""The attempts of a job that have ended, and which arms the next one takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fusionlab.study.attempt import Attempt
from fusionlab.study.job_states import Failure, State
from fusionlab.study.plan import Job


@dataclass(frozen=True)
class Past:
    """An attempt that has ended: its arms, its outcome, and the reasons of arms that failed."""

    attempt: Attempt
    arms: tuple[str, ...]
    end: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        return str(self.end["outcome"])

    def lost(self) -> dict[str, Failure]:
        """The arms that failed in it; ends of older versions do not name them, so all of its arms."""
        if self.outcome != "failed":
            return {}
        reasons = self.end.get("arms") or dict.fromkeys(self.arms, self.end["reason"])
        return {arm: Failure(str(reason), self.attempt.log) for arm, reason in reasons.items()}


def next_arms(job: Job, past: Sequence[Past], state: State) -> list[str]:
    """The arms that the next attempt takes: those that are left; after a death half as many."""
    left = [arm for arm in job.arms if arm not in state.published and arm not in state.failed]
    culprits = {one.arms[0] for one in past if len(one.arms) == 1 and one.outcome == "failed"}
    # An arm that died alone explains the deaths of attempts with several arms.
    deaths = [one for one in past if one.outcome == "died" and not culprits & set(one.arms)]
    most = min((max(1, len(one.end.get("arms") or one.arms) // 2) for one in deaths), default=len(left))
    survived = any(one.outcome == "done" or (one.outcome == "failed" and len(one.arms) > 1) for one in past)
    return left[: 1 if culprits and not survived and len(job.arms) > 1 else most]
