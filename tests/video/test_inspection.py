"""What is wrong with a file is seen by one walk through it, and nothing in a file that is well."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from film_fakes import all_kinds, damaged, moving, write

from fusionlab.video import encode
from fusionlab.video.header import header
from fusionlab.video.inspection import Inspection, inspect

CLIPS = os.environ.get("FUSIONLAB_CLIPS")
real = pytest.mark.skipif(not CLIPS, reason="FUSIONLAB_CLIPS does not name a folder of real clips")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return all_kinds(tmp_path_factory.mktemp("kinds of files"))


def test_files_that_are_well(kinds: dict[str, Path]) -> None:
    for kind, path in kinds.items():
        found = inspect(path)
        assert found.whole and (found.concealed, found.cut, found.error) == (0, False, None), kind
        assert found.declared in (None, found.decoded), kind
    assert (inspect(kinds["h264"]).height, inspect(kinds["h264"]).width) == (48, 64)
    assert (inspect(kinds["turned 90"]).height, inspect(kinds["turned 90"]).width) == (64, 48)
    assert inspect(kinds["turned 180"]).rotation in (180, -180)
    assert inspect(kinds["uneven"]).variable and not inspect(kinds["h264"]).variable
    assert inspect(kinds["two streams"]).streams == 2 and header(kinds["two streams"]).notes
    assert header(kinds["mpeg4"]).frames == 30


@real
def test_real_clips_that_are_well_and_those_that_are_not() -> None:
    assert CLIPS is not None
    folder = Path(CLIPS)
    for path in sorted([*folder.glob("*.avi"), *folder.glob("*.mov"), folder / "nasa_13013.mp4"]):
        assert inspect(path).whole, path.name
    broken = inspect(folder / "corrupted.mp4")
    assert (broken.declared, broken.decoded) == (50, 28) and broken.error and broken.concealed and not broken.whole
    assert inspect(folder / "result.webm") == Inspection(error="this video file is empty")
    # One frame fewer than the header says is usual in HMDB51, and no damage.
    hmdb = inspect(folder / "TrumanShow_wave_f_nm_np1_fr_med_26.avi")
    assert (hmdb.declared, hmdb.decoded, hmdb.cut) == (49, 48, False)


@pytest.mark.parametrize("kind", ["mpeg4", "h264", "png"])
def test_damaged_bytes_are_noticed(kinds: dict[str, Path], tmp_path: Path, kind: str) -> None:
    noticed = 0
    for seed in range(12):
        found = inspect(damaged(kinds[kind], tmp_path / f"{seed}{kinds[kind].suffix}", seed))
        noticed += not found.whole
    assert noticed >= 11, f"{noticed} of 12"


@pytest.mark.parametrize("kind", ["mpeg4", "h264", "png"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_file_that_was_cut_is_noticed(kinds: dict[str, Path], tmp_path: Path, kind: str, share: float) -> None:
    content = kinds[kind].read_bytes()
    path = tmp_path / f"cut{kinds[kind].suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    found = inspect(path)
    assert not found.whole and (found.cut or found.error), found


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.avi").touch()
    (tmp_path / "text.avi").write_text("no video " * 100)
    assert inspect(tmp_path / "empty.avi").error == "this video file is empty"
    assert inspect(tmp_path / "absent.avi").error == "no such video file"
    assert inspect(tmp_path / "text.avi").error and header(tmp_path / "text.avi").frames is None
    encode.write(tmp_path / "one.avi", moving(1))
    assert inspect(tmp_path / "one.avi").decoded == 1


def test_a_size_that_changes_is_a_note(tmp_path: Path) -> None:
    for name, frames in (("a", moving(5)), ("b", moving(5, 32, 96))):
        write(tmp_path / f"{name}.mpg", frames, "mpeg2video")
    both = (tmp_path / "a.mpg").read_bytes() + (tmp_path / "b.mpg").read_bytes()
    (tmp_path / "both.mpg").write_bytes(both)
    found = inspect(tmp_path / "both.mpg")
    assert any("size of its frames changes" in note for note in found.notes), found


def test_the_log_is_left_as_it_was(kinds: dict[str, Path], tmp_path: Path) -> None:
    before = av.logging.get_level()
    inspect(damaged(kinds["mpeg4"], tmp_path / "d.avi", 0))
    assert av.logging.get_level() == before
    assert np.isfinite(inspect(kinds["mpeg4"]).rate)
