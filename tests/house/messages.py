"""Error messages of two trees, side by side: `python tests/house/messages.py OLD NEW > docs/messages.md`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

RAISES = ("UserError", "unknown")
ALIKE = 0.5  # below this share two messages have nothing to do with each other


@dataclass(frozen=True)
class Message:
    """One message as it stands in the source, with `{…}` where a value is put in."""

    function: str
    what: str
    hint: str

    def row(self) -> str:
        text = f"{self.what} · try: {self.hint}" if self.hint else self.what
        return text.replace("|", "\\|").replace("\n", " ")


def messages(root: Path) -> list[Message]:
    """Each message of a tree's source, once."""
    found = []
    for file in sorted((root / "src" / "fusionlab").rglob("*.py")):
        found += list(_of(ast.parse(file.read_text(encoding="utf-8")), file.stem))
    return list(dict.fromkeys(found))


def _of(node: ast.AST, function: str) -> Iterator[Message]:
    for child in ast.iter_child_nodes(node):
        name = child.name if isinstance(child, ast.FunctionDef) else function
        if isinstance(child, ast.Call) and ast.unparse(child.func).rpartition(".")[2] in RAISES and child.args:
            what = _text(child.args[0])
            hint = next((_text(one.value) for one in child.keywords if one.arg == "hint"), "")
            if what:
                word = "unknown " if ast.unparse(child.func).endswith("unknown") else ""
                yield Message(name, word + what, hint)
        yield from _of(child, name)


def _text(node: ast.AST) -> str:
    """A text as it is written, with the expressions in it; nothing for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(one.value) if isinstance(one, ast.Constant) else "{" + ast.unparse(one.value) + "}"
            for one in node.values
            if isinstance(one, ast.Constant | ast.FormattedValue)
        )
    return ""


def pairs(old: list[Message], new: list[Message]) -> list[tuple[Message | None, Message | None]]:
    """What changed: each old message with the new one that is most like it, best pairs first; then what has none."""
    gone = [one for one in old if (one.what, one.hint) not in {(other.what, other.hint) for other in new}]
    come = [one for one in new if (one.what, one.hint) not in {(other.what, other.hint) for other in old}]
    scored = sorted(
        ((_alike(one, other), at, to) for at, one in enumerate(gone) for to, other in enumerate(come)), reverse=True
    )
    matched: dict[int, int] = {}
    for score, at, to in scored:
        if score >= ALIKE and at not in matched and to not in matched.values():
            matched[at] = to
    rows: list[tuple[Message | None, Message | None]] = [(gone[at], come[to]) for at, to in sorted(matched.items())]
    rows += [(one, None) for at, one in enumerate(gone) if at not in matched]
    return rows + [(None, one) for to, one in enumerate(come) if to not in matched.values()]


def _alike(one: Message, other: Message) -> float:
    same = 0.15 if one.function == other.function else 0.0
    return same + SequenceMatcher(None, f"{one.what} {one.hint}", f"{other.what} {other.hint}").ratio()


if __name__ == "__main__":
    before, after = (messages(Path(place)) for place in sys.argv[1:3])
    lines = ["# Error messages, before and after", "", "| before | after |", "| --- | --- |"]
    lines += [f"| {one.row() if one else ''} | {other.row() if other else ''} |" for one, other in pairs(before, after)]
    sys.stdout.write("\n".join(lines) + "\n")
