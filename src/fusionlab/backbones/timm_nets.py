"""Any classification network of timm as a tower: backbone=timm, by `name`. An extra: fusionlab[timm].

`options` are arguments of timm.create_model. A network that is made for one size of frames gets the size of ours. The
layers that timm lists in `feature_info` have a further name here: `feature_0`, `feature_1` …
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from fusionlab import errors
from fusionlab.backbones.graph import GraphTower

OURS = ("pretrained", "num_classes", "in_chans", "img_size", "checkpoint_path", "features_only", "scriptable")


class Timm(GraphTower):
    """A network of timm by its name, as `resnet18` or `resnet18.a1_in1k`, which also names weights."""

    library = "timm"

    def __init__(
        self,
        in_channels: int,
        classes: int,
        size: int = 224,
        *,
        name: str = "resnet18",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        timm = _timm()
        if not timm.is_model(name):
            near = errors.nearest(name, timm.list_models())
            raise errors.UserError(
                "unknown network of timm",
                got=name,
                allowed=[f"{len(timm.list_models())} names: python -c 'import timm; print(*timm.list_models())'"],
                hint=f"did you mean backbone.appearance.name={near} ?" if near else None,
            )
        for option in OURS:
            if option in (options or {}):
                raise errors.UserError("fusionlab sets this option of timm.create_model", got=option)
        self.name = name
        build = partial(network, name, in_channels, classes, size, dict(options or {}))
        super().__init__(
            build,
            in_channels,
            size,
            leaves=timm.layers.get_notrace_modules(),
            wrapped=timm.layers.get_notrace_functions(),
            names=_features,
        )

    def imagenet_file(self, folder: Any) -> Path:
        """timm's own file, through its hub; huggingface_hub keeps it in its cache."""
        config = _timm().models.get_pretrained_cfg(self.name)
        repository = getattr(config, "hf_hub_id", None)
        if repository is None:
            raise errors.UserError(
                f"timm has no weights of {self.name} on its hub", got="weights=imagenet", hint="weights=null"
            )
        place = f"https://huggingface.co/{repository}"
        try:
            from huggingface_hub import hf_hub_download

            return Path(hf_hub_download(repository, "model.safetensors"))
        except Exception as error:  # of its own kinds, and of those of the library below it
            raise errors.UserError(
                "the weights are not in the cache of huggingface_hub, and the download failed",
                got=f"{place}: {type(error).__name__}",
                hint=f"get model.safetensors from {place} where there is a network, put it into "
                f"{folder or 'run.weights'}, then weights=model.safetensors",
            ) from error

    def published_files(self) -> list[Any]:
        return []

    def pixels(self, file: str) -> tuple[list[float], list[float]]:
        """Mean and scale of bytes, as timm has them for these weights."""
        config = _timm().models.get_pretrained_cfg(self.name)
        return [255 * one for one in config.mean], [255 * one for one in config.std]


def _timm() -> ModuleType:
    try:
        import timm
        import timm.layers
    except ModuleNotFoundError as error:
        raise errors.UserError(
            "backbone=timm needs timm, which is not installed", got=error, hint="pip install 'fusionlab[timm]'"
        ) from None
    return timm


def network(name: str, in_channels: int, classes: int, size: int, options: Mapping[str, Any]) -> nn.Module:
    """timm's network, without weights."""
    timm = _timm()
    fixed = getattr(timm.models.get_pretrained_cfg(name, allow_unregistered=True), "fixed_input_size", False)
    given = {**({"img_size": size} if fixed else {}), **options}
    try:
        return timm.create_model(name, pretrained=False, num_classes=classes, in_chans=in_channels, **given)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise errors.UserError(
            f"timm cannot build {name} with these options", got=f"size={size}, {dict(options)}: {error}"
        ) from error


def _features(whole: nn.Module) -> dict[str, str]:
    """feature_0 … -> the path of the module."""
    info = getattr(whole, "feature_info", None) or []
    rows = info if isinstance(info, list) else info.info
    return {f"feature_{k}": str(row["module"]) for k, row in enumerate(rows) if row.get("module")}
