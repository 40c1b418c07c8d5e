"""The site is built from the repository's pages without a network, and the other languages' READMEs keep to ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tree import ROOT

LANGUAGES = ("README.zh.md", "README.ko.md")
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
CODE = re.compile(r"```(?:bash|python|yaml)\n.*?```", re.DOTALL)


class References(HTMLParser):
    """What a page loads, and where its links lead."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if address := given.get(LOADED.get(tag, "")):
            self.loaded.append(address)
        elif tag == "a" and (address := given.get("href")):
            self.links.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(place)]
    around = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return place


def test_each_page_is_in_the_site_and_in_its_menu(site: Path) -> None:
    menu = {(site / link).resolve() for link in References(site / "index.html").links}
    for page in [*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in LANGUAGES)]:
        made = site / page.relative_to(ROOT).with_suffix(".html")
        assert made.is_file() and made.resolve() in menu, f"{page.name} is not in the nav of mkdocs.yml"


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        outside = [address for address in References(page).loaded if urlsplit(address).scheme not in ("", "data")]
        assert not outside, page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", style.read_text(encoding="utf-8")), style


def test_each_link_and_picture_is_there(site: Path) -> None:
    counted = 0
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # a server may show it at any depth, so its addresses begin at the root
            continue
        found = References(page)
        for address in [*found.loaded, *found.links]:
            parts = urlsplit(address)
            if not parts.scheme and parts.path:
                assert (page.parent / unquote(parts.path)).exists(), f"{page.relative_to(site)}: {address}"
                counted += 1
    assert counted > 1000


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_readme_of_another_language_is_short_and_has_our_code(name: str) -> None:
    text, ours = (ROOT / name).read_text(encoding="utf-8"), (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert f"]({name})" in ours
    assert all(f"]({other})" in text for other in ("README.md", *LANGUAGES) if other != name)
    blocks, rest = CODE.findall(text), iter(CODE.findall(ours))
    assert len(blocks) >= 4
    assert all(block in rest for block in blocks), "a code block is not in README.md, or stands in another order"
