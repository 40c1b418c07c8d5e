"""Pairs of frames whose disagreements are known exactly: one vector of 2 pixels everywhere.

At an angle θ to the estimate, stored flow disagrees with it by sin(θ / 2); at an angle φ the estimate of the next
frames disagrees with it by sin(φ / 2).
"""

from __future__ import annotations

import numpy as np
import pytest

from fusionlab.health.flow_evidence import Evidence, Hypothesis

AHEAD = Hypothesis(shift=1)
LONG = 2.0


def vectors(disagreement: float, places: int, long: float = LONG) -> np.ndarray:
    """Vectors that disagree so with (1, 0)."""
    angle = 2 * np.arcsin(disagreement)
    return np.tile(long * np.array([[np.cos(angle)], [np.sin(angle)]]), places).astype(np.float32)


def pair(
    stored: float, ahead: float | None = None, places: int = 100, long: float = LONG, step: float = 0.01
) -> Evidence:
    """Stored flow and that of the next frames, by their disagreement with `right`."""
    trusted = np.ones(places, dtype=bool)
    estimates = {Hypothesis(): (vectors(0, places, long).astype(np.float16), trusted)}
    if ahead is not None:
        estimates[AHEAD] = (vectors(ahead, places, long).astype(np.float16), trusted)
    return Evidence("video", vectors(stored, places, long), step, estimates)


def between(stored: float, ahead: float) -> float:
    """The disagreement of stored flow with that of the next frames."""
    return float(np.sin(abs(np.arcsin(stored) - np.arcsin(ahead))))


def ahead_of(stored: float, nearer: float) -> float:
    """Flow of the next frames that disagrees by `nearer` with stored flow."""
    ahead = float(np.sin(np.arcsin(stored) + np.arcsin(nearer)))
    assert between(stored, ahead) == pytest.approx(nearer)
    return ahead
