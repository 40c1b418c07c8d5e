"""Files of predictions that are not what they should be."""

import numpy as np
import pytest

from fusionlab.errors import UserError
from fusionlab.records.predictions import Predictions, parse_predictions

SOUND = b"video,label,predicted,score_a,score_b\nx,a,a,0.75,0.25\n"


def test_two_columns_of_one_class_are_refused() -> None:
    head, row = SOUND.splitlines()
    assert parse_predictions(SOUND, "here").classes == ("a", "b")
    with pytest.raises(UserError, match="a class has two columns"):
        parse_predictions(head.replace(b"score_b", b"score_a") + b"\n" + row + b"\n", "here")


def test_scores_come_back_bit_for_bit() -> None:
    scores = np.random.default_rng(0).normal(0, [1e-6, 1, 1e6], (200, 3)).astype(np.float32)
    made = Predictions.of("abc", [f"v{n}" for n in range(200)], [0] * 200, scores.tolist())
    again = parse_predictions(made.to_csv().encode(), "here")
    assert again == made and np.array_equal(np.array(again.scores, dtype=np.float32), scores)
