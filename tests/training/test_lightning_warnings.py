"""Each warning that is ignored is still given; one that is not given any more must leave the list."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from training_fakes import Data, Fused, cohort

from fusionlab.errors import UserError
from fusionlab.training import fit as fitting
from fusionlab.training.fit import fit
from fusionlab.training.lightning_warnings import IGNORED


@contextmanager
def loud() -> Iterator[None]:
    yield


def test_no_stale_ignores(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_lightning.trainer import setup
    from pytorch_lightning.trainer.connectors import data_connector

    monkeypatch.setattr(fitting, "quiet", loud)
    monkeypatch.setattr(data_connector, "suggested_max_num_workers", lambda _: 8)  # any machine
    monkeypatch.setattr(setup.MPSAccelerator, "is_available", staticmethod(lambda: True))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit(cohort({"sum": Fused("sum")}), Data())
    for message, reason in IGNORED:
        assert any(re.search(message, str(one.message)) for one in said), f"never said: {message} ({reason})"


def test_nothing_is_said(recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]) -> None:
    fit(cohort({"sum": Fused("sum")}), Data())
    assert not [str(one.message) for one in recwarn]
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="no GPU"):
        fit(cohort({"sum": Fused("sum")}), Data(), device="cuda")
    with pytest.raises(UserError, match="precision"):
        fit(cohort({"sum": Fused("sum")}), Data(), precision="16-mixed")
