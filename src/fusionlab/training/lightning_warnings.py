"""What Lightning says of its own accord and why it is not for our reader, one by one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# (message, reason), for pytorch-lightning 2.6; a test fails when one of them is not said any more
IGNORED: tuple[tuple[str, str], ...] = (
    (
        r"Found \d+ module\(s\) in eval mode at the start of training",
        "the frozen trunk is meant to be in eval mode",
    ),
    (
        r"The '\w+_dataloader' does not have many workers",
        "reads from the packed store are cheap; the data's to decide",
    ),
    (r"`isinstance\(treespec, LeafSpec\)` is deprecated", "Lightning's own use of torch"),
    (r"GPU available but not used", "the device is named by the caller"),
)


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore the warnings above and Lightning's greetings (devices, tips, reasons to stop)."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    with warnings.catch_warnings():
        for message, _ in IGNORED:
            warnings.filterwarnings("ignore", message=f".*{message}")
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(level)
