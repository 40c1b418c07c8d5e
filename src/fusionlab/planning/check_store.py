"""What is known to be wrong with the packed store that a config asks for, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionlab.config import catalogue
from fusionlab.config.instantiate import part
from fusionlab.config.value_types import as_typed
from fusionlab.errors import UserError, unknown
from fusionlab.records.signature import value
from fusionlab.video.codecs import JPEG, QUALITY
from fusionlab.video.decode import reader
from fusionlab.video.flow import READS
from fusionlab.video.imported import Imported
from fusionlab.video.store import FLOW, FRAMES, RULES, Coding


def examine_store(store: Mapping[str, Any]) -> None:
    """Raise a `UserError` for the first thing that `prepare` could not work with."""
    _pixels(store)
    _codec(store)
    reader(str(_of(store, "reader")))
    _flow(store)


def _of(store: Mapping[str, Any], leaf: str) -> Any:
    """A leaf that a user's own data set may not have."""
    return value({"store": store}, f"store.{leaf}")


def _pixels(store: Mapping[str, Any]) -> None:
    if store["bound"] <= 0:
        raise UserError(
            "flow is packed up to a bound in pixels",
            got=f"data.store.bound={store['bound']}",
            hint="data.store.bound=4",
        )
    size = store["size"]
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise UserError(
            "data.store.size is a whole number", got=f"data.store.size={size}", allowed=["null", "1, 2, …"],
            hint="data.store.size=256",
        )  # fmt: skip
    rule = _of(store, "rule")
    if rule not in RULES:
        raise unknown("rule by which flow becomes bytes", str(rule), RULES, form="data.store.rule={}")


def _codec(store: Mapping[str, Any]) -> None:
    frames, flow, quality = (_of(store, f"codec.{leaf}") for leaf in ("frames", "flow", "quality"))
    for file in (FRAMES, FLOW):
        Coding(frames, flow).codec(file)  # says which there are
    if isinstance(quality, bool) or not 1 <= quality <= 100:
        raise UserError(
            "the quality of JPEG is a number", got=f"data.store.codec.quality={quality}", allowed=["1 … 100"],
            hint=f"data.store.codec.quality={QUALITY}",
        )  # fmt: skip
    if quality != QUALITY and JPEG not in (frames, flow):
        raise UserError(
            "nothing here is stored as JPEG", got=f"data.store.codec.quality={quality}",
            hint=f"data.store.codec.frames=jpeg with it, or data.store.codec.quality={QUALITY}",
        )  # fmt: skip


def _flow(store: Mapping[str, Any]) -> None:
    """An estimator, or flow that lies somewhere already."""
    flow = part(store["flow"], "flow")
    if isinstance(flow, Imported):
        for leaf, only in (("backward", False), ("rule", "bound")):
            if _of(store, leaf) != only:
                raise UserError(
                    "imported flow is what lies there: one direction, by one bound",
                    got=f"data.store.{leaf}={as_typed(_of(store, leaf))}",
                    hint=f"data.store.{leaf}={as_typed(only)}, or a flow that is computed: flow=dis_medium",
                )
    elif not (callable(flow) and hasattr(flow, "describe")):
        raise UserError(
            "this is no estimator of flow", got=f"data.store.flow: {store['flow']['_target_']}",
            allowed=[f"flow={name}" for name in catalogue.groups()["flow"]],
            hint="of your own: a class whose instances are called with two frames, and have describe() and reads",
        )  # fmt: skip
    elif getattr(flow, "reads", None) not in READS:
        raise UserError(
            "an estimator of flow says what it is shown", got=f"reads = {getattr(flow, 'reads', 'nothing')!r}",
            allowed=[f"reads = {one!r}" for one in READS],
            hint=f"{type(flow).__name__}.reads = {READS[0]!r} for grey frames (H, W), {READS[1]!r} for (H, W, 3)",
        )  # fmt: skip
