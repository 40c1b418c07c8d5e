"""Every notebook runs from top to bottom; what it prints is not written back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tree import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.notebook
@pytest.mark.filterwarnings("default")  # the kernel's own, not ours
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_runs(file: Path) -> None:
    import nbclient
    import nbformat

    page = nbformat.read(file, as_version=4)
    nbclient.NotebookClient(page, timeout=300, resources={"metadata": {"path": str(file.parent)}}).execute()


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_is_kept_without_its_output(file: Path) -> None:
    import nbformat

    for cell in nbformat.read(file, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None, "clear the outputs before you commit"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_reads_and_defines_nothing(file: Path) -> None:
    import nbformat

    for cell in nbformat.read(file, as_version=4).cells:
        lines = cell.source.splitlines() if cell.cell_type == "code" else []
        assert not [line for line in lines if line.startswith(("def ", "class "))], (
            "define it in the package, with a test"
        )
