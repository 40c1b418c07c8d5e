"""Counts that a clean-up is measured by: `python tests/house/size.py [another tree]`."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

# Where parts are defined: nothing outside may ask an object which of these classes it has.
PARTS = ("fusion", "temporal", "backbones", "two_stream", "data", "video")
# Records, plans and results are data, and config/ is the boundary; everywhere else configs are typed.
AS_DATA = ("records", "results", "study", "config")
ANY_MAPPING = re.compile(r"\b(?:Mapping|dict)\[str, Any\]")
LEAST = 30


def counts(root: Path) -> dict[str, object]:
    """Name of the count -> the number."""
    package = root / "src" / "fusionlab"
    texts = {file: file.read_text(encoding="utf-8") for file in sorted(package.rglob("*.py"))}
    lines = {file: text.count("\n") for file, text in texts.items()}
    trees = {file: ast.parse(text) for file, text in texts.items()}
    commands = {file.stem for file in package.glob("*.py")}
    stems = Counter(file.stem for file in texts if file.parent != package)
    classes = {
        one.name
        for file, tree in trees.items()
        if file.relative_to(package).parts[0] in PARTS
        for one in ast.walk(tree)
        if isinstance(one, ast.ClassDef) and "Protocol" not in map(ast.unparse, one.bases)
    }
    names = Counter(one.name for tree in trees.values() for one in tree.body if isinstance(one, ast.ClassDef))
    readme = (root / "README.md").read_text(encoding="utf-8").splitlines()
    return {
        "files in src": len(texts),
        "lines in src": sum(lines.values()),
        "median lines of a file": median(lines.values()),
        f"files under {LEAST} lines": sum(
            count < LEAST for file, count in lines.items() if file.stem not in {"__init__", *commands}
        ),
        "file stems twice": sum(count > 1 for stem, count in stems.items() if stem != "__init__"),
        "class names twice": sum(count > 1 for count in names.values()),
        "isinstance on a part": sum(len(list(_asked(tree, classes))) for tree in trees.values()),
        "mappings of Any where configs are typed": sum(
            len(ANY_MAPPING.findall(text))
            for file, text in texts.items()
            if file.relative_to(package).parts[0] not in AS_DATA
        ),
        "lines of tests": sum(
            file.read_text(encoding="utf-8").count("\n") for file in (root / "tests").rglob("*.py")
        ),
        "lines of the README": len(readme),
        "longest line of the README": max(map(len, readme)),
    }  # fmt: skip


def _asked(tree: ast.AST, classes: set[str]) -> Iterator[ast.Call]:
    """Each `isinstance(x, C)` with a class of a part."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != "isinstance":
            continue
        if classes & set(re.findall(r"\w+", ast.unparse(node.args[-1]))):
            yield node


if __name__ == "__main__":
    tree = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2]
    for name, count in counts(tree.resolve()).items():
        sys.stdout.write(f"{count!s:>8}  {name}\n")
