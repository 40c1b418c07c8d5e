"""Every format is read back by another hand and holds the same cells; hostile names stay text."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from fusionlab.errors import visible
from fusionlab.results import formatting
from fusionlab.results import latex as latex_module
from fusionlab.results.csv_table import csv_text
from fusionlab.results.figures.accuracy import accuracy
from fusionlab.results.formatting import superscript
from fusionlab.results.latex import escape_latex, latex
from fusionlab.results.load import load
from fusionlab.results.page import page
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table
from fusionlab.results.text_tables import markdown, terminal

HOSTILE = (
    "<script>alert('x')</script> & \"a|b\" \\input{/etc/passwd} $x_1^2$ 100% #1 ~ `c` *d* [e](f) \x1b[31mred\u202eend"
)


@pytest.fixture
def table(study, spec):
    return make_table(load(study), Spec.of(spec))


@pytest.fixture
def hostile(study, fakes):
    axes = {"streams": "both", "fusion": HOSTILE, "layer": "relu5", "temporal": "pool2d"}
    fakes["arm"](study, kind="fused", axes={**axes, "seed": 0}, shares={"what": 0.5, "binding": 0.5})
    fakes["arm"](study, kind="fused", axes={**axes, "seed": 1}, reason=f"line one\nline two {HOSTILE}")
    return make_table(load(study), Spec.of({"caption": HOSTILE}))


def cells_of(table, shown=None):
    """The cells: marks behind the first one, a span in the next. `shown`: the marks whose notes are there."""
    for line in table.lines:
        cells = list(line.cells)
        marks = [mark for mark in line.marks if shown is None or mark in shown]
        cells[0] += f" {superscript(marks)}" if marks else ""
        yield cells + ([] if line.span is None else [line.span])


def read_markdown(text):
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for row in rows[:1] + rows[2:]:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)(?:\\\\)*\|", row)[1:-1]]
        yield [re.sub(r"\\([\\`*|<>\[\]~&_])", r"\1", cell) for cell in cells]


@pytest.mark.parametrize("which", ["table", "hostile"])
def test_markdown_reads_back(which, request):
    table = request.getfixturevalue(which)
    head, *rows = read_markdown(markdown(table))
    assert head == [column.head for column in table.columns]
    assert len(rows) == len(table.lines)
    for row, expected in zip(rows, cells_of(table), strict=True):
        assert len(row) == len(table.columns)
        assert row[: len(expected)] == expected


def read_latex(text):
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    plain = {written: sign for sign, written in latex_module._SIGNS.items()}
    ways = "|".join(re.escape(written) for written in sorted(plain, key=len, reverse=True))
    for row in body.replace(r"\midrule", "").split(r" \\")[:-1]:
        cells = []
        for cell in re.split(r"(?<!\\)&", row):
            inside = re.sub(
                r"\\textsuperscript\{([\d,]+)\}",
                lambda match: f" {superscript(match[1].split(','))}",
                cell.strip(),
            )
            inside = inside.removeprefix("{}").replace(r"\allowbreak{}", "")
            inside = re.sub(r"\\raggedright|(?<=[-,])\{\}(?=[-,])", "", inside)
            inside = re.sub(r"^\\multicolumn\{\d+\}\{p\{[\d.]+in\}@\{\}\}\{\\emph\{(.*)\}\}$", r"\1", inside)
            cells.append(re.sub(ways, lambda match: plain[match[0]], inside))
        yield cells


@pytest.mark.parametrize("which", ["table", "hostile"])
def test_latex_reads_back(which, request):
    table = request.getfixturevalue(which)
    head, *rows = read_latex(latex(table))
    heads = [column.head for column in table.columns]
    left = [at for at, one in enumerate(heads) if one not in head]
    assert head == [one for one in heads if one in head] and len(head) >= 4
    assert not left or "Too wide for this page, in table.csv: " in latex(table)
    shown = {mark for mark, _ in table.numbered()[:3]}
    expected = [
        [cell for at, cell in enumerate(cells) if at not in left or len(cells) < len(heads)]
        for cells in cells_of(table, shown)
    ]
    assert rows == expected


# Written out: `read_latex` reads back by the table that is tested.
LATEX = {
    "flow_x {a} C:\\d": r"flow\_x \{a\} C:\textbackslash{}d",
    "#1 $2 3% a&b ~ x^2": r"\#1 \$2 3\% a\&b \textasciitilde{} x\textasciicircum{}2",
    "a<b>c|d": r"a\textless{}b\textgreater{}c\textbar{}d",
    "\"`'": r"\textquotedbl{}\textasciigrave{}\textquotesingle{}",
    "1±2×3−4≤√5": r"1$\pm$2$\times$3$-$4$\le$$\surd$5",
    "a–b—c…·†": r"a\textendash{}b\textemdash{}c\ldots{}\textperiodcentered{}\dag{}",
    "fc6, relu5 (2/3): a-b!": "fc6, relu5 (2/3): a-b!",
}


@pytest.mark.parametrize(("text", "written"), LATEX.items())
def test_latex_of_every_special_character(text, written):
    assert escape_latex(text) == written


def test_latex_has_no_special_character_that_is_not_tested():
    assert set(latex_module._SIGNS) <= set("".join(LATEX))


def test_latex_commands_are_ours_only(hostile):
    text = latex(hostile)
    assert r"\input" not in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_csv_has_every_number_of_a_row(tmp_path, fakes):
    """Six seeds, of which some lose."""
    for seed, share in enumerate((0.6, 0.45, 0.62, 0.38, 0.7, 0.48)):
        fakes["arm"](
            tmp_path, kind="late", axes={"streams": "both", "fusion": "late", "seed": seed},
            shares={"what": 1.0, "binding": 0.5},
        )  # fmt: skip
        axes = {"streams": "both", "fusion": "sum", "layer": "relu5", "seed": seed}
        fakes["arm"](tmp_path, kind="fused", axes=axes, shares={"what": 1.0, "binding": share})
    table = make_table(load(tmp_path), Spec.of({"caption": "all"}))
    for row, line in zip(table.rows, csv.DictReader(io.StringIO(csv_text(table))), strict=True):
        for kind, share in row.shares.items():
            name, gain = "accuracy" if kind == "all" else kind, row.over_late.get(kind)
            numbers = {"": share.mean, "_sd": share.sd, "_low": share.low, "_high": share.high}
            if gain:
                numbers |= {"_late": gain.mean}
                for question, estimate in (("", gain.method), ("_networks", gain.networks)):
                    if estimate is None:  # all groups gain the same: nothing
                        assert (kind, gain.mean, line[f"{name}_late{question}_p"]) == ("what", 0, "")
                        continue
                    numbers |= {f"_late{question}_low": estimate.low, f"_late{question}_high": estimate.high}
                    assert float(line[f"{name}_late{question}_p"]) == pytest.approx(estimate.p, rel=1e-5)
                assert [one / 100 for one in json.loads(line[f"{name}_late_per_seed"])] == pytest.approx(
                    gain.per_seed, abs=1e-6
                )
            for what, number in numbers.items():
                text = line[name + what]
                assert (text == "") if number is None else float(text) == pytest.approx(100 * number, abs=1e-4)
        assert line["videos"] == "160"
    assert 0.1 < row.over_late["binding"].method.p < 1


def test_csv_is_plain_numbers(table):
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(csv_text(table)))}
    conv, late = rows["Conv"], rows["Late fusion"]
    assert float(conv["binding"]) == pytest.approx(95.0)
    assert float(conv["binding_late"]) == pytest.approx(46.0)
    assert float(conv["binding_low"]) < 95 < float(conv["binding_high"])
    assert float(conv["accuracy"]) == pytest.approx(100 * 155 / 160, abs=1e-4)
    assert conv["parameters"] == "212345"
    assert conv["layers"] == "14"
    assert conv["seeds"] == "0 1"
    assert conv["binding_late_p"] == ""  # two seeds cannot have one
    assert 0 < float(conv["binding_late_networks_p"]) < 0.001 and conv["binding_late_groups"] == "34"
    assert conv["binding_gain"] == conv["control"] == ""  # there is none
    assert (conv["paper_accuracy"], conv["paper_parameters"]) == ("85.96", "97.58M")
    assert late["binding_ceiling"] == "1/2"
    assert late["binding_late"] == ""


def test_csv_keeps_hostile_text_and_the_failed_arm(hostile):
    rows = list(csv.DictReader(io.StringIO(csv_text(hostile))))
    failed = [row for row in rows if row["status"] == "failed"]
    assert [row["fusion"] for row in failed] == [visible(HOSTILE)]
    assert "line one\nline two" in failed[0]["reason"]
    assert failed[0]["log"] == "log.txt"


def test_a_terminal_gets_no_control_characters(hostile):
    text = terminal(hostile)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "failed, seed 1: line one line two" in text


def test_terminal_columns_stand_under_each_other(table):
    text = terminal(table).splitlines()
    rows = [line for line in text if line.startswith(("Max", "Sum", "Conv", "Motion"))]
    assert len({len(line.rstrip()) for line in rows}) == 1


class Reader(HTMLParser):
    """Tags must nest; the texts of table cells are kept."""

    VOID = ("meta", "input", "img")

    def __init__(self):
        super().__init__()
        self.told = 0  # elements that tell what a hidden column has
        self.open, self.rows, self.tags, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        self.told += bool(self.told or dict(attrs).get("class") == "told") and tag not in self.VOID
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.told -= bool(self.told)

    def handle_data(self, data):
        if not self.told and self.rows and self.open and ("td" in self.open or "th" in self.open):
            self.rows[-1][-1] += data


def read_page(table, study):
    reader = Reader()
    reader.feed(page(table, load(study), name=study.name, out=study / "report"))
    assert reader.open == []
    return reader


def test_the_page_holds_every_cell(table, study):
    reader = read_page(table, study)
    rows = reader.rows[1 : 1 + len(table.lines)]
    for row, line in zip(rows, table.lines, strict=True):
        cells = list(line.cells)
        cells[0] += ",".join(str(mark) for mark in line.marks)
        assert row == cells + ([] if line.span is None else [line.span])


def test_the_page_links_each_arm_to_its_record(table, study):
    links = [link for link in read_page(table, study).links if "run.json" in link]
    assert len(links) == len(load(study))
    for link in links:
        assert (study / "report" / link).resolve().is_file()


def test_the_page_runs_nothing(hostile, study):
    reader = read_page(hostile, study)
    assert reader.tags.count("script") == 1  # ours, which the page allows by its hash
    assert not [link for link in reader.links if ":" in link]


@pytest.mark.parametrize("which", ["table", "hostile"])
def test_the_picture_is_whole_xml(which, request):
    table = request.getfixturevalue(which)
    root = ElementTree.fromstring(accuracy(table).svg())
    assert root.tag.endswith("svg")
    assert not [node for node in root.iter() if node.tag.endswith("script")]


@pytest.mark.parametrize(
    "text, expected",
    [
        (formatting.percent(0.8596, 2), "85.96"),
        (formatting.percent(0.8596), "86.0"),
        (formatting.percent(-1e-9), "0.0"),
        (formatting.points(0.25), "+25.0"),
        (formatting.points(-0.25), "−25.0"),
        (formatting.points(0.0), "0.0"),
        (formatting.points(-0.0001), "0.0"),
        (formatting.millions(97_578_533), "97.58M"),
        (formatting.millions(212_345), "0.21M"),
        (formatting.millions(999), "999"),
        (formatting.between(0.5, 1.0), "(50.0–100.0)"),
        (formatting.plain("a\n b\x00"), r"a b\x00"),
    ],
)
def test_numbers_are_written_one_way(text, expected):
    assert text == expected


TITLES = {"fusion": "Gated (ours) & <b>", "temporal": "Mean_over $all$ & <i>"}


@pytest.fixture
def titled(study, fakes):
    """Fusions from outside the package, whose records have the titles of their parts."""
    axes = {"streams": "both", "fusion": "gated", "layer": "relu5"}
    for seed in (0, 1):
        for temporal, titles in (("mean", TITLES), ("pool2d", {"fusion": TITLES["fusion"]})):
            fakes["arm"](study, kind="fused", axes={**axes, "temporal": temporal, "seed": seed}, titles=titles)
    return make_table(load(study), Spec.of({"caption": "titles"}))


def test_a_part_is_printed_under_its_title_in_every_format(titled, study):
    ours = (TITLES["fusion"], TITLES["temporal"])
    assert ours in {(line.cells[0], line.cells[1]) for line in titled.lines}
    assert (TITLES["fusion"], "pool2d") in {(line.cells[0], line.cells[1]) for line in titled.lines}
    assert "Gated (ours) & <b>" in terminal(titled) and "Mean_over $all$ & <i>" in terminal(titled)
    assert any(row[0] == ours[0] and row[1] == ours[1] for row in read_markdown(markdown(titled)))
    assert r"Gated (ours) \& \<b\>" in markdown(titled)
    assert any(row[0] == ours[0] and row[1] == ours[1] for row in read_latex(latex(titled)))
    assert r"Gated (ours) \& \textless{}b\textgreater{} & Mean\_over \$all\$ \&" in latex(titled)
    rows = list(csv.DictReader(io.StringIO(csv_text(titled))))
    assert {(row["method"], row["temporal"], row["temporal_title"]) for row in rows if row["fusion"] == "gated"} == {
        (TITLES["fusion"], "mean", TITLES["temporal"]), (TITLES["fusion"], "pool2d", ""),
    }  # fmt: skip
    assert any(row[0] == ours[0] and row[1] == ours[1] for row in read_page(titled, study).rows)
    assert "Gated (ours) &amp; &lt;b&gt;" in page(titled, load(study), name="x", out=study)
    assert TITLES["fusion"] in " ".join(ElementTree.fromstring(accuracy(titled).svg()).itertext())


def test_a_table_without_titles_has_the_names_as_typed(table):
    assert "temporal_title" not in csv_text(table)
    assert {"Max", "Sum", "Conv"} < {line.cells[0] for line in table.lines}
