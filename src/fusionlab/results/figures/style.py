"""One style for all figures: colours, sizes, fonts, and how they are written as SVG and PDF.

Nothing is drawn by pyplot, so no backend is chosen. Colours stand in the SVG as variables of CSS with the light ones as
fallback, text stays text, and the same figure has the same bytes.
"""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from fusionlab.errors import UserError
from fusionlab.records.files import write_bytes
from fusionlab.results import formatting

try:
    import matplotlib
except ValueError:  # MPLBACKEND names no backend: no figure needs one, but matplotlib cannot be imported
    _backend = os.environ.pop("MPLBACKEND")
    for _name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        del sys.modules[_name]
    import matplotlib

    os.environ["MPLBACKEND"] = _backend
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Sheet
from matplotlib.font_manager import fontManager
from matplotlib.patches import Rectangle

INK, SOFT, LINE, CARD, OUT = "#1d2430", "#667085", "#e4e7ec", "#ffffff", "#f1f2f5"
ACCENT, BASE, CEILING, BAD = "#0f766e", "#64748b", "#c77700", "#b42318"
_VARIABLES = {
    INK: "ink", SOFT: "soft", LINE: "line", CARD: "card", OUT: "out",
    ACCENT: "accent", BASE: "base", CEILING: "ceiling", BAD: "bad",
}  # fmt: skip
# The cells of heat maps, from light to dark; lightness falls evenly, so they read in grey. The same in both themes.
SHADES = ("#f3faf9", "#d3ebe7", "#a9d6cf", "#7bbdb4", "#4da098", "#26807a", "#0e5f5b", "#04403f")
DARK = "#10151d"  # text on a light cell
LIGHT = "#fefefe"  # text on a dark one
WIDTH = 6.9  # inches: both columns of a paper
TEXT = 7.5  # points
SMALL = 7.0
_LINE = 0.2  # inches of a line below
_PIXELS = 150  # of the page for an inch: the text has 15 px and 1,035 px are the width
_CJK = (
    "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans KR", "Source Han Sans SC",
    "WenQuanYi Micro Hei", "Microsoft YaHei", "PingFang SC", "Malgun Gothic", "Apple SD Gothic Neo", "NanumGothic",
)  # fmt: skip
_SCREEN = "system-ui,-apple-system,&quot;Segoe UI&quot;,&quot;DejaVu Sans&quot;,sans-serif"
_NO_DATE = {"Date": None, "Creator": None, "Format": None, "Type": None}
_MISSING = re.compile(r"Glyph (\d+) ")


