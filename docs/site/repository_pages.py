"""A hook of mkdocs: the site has the repository's own paths, so that each link works in both.

The pages are docs/, experiments/ and those of the root; README.md is the start page. A file that a page links to is
part of the site, too.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
OWN = "docs/site"  # the style, the script and the icon of the site


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All that is in docs/ is taken again, with the other pages, by its path from the root."""
    root = Path(config.config_file_path).parent
    theme = [file for file in files if file.src_dir != config.docs_dir]
    pages = [place for pattern in ("*.md", "docs/*.md", "experiments/**/*.md") for place in sorted(root.glob(pattern))]
    linked = {(page.parent / target).resolve() for page in pages for target in LINK.findall(page.read_text("utf-8"))}
    found = {*pages, *(place for place in linked if place.is_file()), *(root / OWN).glob("*.[!p]*")}
    return Files([*theme, *(_file(place, root, config) for place in sorted(found))])


def _file(place: Path, root: Path, config: MkDocsConfig) -> File:
    return File(place.relative_to(root).as_posix(), str(root), config.site_dir, config.use_directory_urls)
