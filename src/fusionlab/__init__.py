"""A laboratory for one question: how, where and when should two streams be fused?"""

TYPE_CHECKING = False  # as in typing, which takes time to import
if TYPE_CHECKING:
    from fusionlab.api import Study, load
    from fusionlab.fusion import functional

__version__ = "0.1.0"
__all__ = ["Study", "__version__", "functional", "load"]


def __getattr__(name: str) -> object:
    """The public names are loaded when they are used, so that `import fusionlab` loads nothing."""
    from importlib import import_module

    if name == "functional":
        return import_module("fusionlab.fusion.functional")
    if name in ("Study", "load"):
        return getattr(import_module("fusionlab.api"), name)
    raise AttributeError(f"module 'fusionlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
