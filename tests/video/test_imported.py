"""Flow images that others have written, in each layout, are packed as they are."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from flow_images import FRAMES, HEIGHT, NAMES, WIDTH, Two, packed, picture, planes, write, write_videos

from fusionlab.errors import UserError
from fusionlab.preparation.prepare import prepare
from fusionlab.video.imported import LAYOUTS, Imported, has_aspect, is_squashed
from fusionlab.video.store import Coding, Store

CLIPS = os.environ.get("FUSIONLAB_CLIPS")


@pytest.fixture
def videos(tmp_path: Path) -> Two:
    return write_videos(tmp_path / "videos")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("flow", ["jpeg", "lz4", "raw"])
def test_each_layout_is_recognised_and_read(videos: Two, tmp_path: Path, layout: str, classes: bool, flow: str) -> None:
    write(tmp_path / "flow", layout, classes=classes)
    said: list[str] = []
    store = packed(videos, tmp_path / "flow", tmp_path / "s", Coding("jpeg", flow), said)
    assert store.made["flow"] == {
        "method": "imported", "layout": layout, "order": "xy", "offset": 0, "frames": "video", "bound": 20.0,
    }  # fmt: skip
    assert any(f"in the layout {layout}" in line for line in said) and any("to the right" in line for line in said)
    for name in NAMES:
        video = store.video(name)
        assert (video.frames, video.height, video.width) == (FRAMES, HEIGHT, WIDTH)
        for k, field in enumerate(store.flow(name, 0, FRAMES - 1)):
            for component in (0, 1):
                _, jpeg = cv2.imencode(".jpg", planes(name, component)[k])
                np.testing.assert_array_equal(field[component], cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE))
    store.verify()


def test_a_folder_of_another_case_is_found(videos: Two, tmp_path: Path) -> None:
    """HandstandPushups: released flow lies under v_HandStandPushups_…."""
    write(tmp_path / "flow", "gpu_flow")
    for above in ("u", "v"):
        (tmp_path / "flow" / above / "v_Hop_g01_c01").rename(tmp_path / "flow" / above / "v_HOP_g01_c01")
    store = packed(videos, tmp_path / "flow", tmp_path / "s", Coding("jpeg", "jpeg"))
    assert set(store.videos) == set(NAMES)


def test_the_bytes_of_the_images_are_kept_as_they_are(videos: Two, tmp_path: Path) -> None:
    write(tmp_path / "flow", "tsn")
    store = packed(videos, tmp_path / "flow", tmp_path / "s", Coding("jpeg", "jpeg"), frames="images")
    content, frames = (
        b"".join(part.read_bytes() for part in sorted(store.folder.glob(f"part-*/{file}.bin")))
        for file in ("flow", "frames")
    )
    for name in NAMES:
        folder = tmp_path / "flow" / Path(name).stem
        window = b"".join((folder / f"flow_{c}_{k:05d}.jpg").read_bytes() for k in (3, 4, 5) for c in "xy")
        assert window in content, "a window of fields is one run of bytes"
        assert (folder / "img_00007.jpg").read_bytes() in frames


def test_frames_may_be_images_too_and_videos_are_then_not_needed(tmp_path: Path) -> None:
    write(tmp_path / "flow", "gpu_flow", digits=6)
    store = packed(Two(tmp_path / "nowhere"), tmp_path / "flow", tmp_path / "s", Coding("jpeg", "lz4"), frames="images")
    for name in NAMES:
        found = store.frames(name, [2])[0]
        _, jpeg = cv2.imencode(".jpg", picture(9002, HEIGHT, WIDTH, 3))
        np.testing.assert_array_equal(found, cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1])


def test_order_and_offset_say_what_the_files_hold(videos: Two, tmp_path: Path) -> None:
    write(tmp_path / "flow", "xy")
    plain = packed(videos, tmp_path / "flow", tmp_path / "s", Coding("raw", "jpeg"))
    turned = packed(videos, tmp_path / "flow", tmp_path / "s", Coding("raw", "jpeg"), order="yx")
    for name in NAMES:
        for one, other in zip(plain.flow(name, 0, 6), turned.flow(name, 0, 6), strict=True):
            np.testing.assert_array_equal(one, other[::-1])
    # Field k lies in file k + 1: the first file is nobody's, the last frame has no field.
    later = packed(videos, tmp_path / "flow", tmp_path / "s", Coding("raw", "jpeg"), offset=1)
    # Field k lies in file k − 1: the first frame has none, the last file leads nowhere.
    earlier = packed(videos, tmp_path / "flow", tmp_path / "s", Coding("raw", "jpeg"), offset=-1)
    whole, frames = {}, {}
    for name in NAMES:
        whole[name], frames[name] = np.stack(list(plain.flow(name, 0, 6))), plain.all_frames(name)
        assert later.video(name).frames == FRAMES - 1 and "frames left out" in later.notes[name][0]
        np.testing.assert_array_equal(np.stack(list(later.flow(name, 0, 5))), whole[name][1:])
        np.testing.assert_array_equal(later.all_frames(name), frames[name][:-1])
        assert earlier.video(name).frames == FRAMES - 1 and "the last 1 left out" in earlier.notes[name][0]
        np.testing.assert_array_equal(np.stack(list(earlier.flow(name, 0, 5))), whole[name][:-1])
        np.testing.assert_array_equal(earlier.all_frames(name), frames[name][1:])


@pytest.mark.parametrize("fewer", [1, 2])
def test_one_image_too_few_is_a_miscount_and_two_are_an_error(videos: Two, tmp_path: Path, fewer: int) -> None:
    write(tmp_path / "flow", "xy")
    for name in NAMES:
        for number in range(FRAMES - 1, FRAMES - 1 - fewer, -1):
            for component in "xy":
                (tmp_path / "flow" / Path(name).stem / f"{component}_{number:05d}.jpg").unlink()
    if fewer == 1:
        store = packed(videos, tmp_path / "flow", tmp_path / "s", Coding("raw", "jpeg"))
        assert all(store.video(name).frames == FRAMES - 1 and store.notes[name] for name in NAMES)
    else:
        with pytest.raises(UserError, match="4 fields need 5 frames, but there are 7"):
            packed(videos, tmp_path / "flow", tmp_path / "s", Coding("raw", "jpeg"))


def test_what_is_wrong_with_images_is_told(videos: Two, tmp_path: Path) -> None:
    def told(match: str) -> None:
        with pytest.raises(UserError) as error:
            packed(videos, tmp_path / "flow", tmp_path / "s", Coding("jpeg", "jpeg"))
        assert match in str(error.value), str(error.value)

    told("no such folder of flow images")
    (tmp_path / "flow").mkdir()
    told("no flow images of these videos are in this folder")
    write(tmp_path / "flow", "tsn")
    folder = tmp_path / "flow" / "v_Hop_g01_c01"
    (folder / "flow_x_00003.jpg").rename(folder / "gone.jpg")
    told("images are missing in between: Hop/v_Hop_g01_c01.avi: flow_x_3")
    (folder / "gone.jpg").rename(folder / "flow_x_00003.jpg")
    (folder / "flow_y_00006.jpg").unlink()
    told("lack the other: Hop/v_Hop_g01_c01.avi: flow_x_00006.jpg stands alone")
    (folder / "flow_x_00006.jpg").unlink()
    (folder / "flow_x_00005.jpg").write_bytes(b"no picture")
    told("flow_x_00005.jpg")
    cv2.imwrite(str(folder / "flow_x_00005.jpg"), np.zeros((HEIGHT, WIDTH + 2), np.uint8))
    told("differ in size")
    with pytest.raises(UserError, match="needs the folder"):
        Imported().open(None)
    with pytest.raises(UserError, match="unknown layout"):
        Imported(layout="tns")


@pytest.mark.parametrize(
    "images, frames, kept, squashed",
    [
        ((240, 320), (240, 320), True, False),
        ((256, 340), (240, 320), True, True),
        ((256, 341), (240, 320), True, False),
        ((256, 342), (240, 320), True, False),
        ((22, 30), (240, 320), True, False),
        ((320, 240), (240, 320), False, False),  # transposed
        ((340, 256), (240, 320), False, False),
        ((240, 320), (320, 240), False, False),
        ((256, 340), (320, 240), False, False),  # transposed or squashed: nobody knows
        ((242, 240), (240, 242), False, False),  # nearly square, and transposed
        ((240, 240), (240, 240), True, False),
        ((256, 256), (240, 240), True, False),
        ((256, 340), (240, 240), False, True),
        ((256, 340), (240, 560), False, True),  # HMDB51's widest
        ((256, 340), (1280, 720), False, True),
        ((224, 224), (240, 320), False, False),
        ((100, 300), (240, 320), False, False),
    ],
)
def test_images_have_the_frames_aspect_or_the_size_of_tsn_s_tool(
    images: tuple[int, int], frames: tuple[int, int], kept: bool, squashed: bool
) -> None:
    assert (has_aspect(images, frames), is_squashed(images, frames)) == (kept, squashed)


def test_a_store_of_the_neutral_aspect_is_described_as_before_it_was_known() -> None:
    plain = {"method": "imported", "layout": "auto", "order": "xy", "offset": 0, "frames": "video"}
    assert Imported().describe() == plain
    assert Imported(aspect="any").describe() == {**plain, "aspect": "any"}


def test_a_size_that_the_images_do_not_have_is_told(videos: Two, tmp_path: Path) -> None:
    write(tmp_path / "flow", "tsn")
    with pytest.raises(UserError, match="short side of 256"):
        prepare(
            videos,
            tmp_path / "s",
            Imported(),
            recipe={},
            coding=Coding("jpeg", "jpeg"),
            images=tmp_path / "flow",
            size=256,
        )


@pytest.mark.skipif(not CLIPS, reason="FUSIONLAB_CLIPS does not name a folder of real clips")
@pytest.mark.parametrize("flow", ["jpeg", "lz4"])
def test_real_images_in_tsn_s_layout(tmp_path: Path, flow: str) -> None:
    """Their numbers of frames and fields are equal: the last field leads nowhere."""
    assert CLIPS is not None

    class Lone:
        def videos(self) -> list[tuple[str, int]]:
            return [("flow_tsn_layout", 0)]

        def path(self, name: str) -> Path:
            return Path(CLIPS or "") / name

    root = Path(CLIPS)
    made = prepare(
        Lone(), tmp_path, Imported(frames="images"), recipe={}, coding=Coding("jpeg", flow), images=root, size=None
    )
    store = Store.open(made)
    for k, field in enumerate(store.flow("flow_tsn_layout", 0, store.video("flow_tsn_layout").frames - 1), 1):
        for plane, axis in zip(field, "xy", strict=True):
            image = cv2.imread(str(root / "flow_tsn_layout" / f"flow_{axis}_{k:05d}.jpg"), cv2.IMREAD_GRAYSCALE)
            np.testing.assert_array_equal(plane, image)
