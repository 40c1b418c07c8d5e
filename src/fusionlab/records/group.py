"""`run.group`: the studies and streams of one folder belong to a group, so that its users can share streams.

The folders get the group and its setgid bit, so that all below inherits it, and what this process and its children
write from now on is writable by the group (umask 002).
"""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

from fusionlab.errors import UserError, unknown
from fusionlab.records.files import disk_errors

SHARED = stat.S_ISGID | stat.S_IRWXG


def share(folder: str | os.PathLike[str], name: str) -> None:
    """Make a folder, if it is missing, and share it with a group."""
    place, number = Path(folder), write_for_group(name)
    with disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    now = place.stat()
    if now.st_gid == number and now.st_mode & SHARED == SHARED:
        return
    if os.geteuid() not in (0, now.st_uid):
        raise UserError(
            "the folder is not shared with the group", got=place,
            hint=f"its owner types: chgrp {name} '{place}' && chmod g+rwxs '{place}'",
        )  # fmt: skip
    with disk_errors(place):
        os.chown(place, -1, number)
        place.chmod(stat.S_IMODE(now.st_mode) | SHARED)


def write_for_group(name: str) -> int:
    """Let the group write what this process and its children make from now on; the group's number."""
    number = _number(name)
    os.umask(0o002)
    return number


def _number(name: str) -> int:
    """The number of a group of this user."""
    try:
        number = grp.getgrnam(name).gr_gid
    except KeyError:
        raise unknown("group of users", name, [one.gr_name for one in grp.getgrall()], form="run.group={}") from None
    own = {os.getegid(), *os.getgroups()}
    if os.geteuid() != 0 and number not in own:
        raise UserError(
            "you are not in this group of users", got=f"run.group={name}", allowed=_names(own),
            hint="after its owner has added you, log in again",
        )  # fmt: skip
    return number


def _names(numbers: set[int]) -> list[str]:
    return sorted(one.gr_name for one in grp.getgrall() if one.gr_gid in numbers)
