"""Files of strangers: texts that lead to other files, and few bytes that ask for much memory. Each is looked at by a
process of its own, since what is not refused may crash or hang it.
"""

import io
import os
import resource
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from film_fakes import moving, write

from fusionlab.errors import UserError
from fusionlab.training import checkpoint
from fusionlab.training.weights import read_weights
from fusionlab.video.decode import READERS
from fusionlab.video.inspection import inspect
from fusionlab.video.opencv import decoded

LOOK = """
import resource, sys
from pathlib import Path
from fusionlab.errors import UserError
from fusionlab.video.decode import READERS
from fusionlab.video.film import Film
from fusionlab.video.header import header
name, path = sys.argv[1], Path(sys.argv[2])
assert header(path).frames is None
for look in (lambda: list(READERS[name]().frames(path)), lambda: Film(path, READERS[name]())[0]):
    try:
        look()
    except UserError as error:
        print(error.what)
    else:
        sys.exit("it was read")
"""


def looked_at(name: str, path: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", LOOK, name, str(path)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("victim") / "secret.avi"
    write(place, moving(12), "mpeg4")
    return place


TEXTS = {
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "ffconcat behind a line": "\n# x\nffconcat version 1.0\nfile '{}'\n",
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
    "hls of an address": "#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation>'
    "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
    "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"/>',
    "avs": 'AviSource("{}")\n',
    "nothing known": "hello {0}\n" * 50,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_that_leads_to_other_files_is_no_video(tmp_path: Path, victim: Path, kind: str, name: str) -> None:
    path = tmp_path / "x.avi"
    shutil.copy(victim, tmp_path)  # FFmpeg follows a plain name in the same folder
    path.write_text(TEXTS[kind].format(victim.name))
    done = looked_at(name, path)
    assert done.returncode == 0, done.stderr
    assert inspect(path).error is not None


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / "x.avi"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    done = looked_at(name, path)
    assert done.returncode == 0, done.stderr


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compressobj()
    body = b"".join(rows.compress(bytes(1 + 3 * width)) for _ in range(height)) + rows.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def peak() -> int:
    """Bytes that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_an_image_bomb_is_refused_by_its_header() -> None:
    import cv2

    bomb, before = png(15_000, 15_000), peak()
    assert len(bomb) < 1_000_000
    with pytest.raises((UserError, ValueError)) as caught:
        decoded(bomb, cv2.IMREAD_COLOR)
    assert "15000" in str(caught.value)
    assert peak() - before < 200 << 20
    assert decoded(png(64, 48), cv2.IMREAD_COLOR).shape == (48, 64, 3)


def zip_bomb(path: Path) -> None:
    """A file as torch.save writes it, of 512 MB of zeros, with its entries deflated."""
    small = io.BytesIO()
    torch.save({"x": torch.zeros(1000)}, small)
    with zipfile.ZipFile(small) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            if not name.endswith("/data/0"):
                packed.writestr(name, plain.read(name))
                continue
            with packed.open(name, "w", force_zip64=True) as entry:
                for _ in range(64):
                    entry.write(bytes(8 << 20))


@pytest.mark.parametrize("read", [read_weights, pytest.param(checkpoint.read, marks=pytest.mark.slow)])
def test_a_zip_bomb_is_refused_before_memory_is_asked_for(tmp_path: Path, read) -> None:
    zip_bomb(tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 16 << 20
    before = peak()
    with pytest.raises(UserError):
        read(tmp_path / "x.pt")
    assert peak() - before < 200 << 20
