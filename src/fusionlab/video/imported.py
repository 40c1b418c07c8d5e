"""Flow that was computed elsewhere, one image a plane, in the layouts of the papers' tools.

    tsn        <folder>/<video>/flow_x_00001.jpg   <folder>/<video>/flow_y_00001.jpg    frames: <video>/img_00001.jpg
    xy         <folder>/<video>/x_00001.jpg        <folder>/<video>/y_00001.jpg         frames: <video>/img_00001.jpg
    gpu_flow   <folder>/u/<video>/frame000001.jpg  <folder>/v/<video>/frame000001.jpg   frames: jpegs_256/<video>/frame…

<video> is a video's name without its ending, with the folder of its class or without it. Files are numbered without a
gap, from any number, and have 8 bits a level; those of flow are grey. The folder does not tell the following; it is
assumed, shown, and part of the store's identity:

    order     xy: the files called x (or u) hold u, to the right; yx: they hold v
    offset    field k, which leads from frame k to k + 1, lies in file number k + offset, counted from the first file
    bound     `data.store.bound`: level q stands for 2 bound q / 255 − bound pixels
    aspect    kept: images have the aspect of the frames, or 340×256, to which TSN's tool resizes all videos; any: every
              shape is taken. Frames are resized to the images

The doctor compares these assumptions with flow that it estimates itself.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusionlab.errors import UserError, unknown
from fusionlab.records.files import read_whole
from fusionlab.video.bounds import MOST_BYTES
from fusionlab.video.opencv import cv2, decoded, form_of

Planes = tuple[Path, Path]  # u, v
AUTO = "auto"
KEPT, ANY = "kept", "any"  # aspect
SQUASHED = (256, 340)  # TSN's tool resizes all videos to this height and width


@dataclass(frozen=True)
class Layout:
    """Folder and prefix of a video's images, below the folder of all."""

    x: tuple[str, str]  # folder, prefix of the file's name
    y: tuple[str, str]
    frames: tuple[str, str]


LAYOUTS = {
    "tsn": Layout(("", "flow_x_"), ("", "flow_y_"), ("", "img_")),
    "xy": Layout(("", "x_"), ("", "y_"), ("", "img_")),
    "gpu_flow": Layout(("u", "frame"), ("v", "frame"), ("jpegs_256", "frame")),
}
CHOICES = {
    "layout": (AUTO, *LAYOUTS), "order": ("xy", "yx"), "frames": ("video", "images"), "aspect": (KEPT, ANY),
}  # fmt: skip
_NUMBERED = re.compile(r"(\d+)\.(?:jpe?g|png)", re.IGNORECASE)


@dataclass(frozen=True)
class Imported:
    """Assumptions about a folder of flow images; `open` finds it. Used in place of an estimator."""

    layout: str = AUTO
    order: str = "xy"
    offset: int = 0
    frames: str = "video"  # where frames come from: the video, or images that lie beside those of flow
    aspect: str = KEPT

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise unknown(
                    f"{name} of imported flow", getattr(self, name), allowed, form=f"data.store.flow.{name}={{}}"
                )

    @property
    def needs_videos(self) -> bool:
        """Whether frames are read from the video files."""
        return self.frames == "video"

    def describe(self) -> dict[str, Any]:
        """Without `aspect` at its neutral value, which older stores lack."""
        leaves = asdict(self)
        return {
            "method": "imported",
            **{leaf: leaves[leaf] for leaf in leaves if leaf != "aspect" or self.aspect != KEPT},
        }

    def expect_store(self, *, backward: bool, rule: str) -> None:
        """Raise a `UserError` if the store needs more than the folder has."""
        for leaf, value, only in (("backward", backward, False), ("rule", rule, "bound")):
            if value != only:
                got, hint = (f"data.store.{leaf}={str(one).lower()}" for one in (value, only))
                raise UserError(
                    "imported flow has one direction and one bound", got=got,
                    hint=f"{hint}, or a flow that is computed: flow=dis_medium",
                )  # fmt: skip

    def open(self, folder: str | Path | None, videos: Iterable[str] = ()) -> FlowFiles:
        """The images in a folder. `videos`: names, to detect an `auto` layout by the first one that is there."""
        if not folder:
            raise UserError(
                "flow=imported needs the folder of the images of flow", got="run.flow=null",
                hint="run.flow=/folder/of/the/images",
            )  # fmt: skip
        root = Path(folder)
        with _listing():
            is_folder = root.is_dir()
        if not is_folder:
            raise UserError("no such folder of flow images", got=root, hint="run.flow=/folder/of/the/images")
        layout = self.layout if self.layout != AUTO else _recognised(root, videos)
        return FlowFiles(self, root, layout)


