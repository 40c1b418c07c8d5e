"""`width`: a factor for the channels of every layer of a tower."""

from math import isfinite

from fusionlab import errors


def expect_width(width: object) -> None:
    """Raise a `UserError` for a width that is no number above zero."""
    if isinstance(width, bool) or not isinstance(width, int | float) or not (isfinite(width) and width > 0):
        raise errors.UserError("width is a factor for the channels of every layer", got=width, hint="width=0.25")


def scale_channels(channels: int, width: float) -> int:
    """`width` times the channels, at least one.

    >>> scale_channels(64, 0.25), scale_channels(64, 0.001)
    (16, 1)
    """
    return max(1, round(width * channels))
