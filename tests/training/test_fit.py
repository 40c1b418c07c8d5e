"""The loop: what it prints, which warnings it ignores, what it refuses, and which precision it hands on."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from training_fakes import Data, Fused, block, cohort

from fusionlab.errors import UserError
from fusionlab.training import fit as fitting
from fusionlab.training.fit import IGNORED, fit
from fusionlab.training.recipe import PRECISIONS, parse_recipe

LAST = parse_recipe(block(weights="last"))


@contextmanager
def no_filter() -> Iterator[None]:
    yield


def test_each_ignored_warning_is_still_given(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_lightning.trainer import setup
    from pytorch_lightning.trainer.connectors import data_connector

    monkeypatch.setattr(fitting, "ignore_known_warnings", no_filter)
    monkeypatch.setattr(data_connector, "suggested_max_num_workers", lambda _: 8)  # any machine
    monkeypatch.setattr(setup.MPSAccelerator, "is_available", staticmethod(lambda: True))
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        fit(cohort({"sum": Fused("sum")}), Data())
        fit(cohort({"sum": Fused("sum")}, LAST), Data(), validate=False)
    for message, reason in IGNORED:
        assert any(re.search(message, str(one.message)) for one in given), f"never given: {message} ({reason})"


@pytest.mark.parametrize("validate", [True, False])
def test_a_fit_prints_nothing(
    validate: bool, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    fit(cohort({"sum": Fused("sum")}, LAST), Data(), validate=validate)
    assert not [str(one.message) for one in recwarn]
    assert capfd.readouterr() == ("", "")


def test_the_best_weights_are_plain_tensors() -> None:
    """Of a validation in inference mode they could not be changed in place, nor be trained on."""
    for net in (Fused("sum"), Fused("sum").requires_grad_(False)):  # the second is only validated
        state = fit(cohort({"sum": net}), Data())["sum"].state
        assert state and not any(one.is_inference() or one.requires_grad for one in state.values())


def test_an_impossible_device_or_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="no GPU"):
        fit(cohort({"sum": Fused("sum")}), Data(), device="cuda")
    with pytest.raises(UserError, match="precision"):
        fit(cohort({"sum": Fused("sum")}), Data(), precision="16-mixed")


def test_lightning_knows_two_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr("pytorch_lightning.Trainer", lambda **arguments: given.append(arguments["precision"]))
    for precision in PRECISIONS:
        fitting.trainer("cpu", precision, 1)
    assert given == ["32-true", "32-true", "bf16-mixed"]
