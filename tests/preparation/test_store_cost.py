"""What a store took to be packed, in its folder."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from data_fakes import Drifting

from fusionlab.errors import UserError
from fusionlab.preparation.prepare import COST, prepare
from fusionlab.video.flow import Dis
from fusionlab.video.store import Coding, Store

RECIPE = {"data": "drifting"}


def quiet(_: str) -> None:
    """Says nothing."""


@pytest.mark.parametrize(("before", "coding"), [(0, Coding()), (9, Coding("jpeg", "jpeg", rule="field"))])
def test_the_store_has_what_it_took_to_pack_the_videos_of_the_last_attempt(
    drifting: Drifting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, coding: Coding
) -> None:
    cut = drifting.videos()[:before]
    if before:
        with monkeypatch.context() as patch:
            patch.setattr("fusionlab.preparation.prepare.publish", lambda *_: False)
            patch.setattr(drifting, "videos", lambda: cut)
            with pytest.raises(UserError, match="another command"):
                prepare(drifting, tmp_path, Dis(), recipe=RECIPE, bound=8, coding=coding, chunk=9, say=quiet)
    begun = time.monotonic()
    folder = prepare(drifting, tmp_path, Dis(), recipe=RECIPE, bound=8, coding=coding, chunk=9, say=quiet)
    cost, made = json.loads((folder / COST).read_text()), Store.open(folder)
    packed = {name: video for name, video in made.videos.items() if name not in dict(cut)}
    assert 0 < cost["seconds"] < time.monotonic() - begun
    assert (cost["videos"], cost["frames"]) == (36 - before, sum(video.frames for video in packed.values()))
    parts_packed = sorted(folder.glob("part-*"))[before // 9 :]
    assert cost["bytes"] == sum(file.stat().st_size for part in parts_packed for file in part.glob("*.bin"))
    assert cost["processes"] == 1
