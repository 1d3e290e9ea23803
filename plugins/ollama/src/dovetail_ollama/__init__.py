"""Ollama by its own API: plugin `ollama`."""

from dovetail import hookimpl
from dovetail_ollama.provider import Ollama
from dovetail_ollama.settings import OllamaSettings

__all__ = ["Ollama", "OllamaSettings"]
__version__ = "0.1.0"


@hookimpl
def providers() -> list[type]:
    """The one class of this plugin."""
    return [Ollama]
