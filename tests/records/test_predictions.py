"""Files of predictions that are not what they should be."""

import pytest

from fusionlab.errors import UserError
from fusionlab.records.predictions import parse_predictions

SOUND = b"video,label,predicted,score_a,score_b\nx,a,a,0.75,0.25\n"


def test_two_columns_of_one_class_are_refused() -> None:
    head, row = SOUND.splitlines()
    assert parse_predictions(SOUND, "here").classes == ("a", "b")
    with pytest.raises(UserError, match="a class has two columns"):
        parse_predictions(head.replace(b"score_b", b"score_a") + b"\n" + row + b"\n", "here")
