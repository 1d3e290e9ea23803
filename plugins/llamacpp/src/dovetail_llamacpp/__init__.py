"""GGUF models inside the process: plugin `llamacpp`."""

from dovetail import hookimpl
from dovetail_llamacpp.provider import LlamaCpp
from dovetail_llamacpp.settings import LlamaCppSettings

__all__ = ["LlamaCpp", "LlamaCppSettings"]
__version__ = "0.1.0"


@hookimpl
def providers() -> list[type]:
    """The one class of this plugin."""
    return [LlamaCpp]
