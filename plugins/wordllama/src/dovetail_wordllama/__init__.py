"""Text embeddings offline, from weights in a package, for dovetail: plugin `wordllama`."""

from dovetail import hookimpl
from dovetail_wordllama.provider import WordLlama
from dovetail_wordllama.settings import WordLlamaSettings

__all__ = ["WordLlama", "WordLlamaSettings"]
__version__ = "0.1.0"


@hookimpl
def providers() -> list[type]:
    """The one class of this plugin."""
    return [WordLlama]