@dataclass(frozen=True)
class FlowFiles:
    """A folder of flow images, read by one layout."""

    assumed: Imported
    root: Path
    layout: str

    @property
    def has_frames(self) -> bool:
        """Whether frames lie beside the flow; else they are read from the videos."""
        return not self.assumed.needs_videos

    @property
    def offset(self) -> int:
        return self.assumed.offset

    def describe(self) -> dict[str, Any]:
        """Without the folder, which is not part of the store's identity."""
        return {**self.assumed.describe(), "layout": self.layout}

    def assumptions(self, bound: float) -> list[str]:
        """The assumptions, as lines for people."""
        x, y = (
            ("u, to the right", "v, downwards") if self.assumed.order == "xy" else ("v, downwards", "u, to the right")
        )
        named = LAYOUTS[self.layout]
        offset = self.assumed.offset
        first = "the first file leads from the first frame to the second"
        return [
            f"flow is imported from {self.root}, in the layout {self.layout}; assumed:",
            f"  {'/'.join(filter(None, named.x))}… holds {x}, {'/'.join(filter(None, named.y))}… holds {y}",
            f"  {first}" + (f", moved by offset={offset}" if offset else ""),
            f"  levels 0 … 255 stand for −{bound:g} … {bound:g} pixels, and 128 for none",
            "  the doctor compares these with flow that it estimates itself",
        ]

    def expect_shape(self, images: tuple[int, int], frames: tuple[int, int]) -> str | None:
        """Raise a `UserError` for images of another aspect than the frames: transposed ones, or those of other frames.

        The result is a remark where another aspect is allowed.
        """
        if has_aspect(images, frames):
            return None
        (height, width), (frames_height, frames_width) = images, frames
        sizes = f"images of flow are {width}×{height}, frames {frames_width}×{frames_height}"
        if self.assumed.aspect != ANY and not is_squashed(images, frames):
            raise UserError(
                f"{sizes}: another aspect{' (transposed?)' if has_aspect(images, frames[::-1]) else ''}; "
                f"data.store.flow.aspect={ANY} resizes frames to images of any shape"
            )
        return f"{sizes}: the aspect of the frames is lost"

    def fields(self, name: str) -> list[Planes]:
        """The images of a video's fields, (u, v) each, in order."""
        layout = LAYOUTS[self.layout]
        x, y = (self._numbered(name, *place) for place in (layout.x, layout.y))
        for number in sorted(set(x) ^ set(y)):
            lone = (x.get(number) or y[number]).name
            raise UserError("images of one component of flow lack the other", got=f"{name}: {lone} stands alone")
        pairs = [(x[number], y[number]) for number in sorted(x)][max(self.assumed.offset, 0) :]
        if not pairs:
            raise UserError("no image is left behind the offset", got=f"{name}: {len(x)}, offset={self.assumed.offset}")
        return pairs if self.assumed.order == "xy" else [(v, u) for u, v in pairs]

    @property
    def skipped_frames(self) -> int:
        """The number of frames at the start without a field."""
        return max(-self.assumed.offset, 0)

    def frames(self, name: str) -> list[Path]:
        """The images of a video's frames, where these are imported too."""
        images = self._numbered(name, *LAYOUTS[self.layout].frames)
        return [images[number] for number in sorted(images)][self.skipped_frames :]

    def _numbered(self, name: str, above: str, prefix: str) -> dict[int, Path]:
        """number -> file."""
        files: dict[int, Path] = {}
        with _listing():
            folder = next(filter(None, map(_folder, _places(self.root / above, name))), None)
            for file in sorted(folder.iterdir()) if folder else ():
                number = _NUMBERED.fullmatch(file.name.removeprefix(prefix))
                if file.name.startswith(prefix) and number:
                    twin = files.setdefault(int(number[1]), file)
                    if twin != file:
                        raise UserError("two images have one number", got=f"{name}: {twin.name} and {file.name}")
        if not files:
            where = " or ".join(str(place / f"{prefix}….jpg") for place in _places(self.root / above, name))
            raise UserError("no images of this video", got=name, hint=f"they are looked for in {where}")
        gap = set(range(min(files), max(files) + 1)) - set(files)
        if gap:
            raise UserError("images are missing in between", got=f"{name}: {prefix}{min(gap)} and {len(gap) - 1} more")
        return files


