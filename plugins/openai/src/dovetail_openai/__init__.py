"""OpenAI, and every server that speaks like it, for dovetail."""

from dovetail import hookimpl
from dovetail_openai.service import OpenAI
from dovetail_openai.settings import OpenAISettings

__all__ = ["OpenAI", "OpenAISettings"]
__version__ = "0.1.0"


@hookimpl
def providers() -> list[type]:
    """The one class of this plugin."""
    return [OpenAI]
