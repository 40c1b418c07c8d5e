"""A sound data set with its store, and the doctor's report about a copy of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import doctor_fakes as fakes
import pytest
from doctor_fakes import WORDS
from terminal import Done, typed

Say = Callable[..., Done]


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the data: videos, lists and a finished store."""
    home = tmp_path_factory.mktemp("sound")
    fakes.make(home)
    assert typed("prepare", [*WORDS, f"run.data={home}"]) == 0
    return home


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))


@pytest.fixture
def doctor(say: Say, home: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    def look(*words: str) -> tuple[int, dict[str, Any]]:
        # The last one of an option's words counts.
        given = {word.partition("=")[0]: word for word in (*WORDS, f"run.data={home}", *words) if "=" in word}
        done = say("doctor", *given.values(), "--json", *[word for word in words if "=" not in word])
        assert done.out, done.err
        return done.status, json.loads(done.out)

    return look
