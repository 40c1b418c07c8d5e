"""The page as a reader has it: wide and on a phone, light and dark, by mouse and keyboard, with hostile names."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import Chromium
from result_fakes import arm, fill, table_spec

from fusionlab.results.load import load
from fusionlab.results.page import page
from fusionlab.results.spec import Spec
from fusionlab.results.tables import make_table

pytestmark = pytest.mark.slow

HOSTILE = "<script>document.title='run'</script> \"q\" {b} & 双流融合 두흐름 " + "VeryLongName" * 9
SCREENS = [(width, scheme) for width in (1280, 360) for scheme in ("light", "dark")]
METHODS = "[...document.querySelectorAll('tbody.sorts > tr:not(.detail):not([hidden]) a.open')].map(a => a.textContent)"
SCROLLING = """[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1
    && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)).length"""


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study with three seeds, a control, a failed arm and hostile names."""
    study = fill(tmp_path_factory.mktemp("browser") / "study", seeds=(0, 1, 2), control=True)
    axes = {"streams": "both", "fusion": HOSTILE, "layer": "relu5", "temporal": HOSTILE}
    arm(study, kind="fused", axes={**axes, "seed": 0}, shares={"what": 0.5, "binding": 0.4})
    arm(study, kind="fused", axes={**axes, "seed": 1}, reason=f"killed {HOSTILE}")
    entries = load(study)
    table = make_table(entries, Spec.of({**table_spec("how"), "caption": HOSTILE}))
    file = study / "report" / "index.html"
    file.parent.mkdir()
    file.write_text(page(table, entries, name=HOSTILE, out=file.parent), encoding="utf-8")
    return file


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_it_fits_and_is_quiet(browser: Chromium, shown: Path, width: int, scheme: str) -> None:
    browser.open(shown, width, scheme)
    for _ in range(2):
        assert browser.js("document.scrollingElement.scrollWidth <= innerWidth")
        assert browser.js(SCROLLING) == 0
        assert browser.js("document.getElementById('rows').getBoundingClientRect().right <= innerWidth")
        browser.js("for (const link of document.querySelectorAll('a.open')) link.click()")  # and with all rows open
    assert browser.problems == []
    assert browser.js("document.title").startswith("<script>")
    assert browser.js("document.scripts.length") == 1
    ground = browser.js("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(247, 248, 250)") == (scheme == "light")


@pytest.mark.parametrize("width", [1280, 360])
def test_sorting_and_filtering(browser: Chromium, shown: Path, width: int) -> None:
    browser.open(shown, width, "light")
    before = browser.js(METHODS)
    heads = "[...document.querySelectorAll('th.share')]"
    click = f"{heads}.find(head => head.textContent.startsWith('binding')).querySelector('button').click()"
    browser.js(click)
    sorted_ = browser.js(METHODS)
    assert sorted_[:3] == ["Conv", "Sum", "Max"] and sorted(sorted_) == sorted(before)
    assert browser.js("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
    browser.js(click)
    assert browser.js(METHODS)[0] == "Motion alone"
    browser.js(click)
    assert browser.js(METHODS) == before and browser.js("document.querySelector('[aria-sort]')") is None
    browser.js("document.getElementById('filter').focus()")
    browser.type("conv")
    assert browser.js(METHODS) == ["Conv"]
    assert browser.js("document.getElementById('count').textContent").startswith("1 of ")
    assert browser.problems == []


def test_the_keyboard_opens_a_row_and_closes_it(browser: Chromium, shown: Path) -> None:
    browser.open(shown, 1280, "light")
    browser.js("[...document.querySelectorAll('a.open')].find(a => a.textContent === 'Conv').focus()")
    browser.key("Enter")
    text = browser.js("document.querySelector('tr.detail').textContent")
    assert "Settings that differ" in text and "record" in text
    assert browser.js("document.activeElement.getAttribute('aria-expanded')") == "true"
    browser.key("Escape")
    assert browser.js("document.querySelector('tr.detail')") is None


def test_the_papers_figures_of_other_data_stand_behind_a_switch(browser: Chromium, shown: Path) -> None:
    browser.open(shown, 1280, "light")
    assert "85.96" not in browser.js("document.getElementById('rows').innerText")
    browser.js("document.getElementById('paper').click()")
    assert "85.96" in browser.js("document.getElementById('rows').innerText")


def test_without_scripts_it_is_a_plain_table_with_its_evidence_below(browser: Chromium, shown: Path) -> None:
    browser.open(shown, 360, "light", scripts=False)
    assert browser.js("document.getElementById('tools').hidden") is True
    assert browser.js("document.querySelectorAll('#proof details.row').length") > 5
    assert browser.js("document.scrollingElement.scrollWidth <= innerWidth")


def test_it_prints(browser: Chromium, shown: Path) -> None:
    browser.open(shown, 1280, "dark")
    assert browser.pdf().startswith(b"%PDF")
