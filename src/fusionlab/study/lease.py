"""Whether the process of an attempt is alive: by its pid on this host, by the scheduler's restarts, else by its lease.

The lease is compared on one clock, that of the claims' folder: the clocks of two hosts may differ by minutes.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import folder_clock
from fusionlab.study.attempt import Attempt
from fusionlab.study.process_id import ProcessId, started_again

LEASE = 60.0  # seconds without a beat after which an owner on another host counts as dead
CLOCK = 5.0  # seconds by which a beat may be later than the folder's clock


class Leases:
    def __init__(self, lease_s: float = LEASE) -> None:
        self.lease_s = lease_s
        self._future_beats: dict[Path, tuple[float, float]] = {}  # beat file -> its time, and when that was first seen
        self._clocks: dict[Path, tuple[float, float]] = {}  # folder -> its clock minus ours, and when that was measured

    def lives(self, attempt: Attempt, claim: Mapping[str, Any]) -> bool:
        """The pid does not count in a copied folder: that process works in the original folder."""
        if started_again(claim):
            return False
        seen, folder = ProcessId.from_dict(claim).alive(), attempt.claim_file.parent
        inode = claim.get("inode")
        if seen is not None and (inode is None or inode == folder.stat().st_ino):
            return seen
        stamp = _stamp(attempt)
        age = self._clock(folder) - stamp
        if age >= self.lease_s or age < -CLOCK:  # the clock may have been set since it was read
            age = self._clock(folder, again=True) - stamp
        if age >= -CLOCK:
            return age < self.lease_s
        # A clock was set back, or somebody touched the file: only a beat that changes counts.
        before, since = self._future_beats.get(attempt.beat_file, (None, 0.0))
        if before != stamp:
            since = time.monotonic()
            self._future_beats[attempt.beat_file] = (stamp, since)
        return time.monotonic() - since < self.lease_s

    def _clock(self, folder: Path, again: bool = False) -> float:
        """The time on a folder's clock. To read it a file is written, so the difference to our clock is kept."""
        difference, since = self._clocks.get(folder, (0.0, -math.inf))
        now = time.monotonic()
        if again or now - since > self.lease_s / 2:
            try:
                difference, since = folder_clock(folder) - now, now
            except UserError:
                difference, since = time.time() - now, now  # `status` in a read-only folder
            self._clocks[folder] = difference, since
        return now + difference


def _stamp(attempt: Attempt) -> float:
    """The time of the last beat, or of the claim before the first beat."""
    for path in (attempt.beat_file, attempt.claim_file):
        try:
            with path.open("rb") as file:  # opening makes a network file system ask its server again
                return os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            continue
    return 0.0
