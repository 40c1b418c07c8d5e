"""Rows on video, relative to simple scripts: extraction, clips from the packed store, single frames.

On UCF101's own clips where FUSIONLAB_CLIPS names a folder with them, else on clips of brush, enlarged to 320×240.
Stores have a short side of 256 and flow by DIS, as `data=ucf101` has.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import lz4.block
import numpy as np
from numpy.typing import NDArray

from fusionlab.benchmarks.measure import BenchRow
from fusionlab.benchmarks.side_by_side import side_by_side
from fusionlab.data import clips
from fusionlab.data.batches import Clips
from fusionlab.data.brush.labels import LABELS
from fusionlab.data.brush.render import render
from fusionlab.data.brush.scene import compose
from fusionlab.data.processes import keep_memory
from fusionlab.data.views import Sampling, View
from fusionlab.preparation.prepare import prepare
from fusionlab.records.draws import key
from fusionlab.video import encode
from fusionlab.video.codecs import LEVEL, Codec
from fusionlab.video.decode import Decord
from fusionlab.video.film import Film
from fusionlab.video.flow import Dis
from fusionlab.video.imported import LAYOUTS
from fusionlab.video.opencv import cv2
from fusionlab.video.quantise import BOUND
from fusionlab.video.resize import fitted
from fusionlab.video.store import FLOW, FRAMES, Coding, Store

CLIPS = "FUSIONLAB_CLIPS"
REAL = ("v_SoccerJuggling_g23_c01.avi", "v_SoccerJuggling_g24_c01.avi")  # of UCF101; decord seeks in them rightly
SIZE, CROP, SNIPPETS, FIELDS, STRIDE = 256, 224, 5, 10, 10
FLOW_BY = Dis(finest_scale=1, patch_size=8, patch_stride=3, iterations=25, refinements=5)
CODING = Coding("jpeg", "lz4")
SECONDS = 8.0
MANY = 10_000  # clips, for the memory
Bytes = NDArray[np.uint8]
Look = tuple[str, View]  # at which video, and where


@dataclass
class Set:
    """Some videos as a data set of one class."""

    files: Sequence[Path]
    copies: int = 1  # entries of each file

    def videos(self) -> list[tuple[str, int]]:
        return [(f"{number:03d} {file.name}", 0) for number, file in enumerate([*self.files] * self.copies)]

    def path(self, name: str) -> Path:
        return self.files[int(name.partition(" ")[0]) % len(self.files)]


def rows() -> Iterator[BenchRow]:
    keep_memory()  # as loader workers do
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files, what = _videos(root / "videos")
        yield from _extraction(files, root, what)
        store = _packed(Set(files), root / "stores", CODING)
        yield from _sizes(files, root, what)
        yield from _clips(store, root, what)
        yield from _frames(files, what)
        yield _memory(store)


def _videos(folder: Path) -> tuple[list[Path], str]:
    clips = os.environ.get(CLIPS)
    if clips and all((Path(clips) / name).is_file() for name in REAL):
        return [Path(clips) / name for name in REAL], "UCF101's clips"
    for number in range(2):
        scene = compose(0, f"bench {number}", number, LABELS[number], 64, 0.0)
        frames = [cv2.resize(frame, (320, 240), interpolation=cv2.INTER_CUBIC) for frame in render(scene, 2.0, 3, 1.0)]
        encode.write(folder / f"{number}.avi", np.stack(frames).astype(np.uint8))
    return sorted(folder.iterdir()), "brush at 320×240"


def _packed(videos: Set, folder: Path, coding: Coding, processes: int = 1) -> Store:
    recipe = {"coding": str(coding), "videos": len(videos.videos()), "processes": processes}
    made = prepare(
        videos, folder, FLOW_BY, recipe=recipe, size=SIZE, coding=coding, processes=processes, say=lambda _: None
    )
    return Store.open(made)


# -- extraction


def _extraction(files: Sequence[Path], root: Path, what: str) -> Iterator[BenchRow]:
    """The CPU seconds of `prepare` with one worker, of both processes, relative to a plain loop in this one.

    With a worker on each core they would share its memory and caches, which takes CPU seconds of any program.
    """
    turn = itertools.count()
    videos = Set(files, copies=2)

    def prepared() -> None:
        place = root / f"turn {next(turn)}"
        _packed(videos, place, CODING, processes=1)
        shutil.rmtree(place)

    def plain() -> None:
        for name, _ in videos.videos():
            plain_loop(videos.path(name), root / "plain.bin")

    one = side_by_side(prepared, plain, SECONDS, untimed=2, clock=_cpu_seconds)
    loop = "decodes by PyAV, resizes, computes DIS, quantises, encodes, writes, syncs, reads again and digests"
    work = f"{len(videos.videos())} videos, short side {SIZE}, {what}, {one.pairs} pairs"
    row = (
        f"prepare with one worker, CPU seconds of both processes relative to a plain loop that {loop} the same: {work}"
    )
    yield BenchRow(row, one.median, "×", 1.15, one.interval)


def plain_loop(video: Path, out: Path) -> int:
    """What `prepare` does with a video, by the libraries alone; returns the bytes of its pictures."""
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    quality = [cv2.IMWRITE_JPEG_QUALITY, CODING.quality]
    before = None
    with av.open(str(video)) as container, out.open("w+b") as file:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for picture in container.decode(stream):
            height, width = fitted(picture.height, picture.width, SIZE)
            frame = cv2.resize(picture.to_ndarray(format="rgb24"), (width, height), interpolation=cv2.INTER_LINEAR)
            file.write(cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), quality)[1].tobytes())
            luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            if before is not None:
                field = np.ascontiguousarray(np.moveaxis(dis.calc(before, luma, None), -1, 0))
                levels = np.rint((np.clip(field, -BOUND, BOUND) + BOUND) * (255 / (2 * BOUND))).astype(np.uint8)
                file.write(lz4.block.compress(levels, mode="high_compression", compression=LEVEL, store_size=False))
            before = luma
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
        file.seek(0)
        hashlib.file_digest(file, "sha256")
    return size


def _cpu_seconds() -> float:
    """Of this process, and of those that it has waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _sizes(files: Sequence[Path], root: Path, what: str) -> Iterator[BenchRow]:
    for coding in (Coding(), Coding("lz4", "lz4"), CODING, Coding("jpeg", "jpeg")):
        store = _packed(Set(files[:1]), root / f"sizes {coding.frames} {coding.flow}", coding)
        (video,) = store.videos.values()
        size = f"{video.width}×{video.height}, {what}"
        yield BenchRow(f"bytes a frame: {coding.frames}, {size}", video.frames_bytes / video.frames / 1024, "KiB")
        yield BenchRow(f"bytes a field: {coding.flow}, {size}", video.flow_bytes / (video.frames - 1) / 1024, "KiB")