@dataclass(frozen=True)
class Figure:
    """A figure of a report. `name`: of its file; `alt`: what is seen, and what was left out; `note`: a line below."""

    name: str
    title: str
    alt: str
    draw: Callable[[], Sheet] = field(repr=False, compare=False)
    note: str = ""

    def sheet(self) -> Sheet:
        """The drawing, as matplotlib has it."""
        with _style(self.name, ["DejaVu Sans"]):
            return self._drawn()

    def svg(self) -> str:
        """An <svg> element without a prolog. The reader's own fonts show it."""
        return self._svg

    def pdf(self) -> bytes:
        return self._pdf[0]

    def unprintable(self) -> str:
        """The characters that no font of this machine has, so that the PDF shows boxes for them."""
        return self._pdf[1]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, as its ending says: .svg or .pdf."""
        content = {".svg": lambda: self.svg().encode() + b"\n", ".pdf": self.pdf}.get(Path(path).suffix.lower())
        if content is None:
            raise UserError("a figure is saved as SVG or PDF", got=path, allowed=["name.svg", "name.pdf"])
        write_bytes(path, content())

    def _drawn(self) -> Sheet:
        return with_line(self.draw(), self.note) if self.note else self.draw()

    @cached_property
    def _svg(self) -> str:
        text = io.StringIO()
        with _style(self.name, ["DejaVu Sans"]):
            sheet = self._drawn()
            FigureCanvasSVG(sheet).print_svg(text, metadata=_NO_DATE)  # type: ignore[no-untyped-call]
            width, height = sheet.get_size_inches()
        return _inline(text.getvalue(), self, width, height)

    @cached_property
    def _pdf(self) -> tuple[bytes, str]:
        known = {font.name for font in fontManager.ttflist}
        content = io.BytesIO()
        with _style(self.name, ["DejaVu Sans", *(name for name in _CJK if name in known)]) as absent:
            FigureCanvasPdf(self._drawn()).print_pdf(  # type: ignore[no-untyped-call]
                content, metadata={"CreationDate": None, "Producer": None, "Creator": None, "Title": self.title}
            )
        return content.getvalue(), "".join(sorted(absent))

    def _repr_svg_(self) -> str:
        """The picture that a notebook shows."""
        return self.svg()


@contextmanager
def _style(name: str, families: Sequence[str]) -> Iterator[set[str]]:
    """Our fonts, and no mathematics in names. It gives the glyphs that no font has, which are complete at its end."""
    absent: set[str] = set()
    own: dict[str, Any] = {
        "font.family": list(families), "font.size": TEXT, "text.parse_math": False, "text.usetex": False,
        "svg.fonttype": "none", "svg.hashsalt": name, "pdf.fonttype": 42, "text.color": INK,
        "axes.edgecolor": LINE, "axes.labelcolor": SOFT, "axes.facecolor": "none", "figure.facecolor": "none",
        "xtick.color": SOFT, "ytick.color": SOFT, "axes.linewidth": 0.6, "hatch.linewidth": 0.5,
        "axes.unicode_minus": True, "path.simplify": False,
    }  # fmt: skip
    with warnings.catch_warnings(record=True) as seen, matplotlib.rc_context():
        warnings.simplefilter("always")
        matplotlib.rcdefaults()  # the user's matplotlibrc changes no figure
        matplotlib.rcParams.update(own)  # type: ignore[arg-type]
        yield absent
    for warning in seen:
        if found := _MISSING.match(str(warning.message)):
            absent.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _inline(text: str, figure: Figure, width: float, height: float) -> str:
    """The element for a page: ids of its own, colours as variables, title and description for a screen reader."""
    prefix = f"fl-{figure.name}-"
    text = re.sub(r"<[^<>]*>", lambda tag: _tag(tag[0], prefix), text[text.index("<svg") :])
    text = re.sub(r"<style[^>]*>\*\{", f'<style type="text/css">#{prefix}picture *{{', text)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" id="{prefix}picture" '
        f'class="fl-picture" role="img" aria-labelledby="{prefix}title {prefix}alt" '
        f'viewBox="0 0 {72 * width:g} {72 * height:g}" width="{_PIXELS * width:.0f}" '
        f'height="{_PIXELS * height:.0f}">\n'
        f'<title id="{prefix}title">{escape(formatting.plain(figure.title))}</title>\n'
        f'<desc id="{prefix}alt">{escape(formatting.plain(f"{figure.alt} {figure.note}".strip()))}</desc>'
        f'<rect width="100%" height="100%" style="fill: var(--card,{CARD})"/>'
    )
    return head + text[text.index(">") + 1 :]


def _tag(tag: str, prefix: str) -> str:
    tag = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}", tag)
    tag = re.sub(r"font: ([^;\"]*?px) [^;\"]*", rf"font: \1 {_SCREEN}", tag)
    tag = re.sub(r' (fill|stroke)="(#[0-9a-f]{6})"', r' style="\1: \2"', tag)  # of a hatch
    return re.sub(
        r": (#[0-9a-f]{6})",
        lambda hit: f": var(--{_VARIABLES[hit[1]]},{hit[1]})" if hit[1] in _VARIABLES else hit[0],
        tag,
    )


def sheet(height: float, width: float = WIDTH) -> Sheet:
    """An empty sheet, in inches."""
    return Sheet(figsize=(width, height))


def panel(on: Sheet, left: float, top: float, width: float, height: float, head: str = "", under: str = "") -> Axes:
    """Axes at a place in inches from the upper left corner, without a frame, with one or two lines of text above."""
    whole_width, whole_height = on.get_size_inches()
    place = (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    axes: Axes = on.add_axes(place)
    axes.set_frame_on(False)
    axes.tick_params(length=0, labelsize=SMALL, pad=2)
    if head:
        write(on, left, top - (0.24 if under else 0.1), head, weight="bold")
    if under:
        write(on, left, top - 0.1, under, size=SMALL, colour=SOFT)
    return axes


def write(on: Sheet, x: float, y: float, text: str, *, size: float = TEXT, colour: str = INK, anchor: str = "left",
          weight: str = "normal") -> None:  # fmt: skip
    """Text at a place in inches from the upper left corner; y is its baseline."""
    width, height = on.get_size_inches()
    on.text(x / width, 1 - y / height, text, size=size, color=colour, ha=anchor, va="baseline", weight=weight)


def with_line(on: Sheet, text: str) -> Sheet:
    """The sheet with a line of text at its lower end; it becomes higher, and what is on it keeps its size."""
    width, height = on.get_size_inches()
    share = height / (height + _LINE)
    on.set_size_inches(width, height + _LINE)
    for axes in on.axes:
        x, y, wide, high = axes.get_position(original=True).bounds
        axes.set_position((x, 1 - share * (1 - y), wide, share * high))
    for one in on.texts:
        x, y = one.get_position()
        one.set_position((x, 1 - share * (1 - y)))
    write(on, 0.1, height + _LINE / 2, text, size=SMALL, colour=SOFT)
    return on


def cut(text: str, most: int) -> str:
    """One line of limited length: a figure has no room for more."""
    line = formatting.plain(text)
    return line if len(line) <= most else line[: most - 1] + "…"


def shade(share: float) -> tuple[str, str]:
    """The colours of a cell and of its text, from 0 (light) to 1 (dark)."""
    at = min(len(SHADES) - 1, max(0, int(share * len(SHADES))))
    return SHADES[at], LIGHT if at >= 5 else DARK


def grid(
    on: Sheet,
    place: tuple[float, float],
    size: float | tuple[float, float],
    cells: Sequence[Sequence[tuple[float | None, str]]],
    lines: Sequence[str],
    heads: Sequence[str],
) -> Axes:
    """Cells with numbers: (shade from 0 to 1, text); without a shade a cell is hatched. Names stand left and below."""
    wide, high = size if isinstance(size, tuple) else (size, size)
    axes = panel(on, *place, wide * len(heads), high * len(lines))
    axes.set_xlim(0, len(heads))
    axes.set_ylim(len(lines), 0)
    for y, line in enumerate(cells):
        for x, (share, text) in enumerate(line):
            fill, ink = (OUT, SOFT) if share is None else shade(share)
            hatch = "////" if share is None and text else None
            edge = LINE if share is None else fill
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=fill, edgecolor=edge, linewidth=0.3, hatch=hatch))
            if text:
                axes.text(x + 0.5, y + 0.5, text, size=SMALL, color=ink, ha="center", va="center")
    axes.set_yticks([y + 0.5 for y in range(len(lines))], [cut(name, 30) for name in lines], color=INK)
    flat = all(len(cut(name, 30)) * 0.062 < wide for name in heads)
    axes.set_xticks(
        [x + 0.5 for x in range(len(heads))], [cut(name, 30) for name in heads], color=INK,
        rotation=0 if flat else 40, ha="center" if flat else "right", rotation_mode="anchor",
    )  # fmt: skip
    return axes
