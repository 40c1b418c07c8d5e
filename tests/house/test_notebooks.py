"""Every notebook runs from top to bottom, in its folder and at the root, and leaves no file behind."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest
from tree import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WRITES_A_PART = "03_add_your_own_fusion.ipynb"


def untracked() -> str:
    """What git sees that is not committed; nothing outside of a repository."""
    asked = ["git", "status", "--porcelain", "--ignored", "--", "notebooks", "conf", "gated.py"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout


@pytest.mark.notebook
@pytest.mark.filterwarnings("default")  # the kernel's own, not ours
@pytest.mark.parametrize("place", ["notebooks", "."])
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_runs(file: Path, place: str) -> None:
    import nbclient
    import nbformat

    page, before = nbformat.read(file, as_version=4), untracked()
    nbclient.NotebookClient(page, timeout=300, resources={"metadata": {"path": str(ROOT / place)}}).execute()
    assert untracked() == before


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_is_kept_without_its_output(file: Path) -> None:
    import nbformat

    for cell in nbformat.read(file, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None, "clear the outputs before you commit"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_reads_and_defines_nothing(file: Path) -> None:
    """Only the part that a user would write is defined, in a file of its own."""
    import nbformat

    source = "\n".join(cell.source for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code")
    tree = ast.parse(source.replace(";\n", "\n"))
    defined = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda))]
    assert not defined, "define it in the package, with a test"
    assert ("class Gated" in source) == (file.name == WRITES_A_PART)