# -- clips


def _clips(store: Store, root: Path, what: str) -> Iterator[BenchRow]:
    reading = Clips(store, _entries(store), Sampling(SNIPPETS, FIELDS, STRIDE, CROP), ("appearance", "motion"), 0)
    images = _one_jpeg_a_plane(store, root / "images")
    keys = [(epoch, index) for epoch in range(2) for index in range(len(reading))]
    looks: list[Look] = [(reading.entries[index][0], reading.view((epoch, index))) for epoch, index in keys]

    def packed() -> None:
        for one in keys:
            reading[one]

    def by_images() -> None:
        for name, view in looks:
            _read_images(images / name, view, store.video(name).frames)

    blobs = list(_blobs(store, looks))

    def bare() -> None:
        for codec, some, shape in blobs:
            codec.decode(some, shape)

    one = side_by_side(packed, by_images, SECONDS)
    of = f"T={SNIPPETS} frames and {SNIPPETS}×{FIELDS} fields, crop {CROP}, {what}, {one.pairs} pairs"
    yield BenchRow(
        f"reading a clip, relative to one JPEG a plane by OpenCV: {of}", one.median, "×", 1 / 3, one.interval
    )
    two = side_by_side(packed, bare, SECONDS)
    yield BenchRow(
        f"reading a clip, relative to bare decoding of the same bytes: {of}", two.median, "×", 1 / 0.8, two.interval
    )
    begun = time.perf_counter()
    packed()
    yield BenchRow(f"reading a clip: {what}", (time.perf_counter() - begun) / len(keys) * 1000, "ms")


def _blobs(store: Store, looks: Sequence[Look]) -> Iterator[tuple[Codec, list[bytes], tuple[int, ...]]]:
    """The stored bytes of each picture of the clips, in memory."""
    for name, view in looks:
        video = store.video(name)
        for centre in view.centres:
            window = clips.window(int(centre), video.frames, FIELDS)
            for file, start, count, shape in (
                (FRAMES, int(centre), 1, (video.height, video.width, 3)),
                (FLOW, window.start, window.count, (2, video.height, video.width)),
            ):
                codec = store.coding.codec(file)
                assert codec is not None
                for blobs in store.coded(name, file, start, count):
                    yield codec, [bytes(blob) for blob in blobs], shape


