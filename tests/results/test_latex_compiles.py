"""The LaTeX of tables compiles, and nothing is wider than its column: `make latex`.

Skipped where there is no pdflatex; with FUSIONLAB_LATEX set, as in CI, that is a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from fusionlab.results.cross import cross_latex, make_cross
from fusionlab.results.latex import latex, short_latex
from fusionlab.results.load import load
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("pdflatex") is None and not os.environ.get("FUSIONLAB_LATEX"), reason="no pdflatex here"
    ),
]
LATIN = (
    "<script>alert('x')</script> & \"a|b\" \\input{/etc/passwd} $x_1^2$ 100% #1 ~ `c` *d* [e](f) a--b,,c ?` <<",
    "[e] größer, żółw, ß", "*star", "x" * 300, "(a", "{a}&_b",
)  # fmt: skip
WIDER = ("融合 & 方法_1", '융합 "따옴표" {a}', "Кириллица")
PAGE = (
    r"\documentclass[10pt,twocolumn]{article}"
    r"\usepackage[paperwidth=8.5in,paperheight=11in,textwidth=7in,columnsep=.4in]{geometry}"
)


def compile_latex(text, folder):
    """The log; the packages are those of the text's own comments."""
    needed = [line.removeprefix("% ") for line in text.splitlines() if line.startswith("% ")]
    engine = "xelatex" if needed[0].startswith("xelatex: ") else "pdflatex"
    needed[0] = needed[0].removeprefix("xelatex: ")
    whole = "\n".join([PAGE, *needed, r"\begin{document}", text, r"\end{document}"])
    (folder / "x.tex").write_text(whole, encoding="utf-8")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "x.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    return engine, (folder / "x.log").read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize(("names", "engine"), [((), "pdflatex"), (LATIN, "pdflatex"), (WIDER, "xelatex")])
def test_it_compiles_and_fits(study, spec, fakes, tmp_path, names, engine):
    for name in names:
        axes = {"streams": "both", "fusion": name, "layer": "relu5", "temporal": "pool2d"}
        fakes["arm"](study, kind="fused", axes={**axes, "seed": 0}, shares={"what": 0.5, "binding": 0.5})
        fakes["arm"](study, kind="fused", axes={**axes, "seed": 1}, reason=f"line one\nline two {name}")
    table = make_table(load(study), Spec.of({"caption": names[0]} if names else spec))
    cross = make_cross(table, ["fusion"], ["layer"])
    many = replace(cross, heads=cross.heads * 20, lines=tuple((name, cells * 20) for name, cells in cross.lines))
    for text in (latex(table), short_latex(table), cross_latex(cross), cross_latex(many)):
        used, log = compile_latex(text, tmp_path)
        assert used == engine
        wide = [float(one) for one in re.findall(r"Overfull \\hbox \(([0-9.]+)pt", log)]
        assert max(wide, default=0) <= 1, wide
        assert "Missing character" not in log
