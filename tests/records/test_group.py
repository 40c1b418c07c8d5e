"""Two users of one group: processes with made-up numbers, which only root can start."""

import grp
import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fusionlab.errors import UserError
from fusionlab.records import group as module
from fusionlab.records.group import share, write_for_group

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
LAB, OTHERS = 54_321, 54_322

# A process of a user, in some groups: python -c AS <user> <groups> <code>
AS = """
import grp, os, sys
from types import SimpleNamespace
from fusionlab.errors import UserError
from fusionlab.records.files import create_exclusive, publish, write_text
from fusionlab.records.group import share
from fusionlab.records.probe import probe
user, groups, code = int(sys.argv[1]), [int(one) for one in sys.argv[2].split(",")], sys.argv[3]
os.setgroups(groups); os.setgid(user); os.setuid(user)
lab = SimpleNamespace(gr_name="lab", gr_gid=54321)
grp.getgrnam, grp.getgrall = {"lab": lab}.__getitem__, lambda: [lab]
try:
    exec(code)
except UserError as error:
    sys.exit(str(error))
"""


def run_as(user, groups, code):
    done = subprocess.run(
        [sys.executable, "-c", AS, str(user), ",".join(map(str, groups)), code],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.fixture
def place(tmp_path):
    """A folder that all users reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o711)
    shared = tmp_path / "home"
    shared.mkdir()
    shared.chmod(0o777)
    return shared


WRITE = """
share("{0}/runs", "lab"); share("{0}/runs/streams", "lab")
assert create_exclusive("{0}/runs/streams/s/claims/{1}.json", "x")
write_text("{0}/runs/streams/s/attempts/{1}/result/a/run.json", "x")
assert publish("{0}/runs/streams/s/attempts/{1}/result/a", "{0}/runs/streams/s/published/{1}")
"""


@needs_root
def test_two_users_of_a_group_write_into_one_stream(place):
    assert run_as(1001, [1001, LAB], WRITE.format(place, 1)) == (0, "")
    assert run_as(1002, [1002, LAB], WRITE.format(place, 2)) == (0, "")
    stream = place / "runs" / "streams" / "s"
    assert {one.name for one in (stream / "published").iterdir()} == {"1", "2"}
    for one in stream.rglob("*"):
        mode = one.stat().st_mode
        assert one.stat().st_gid == LAB
        assert mode & stat.S_IWGRP
        assert not one.is_dir() or mode & stat.S_ISGID
    status, message = run_as(1003, [1003], WRITE.format(place, 3))
    assert status == 1
    assert "you are not in this group" in message


@needs_root
def test_a_folder_of_somebody_else_that_is_not_shared_is_told_with_what_its_owner_types(place):
    (place / "runs").mkdir()
    status, message = run_as(1001, [1001, LAB], f"share('{place}/runs', 'lab')")
    assert status == 1
    assert f"chgrp lab '{place}/runs' && chmod g+rwxs '{place}/runs'" in message


@needs_root
def test_a_user_without_write_permission_is_told_before_anything_starts(place):
    (place / "runs").mkdir()
    status, message = run_as(1001, [1001], f"probe('{place}/runs/study')")
    assert status == 1
    assert "no permission to write there" in message


def test_an_unknown_group_and_that_of_others_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="unknown group of users"):
        share(tmp_path, "no such group here")
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    monkeypatch.setattr(grp, "getgrnam", {"others": SimpleNamespace(gr_name="others", gr_gid=OTHERS)}.__getitem__)
    with pytest.raises(UserError, match="not in this group"):
        write_for_group("others")


def test_a_plan_without_a_group_leaves_the_mask(tmp_path):
    before = os.umask(0o027)
    try:
        name = grp.getgrgid(os.getegid()).gr_name
        assert write_for_group(name) == os.getegid()
        assert os.umask(0o027) == 0o002
    finally:
        os.umask(before)
    assert module.SHARED == 0o2070
