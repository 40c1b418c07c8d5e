"""Frames by the decoders' own seeking: fast, but the frames have to be checked (see `video.film`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from fusionlab.errors import UserError
from fusionlab.records.time_limit import limited
from fusionlab.video.bounds import bound_process
from fusionlab.video.decode import Frame, Reader, best, decord_opened, opened, three_channels, upright

NEAR = 8  # next frames that are reached by decoding, not by seeking


class Seeker(Protocol):
    """An open file."""

    def frames(self, rising: list[int]) -> Iterator[Frame]:
        """The frames with these numbers, each once, in order; fewer where they cannot be found."""
        ...

    def close(self) -> None:
        """Give the file and the decoder's memory back."""
        ...


def seeker(reader: Reader, path: Path) -> Seeker:
    """The reader's own seeker; one that finds no frame if the reader has none."""
    own: Callable[[Path], Seeker] | None = getattr(reader, "seeker", None)
    return NoSeeker() if own is None else own(path)


class NoSeeker:
    """Finds no frame, so that all are read in sequence."""

    def frames(self, rising: list[int]) -> Iterator[Frame]:
        return iter(())

    def close(self) -> None:
        pass


class DecordSeeker:
    def __init__(self, path: Path) -> None:
        import decord

        self._error = decord.DECORDError
        with bound_process():
            self._video: Any = decord_opened(path)

    def frames(self, rising: list[int]) -> Iterator[Frame]:
        if rising[-1] >= len(self._video):  # its count is the header's
            return iter(())
        try:
            with bound_process():
                batch: Any = self._video.get_batch(rising).asnumpy()
        except (self._error, RuntimeError):
            return iter(())
        return map(three_channels, batch)

    def close(self) -> None:
        self._video = None  # decord frees it with its last reference


class PyAVSeeker:
    """Frames by their time stamps: to the key frame before, then on."""

    def __init__(self, path: Path) -> None:
        import av

        self._av = av
        self._container = opened(path)
        stream = best(self._container)
        assert stream is not None
        self._stream = stream
        self._stamps = self._all_stamps()
        self._number = {stamp: number for number, stamp in enumerate(self._stamps)}
        self._decoding: Iterator[Any] = iter(())
        self._next: int | None = None  # the next frame of `_decoding`

    def frames(self, rising: list[int]) -> Iterator[Frame]:
        try:
            for index in rising:
                picture = self._picture(index)
                if picture is None:
                    return
                yield upright(picture)
        except (self._av.FFmpegError, UserError):
            return

    def close(self) -> None:
        """Closed explicitly: an unreferenced container keeps the decoder's memory, 2 MB of H.264 each time."""
        self._decoding = iter(())
        self._container.close()

    def _picture(self, index: int) -> Any:
        if index >= len(self._stamps):
            return None
        if self._next is None or not self._next <= index < self._next + NEAR:
            self._container.seek(self._stamps[index], stream=self._stream, backward=True)
            self._decoding = self._container.decode(self._stream)
        self._next = None
        for picture in self._decoding:
            number = self._number.get(picture.pts)
            if number is None or number > index:
                return None
            if number == index:
                self._next = index + 1
                return picture
        return None

    def _all_stamps(self) -> list[int]:
        """The time stamps in the order of presentation; empty if some are missing or equal."""
        packets = [
            packet.pts
            for packet in limited(self._container.demux(self._stream))
            if packet.size and not packet.is_discard
        ]
        stamps = {stamp for stamp in packets if stamp is not None}
        return sorted(stamps) if len(stamps) == len(packets) else []
