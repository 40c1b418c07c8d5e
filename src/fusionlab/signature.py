"""show the signature of a config (equal signatures, equal results); --why lists the leaves that differ

    python -m fusionlab.signature fusion=conv layer=relu5
    python -m fusionlab.signature --why fusion=conv,layer=relu5 fusion=sum,layer=relu5
    python -m fusionlab.signature --why runs/a/…/run.json runs/b/…/run.json

With --why each side is a run.json, its folder, or options joined by commas.
"""

from pathlib import Path
from typing import Any

from fusionlab.cli import OPTIONS, run
from fusionlab.errors import UserError, one_line, show

FLAGS = {**OPTIONS, "--why": "name the leaves in which two sides differ"}


def main(words: list[str], why: bool = False) -> int:
    """Print one signature, or the differing leaves of two."""
    from fusionlab.records.signature import differing
    from fusionlab.records.signature import signature as signature_of

    if not why:
        recipe = _composed(words)
        show(signature_of(recipe))
        return 0
    if len(words) != 2:
        raise UserError("--why needs two sides", got=" ".join(words) or "nothing", hint="--why fusion=conv fusion=sum")
    a, b = (_side(word) for word in words)
    for leaf, one, other in differing(a, b):
        show(one_line(f"{leaf}: {one} → {other}"))
    show(f"{signature_of(a)} → {signature_of(b)}")
    return 0


def _side(word: str) -> dict[str, Any]:
    from fusionlab.records.record import read_record
    from fusionlab.records.signature import identity

    if Path(word).exists():
        return identity(read_record(word)["config"])
    return identity(_composed(word.split(",")))


def _composed(words: list[str]) -> dict[str, Any]:
    from fusionlab.planning.grid import plan_study

    asked = plan_study(words).asked()
    if len(asked) > 1:
        names = ", ".join(arm.name for arm in asked[:4])
        raise UserError(
            "these options give several arms",
            got=names,
            hint="give one value for each option",
        )
    return asked[0].config


if __name__ == "__main__":
    run(main, __doc__, FLAGS)