def has_aspect(images: tuple[int, int], frames: tuple[int, int]) -> bool:
    """Whether height and width of images have the aspect of frames.

    A tool rounds both sides: a fiftieth is allowed, and a pixel of the shorter side more.
    """
    ratio = images[0] * frames[1] / (images[1] * frames[0])
    transposed = images == frames[::-1] != frames
    return max(ratio, 1 / ratio) <= 1.02 + 1 / min(images) and not transposed


def is_squashed(images: tuple[int, int], frames: tuple[int, int]) -> bool:
    """Whether images have the one size of TSN's tool, and are not frames of that aspect, transposed."""
    return images == SQUASHED and not has_aspect(images, frames[::-1])


class Image(NamedTuple):
    """An image: its levels, and its bytes where it is a JPEG."""

    pixels: NDArray[np.uint8]
    jpeg: bytes | None


def read_plane(path: Path) -> Image:
    """An image of one component, (H, W)."""
    return _image(path, cv2.IMREAD_GRAYSCALE)


def read_frame(path: Path) -> Image:
    """An image of a frame, (H, W, 3) RGB."""
    return _image(path, cv2.IMREAD_COLOR_RGB)


def _image(path: Path, how: int) -> Image:
    # Not imread: it reports no errors, and fails on unusual names on some systems.
    content = read_whole(path, MOST_BYTES)
    try:
        form = form_of(content)
        if form is not None and form.bits > 8:
            raise ValueError(f"it has {form.bits} bits a level; 8 are read")
        if form is not None and form.is_jpeg and form.channels == 4:
            raise ValueError("it is CMYK")
        pixels = decoded(content, how)
        assert form is not None, "decoded without a header"
        is_plane = how == cv2.IMREAD_GRAYSCALE
        if form.channels in (2, 4) or (is_plane and form.channels > 1):
            _expect_plain(decoded(content, cv2.IMREAD_UNCHANGED), is_plane)
    except ValueError as error:
        raise UserError(f"this image cannot be used: {error}", got=path) from error
    return Image(pixels, content if form.is_jpeg else None)


def _expect_plain(pixels: NDArray[np.uint8], is_plane: bool) -> None:
    """Raise a `ValueError` where something is transparent, or a component of flow is coloured."""
    if (pixels[..., 3:] != 255).any():
        raise ValueError("it is transparent in places")
    if is_plane and (pixels[..., 1:3] != pixels[..., :1]).any():
        raise ValueError("it has colours; a component of flow is grey")


@contextlib.contextmanager
def _listing() -> Iterator[None]:
    """A folder that cannot be read is a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"a folder of images cannot be read ({error.strerror})", got=error.filename) from error


def _recognised(root: Path, videos: Iterable[str]) -> str:
    for name in videos:
        for layout, one in LAYOUTS.items():
            folder, prefix = one.x
            with contextlib.suppress(OSError):  # of this video alone
                for place in filter(None, map(_folder, _places(root / folder, name))):
                    if any(place.glob(f"{prefix}[0-9]*")):
                        return layout
    shown = [str(Path(one.x[0], "<video>", f"{one.x[1]}00001.jpg")) for one in LAYOUTS.values()]
    raise UserError("no flow images of these videos are in this folder", got=root, allowed=shown, hint="run.flow=…")


def _folder(exact: Path) -> Path | None:
    """A video's folder under its name, or the only one beside that differs in case (v_HandStandPushups_…)."""
    if exact.is_dir():
        return exact
    beside = exact.parent.iterdir() if exact.parent.is_dir() else ()
    alike = [one for one in beside if one.name.casefold() == exact.name.casefold() and one.is_dir()]
    return alike[0] if len(alike) == 1 else None


def _places(root: Path, name: str) -> list[Path]:
    """The possible folders of a video's images, with the folder of its class and without."""
    whole = Path(name).with_suffix("")
    return list(dict.fromkeys([root / whole, root / whole.name]))
