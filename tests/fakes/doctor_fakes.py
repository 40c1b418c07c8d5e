"""A small, sound data set of real video files with its store, and faults that are planted into it one at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusionlab.records.files import read_json
from fusionlab.video.quantise import dequantise, quantise
from fusionlab.video.store import INDEX, Coding, Store
from fusionlab.video.writing import PartWriter, write_index

CLASSES = ["Hop", "Jump", "Walk"]
GROUPS = 3  # the first is the test list
FRAMES, HEIGHT, WIDTH, SQUARE = 10, 64, 80, 24
WORDS = [
    "data=ucf101",
    "flow=dis",
    "data.dataset.classes=3",
    "data.store.size=64",
    "data.sampling.fields=6",
    "data.store.bound=8",
    "run.workers=1",
]
NAMES = [f"{name}/v_{name}_g{group:02d}_c01.avi" for name in CLASSES for group in range(1, GROUPS + 1)]
FIRST, TESTED = NAMES[1], NAMES[0]  # of the training list, of the test list


def videos(home: Path) -> Path:
    """The folder of the data set below the folder `home` of the data."""
    return home / "videos" / "ucf101"


def stores(home: Path) -> Path:
    return home / "stores"


def make(home: Path) -> None:
    """Videos and lists."""
    for number, name in enumerate(NAMES):
        mpeg4(videos(home) / name, wander(number))
    labels = {name: number for number, name in enumerate(CLASSES, 1)}
    lines = [f"{number} {name}" for name, number in labels.items()]
    lists(home, "classInd.txt", lines)
    lists(home, "testlist01.txt", [name for name in NAMES if "_g01_" in name])
    lists(home, "trainlist01.txt", [f"{n} {labels[n.partition('/')[0]]}" for n in NAMES if "_g01_" not in n])


def lists(home: Path, name: str, lines: list[str]) -> None:
    (videos(home) / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def wander(seed: int) -> np.ndarray:
    """A textured square takes another step at each frame, in the upper left over textured ground: RGB (T, H, W, 3)."""
    draw = np.random.default_rng(seed)
    ground, square = (_texture(draw, *size) for size in ((HEIGHT, WIDTH), (SQUARE, SQUARE)))
    most_y, most_x = HEIGHT // 2 - SQUARE // 2 - 4, WIDTH // 2 - SQUARE // 2 - 4
    y, x = int(draw.integers(0, most_y)), int(draw.integers(0, most_x))
    frames = []
    for _ in range(FRAMES):
        picture = ground.copy()
        picture[y : y + SQUARE, x : x + SQUARE] = square
        frames.append(picture)
        down = right = 0
        while abs(down) + abs(right) < 2 or not (0 <= y + down <= most_y and 0 <= x + right <= most_x):
            down, right = (int(step) for step in draw.integers(-4, 5, 2))
        y, x = y + down, x + right
    return np.repeat(np.stack(frames)[..., None], 3, axis=3)


def patch(seed: int) -> np.ndarray:
    """A small square goes around in a ring by parts of a pixel; all else is still: RGB (T, H, W, 3)."""
    draw = np.random.default_rng(seed)
    ground, square = _texture(draw, HEIGHT, WIDTH), _texture(draw, 12, 12)
    frames = []
    for k in range(FRAMES):
        x, y = 36 + 2.5 * np.cos(0.4 * k), 26 + 2.5 * np.sin(0.4 * k)
        move = np.float32([[1, 0, x], [0, 1, y]])
        put = cv2.warpAffine(square.astype(np.float32), move, (WIDTH, HEIGHT))
        part = cv2.warpAffine(np.ones((12, 12), np.float32), move, (WIDTH, HEIGHT))
        frames.append((put + (1 - part) * ground).clip(0, 255).astype(np.uint8))
    return np.repeat(np.stack(frames)[..., None], 3, axis=3)


def _texture(draw: np.random.Generator, height: int, width: int) -> np.ndarray:
    soft = cv2.GaussianBlur(draw.uniform(0, 255, (height, width)).astype(np.float32), (0, 0), 1.2)
    return (128 + (soft - soft.mean()) * (45 / soft.std())).clip(0, 255).astype(np.uint8)


def mpeg4(path: Path, frames: np.ndarray) -> None:
    """An AVI like those of UCF101: one frame depends on the one before, so that damage spreads."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "2", "flags": "+qscale"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.codec_context.qmin, stream.codec_context.qmax = 2, 2
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def replant(
    home: Path,
    field: Callable[[np.ndarray, int], np.ndarray] = lambda flow, k: flow[k],
    *,
    keep: Callable[[str], bool] = lambda name: True,
    changed: Callable[[str], bool] = lambda name: True,
) -> None:
    """The store anew, in the same place: of each `changed` video, field k is `field(flow, k)` in pixels; only videos
    that are to be kept are in it.
    """
    (folder,) = [path for path in stores(home).iterdir() if (path / INDEX).is_file()]
    store, aside = Store.open(folder), folder.with_name("aside")
    with PartWriter(aside / "part-00000", "part-00000", Coding()) as part:
        for name, video in store.videos.items():
            if not keep(name):
                continue
            levels = np.stack([np.array(one) for one in store.flow(name, 0, video.frames - 1)])
            if changed(name):
                flow = dequantise(levels, store.bound)
                levels = np.stack([quantise(field(flow, k), store.bound) for k in range(len(flow))])
            part.add(name, video.label, store.all_frames(name), levels)
    write_index(aside, part.videos, store.signature, store.recipe, store.made, Coding())
    shutil.rmtree(folder)
    aside.rename(folder)


def images(home: Path) -> Path:
    """The flow of the store as images, two a field, in place of the store: the folder of all."""
    (folder,) = [path for path in stores(home).iterdir() if (path / INDEX).is_file()]
    store, root = Store.open(folder), home / "flow"
    for name, video in store.videos.items():
        place = root / Path(name).with_suffix("")
        place.mkdir(parents=True)
        for number, field in enumerate(store.flow(name, 0, video.frames - 1), 1):
            for axis, plane in zip("xy", field, strict=True):
                assert cv2.imwrite(str(place / f"flow_{axis}_{number:05d}.png"), np.asarray(plane))
    shutil.rmtree(folder)
    return root


def change_images(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for file in root.rglob("*.png"):
        assert cv2.imwrite(str(file), change(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)))


def imported(home: Path) -> None:
    """Let the store say that its flow was imported."""
    (index,) = stores(home).glob(f"*/{INDEX}")
    store = Store.open(index.parent)
    made = {**store.made, "flow": {**store.made["flow"], "method": "imported", "order": "xy", "offset": 0}}
    write_index(index.parent, store.videos, store.signature, store.recipe, made, store.coding)
    assert read_json(index)["made"] == json.loads(json.dumps(made))


def wrong(report: dict[str, Any]) -> list[str]:
    return [one["code"] for one in report["findings"] if one["severity"] == "wrong"]


def names(report: dict[str, Any], code: str) -> list[str]:
    (found,) = [one for one in report["findings"] if one["code"] == code]
    assert found["count"] == len(found["files"])
    return [file["name"] for file in found["files"]]