def _one_jpeg_a_plane(store: Store, folder: Path) -> Path:
    """The same pixels in the layout that the papers' tools write: two files a frame for flow, one for the frame."""
    layout = LAYOUTS["tsn"]
    quality = [cv2.IMWRITE_JPEG_QUALITY, store.coding.quality]
    for name, video in store.videos.items():
        place = folder / name
        place.mkdir(parents=True)
        for number, frame in enumerate(store.all_frames(name), 1):
            cv2.imwrite(str(place / f"{layout.frames[1]}{number:05d}.jpg"), frame[..., ::-1], quality)
        for number, field in enumerate(store.flow(name, 0, video.frames - 1), 1):
            for (_, prefix), plane in zip((layout.x, layout.y), field, strict=True):
                cv2.imwrite(str(place / f"{prefix}{number:05d}.jpg"), plane, quality)
    return folder


def _read_images(place: Path, view: View, frames: int) -> tuple[Bytes, Bytes]:
    """The same clip as a simple script reads it."""
    rows, columns = slice(view.crop.y, view.crop.y + CROP), slice(view.crop.x, view.crop.x + CROP)
    appearance = np.empty((3, SNIPPETS, CROP, CROP), dtype=np.uint8)
    motion = np.empty((2 * FIELDS, SNIPPETS, CROP, CROP), dtype=np.uint8)
    for snippet, centre in enumerate(view.centres):
        image = cv2.imread(str(place / f"img_{centre + 1:05d}.jpg"), cv2.IMREAD_COLOR_RGB)
        assert image is not None
        appearance[:, snippet] = image[rows, columns].transpose(2, 0, 1)
        start = clips.window(int(centre), frames, FIELDS).start
        for field in range(FIELDS):
            for component, axis in enumerate("xy"):
                file = place / f"flow_{axis}_{start + field + 1:05d}.jpg"
                plane = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
                assert plane is not None
                motion[2 * field + component, snippet] = plane[rows, columns]
    return appearance, motion


# -- single frames


def _frames(files: Sequence[Path], what: str) -> Iterator[BenchRow]:
    """Frames in random order by decord itself, and by a `Film` over it, which compares each with that in sequence."""
    if importlib.util.find_spec("decord") is None:
        yield BenchRow(f"frame access, relative to decord's own: {what}", None, "×", missing="decord has no wheel here")
        return
    import decord

    film, bare = Film(files[0], Decord()), decord.VideoReader(str(files[0]), num_threads=1)
    order = [int(n) for n in np.random.Generator(np.random.Philox(key=key("bench", 0))).permutation(len(film))]
    film.frames(order[:4])
    one = side_by_side(
        lambda: [film.frames(order[at : at + 8]) for at in range(0, 64, 8)],
        lambda: [bare.get_batch(order[at : at + 8]).asnumpy() for at in range(0, 64, 8)],
        SECONDS,
    )
    access = "frame access (8 at a time, in random order), relative to decord's own"
    yield BenchRow(f"{access}: {what}, {one.pairs} pairs", one.median, "×", 1 / 0.9, one.interval)
    begun = time.perf_counter()
    with Film(files[0], Decord()) as fresh:
        fresh[0]
        seconds = time.perf_counter() - begun
        yield BenchRow(
            f"the first access to a film, which reads all of it once: {len(fresh)} frames", seconds * 1000, "ms"
        )


# -- memory


def _memory(store: Store) -> BenchRow:
    """The growth of one reader process over many clips, after the first thousand."""
    reading = Clips(store, _entries(store), Sampling(SNIPPETS, FIELDS, STRIDE, CROP), ("appearance", "motion"), 0)
    before = 0
    for number in range(MANY):
        reading[number // len(reading), number % len(reading)]
        if number == MANY // 10:
            before = _resident()
    return BenchRow(
        f"memory of a reader after {MANY:,} clips, relative to that after {MANY // 10:,}",
        _resident() / before,
        "×",
        1.05,
    )


def _resident() -> int:
    """The private memory of this process; mapped pages of the store are shared."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0])


def _entries(store: Store) -> list[tuple[str, int]]:
    return [(name, video.label) for name, video in store.videos.items()]
