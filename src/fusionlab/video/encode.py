"""Writing lossless video: PNG pictures in AVI, each frame by itself.

Lossless, so that decord and PyAV read what was drawn, bit for bit; intra-only, so that no frame contains motion of
another one. The same frames give the same bytes.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError
from fusionlab.records.files import disk_errors


def write(path: str | os.PathLike[str], frames: NDArray[np.uint8], rate: int = 25) -> None:
    """Write RGB frames (T, H, W, 3) to an .avi file; the file appears whole or not at all."""
    import av

    final = Path(path)
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise UserError("a video is written from uint8 RGB frames (T, H, W, 3)", got=f"{frames.dtype} {frames.shape}")
    beside = final.with_name(f".{final.stem[:40]}.{uuid.uuid4().hex}.avi")
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            # bitexact: no encoder version in the header
            with av.open(str(beside), "w", format="avi", options={"fflags": "+bitexact"}) as container:
                # the fastest level: half the time of the usual one for files a twelfth larger
                stream = container.add_stream("png", rate=rate, options={"compression_level": "1"})
                stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "rgb24"
                stream.codec_context.thread_count = 1
                for frame in frames:
                    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                    container.mux(stream.encode(picture))
                container.mux(stream.encode())
            os.replace(beside, final)
        finally:
            beside.unlink(missing_ok=True)
