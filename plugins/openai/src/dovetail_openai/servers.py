"""What differs from server to server: addresses, headers and the names of a few fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from dovetail_openai.settings import OpenAISettings

_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_REFUSE_STREAM_OPTIONS = ("api.mistral.ai",)
"""Hosts that give usage without being asked, and refuse to be."""


@dataclass(frozen=True, slots=True)
class Server:
    """How to talk to the server that `settings` name."""

    settings: OpenAISettings
    host: str
    azure: bool

    @classmethod
    def of(cls, settings: OpenAISettings) -> Server:
        """Known by its settings, or by its host's name."""
        host = (urlsplit(settings.base_url).hostname or "").lower()
        azure = settings.api == "azure" or (settings.api == "auto" and host.endswith(_AZURE_HOSTS))
        return cls(settings, host, azure)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        settings = self.settings
        headers = {}
        if settings.api_key is not None:
            key = settings.api_key.get_secret_value()
            if self.azure:
                headers["api-key"] = key
            else:
                headers["authorization"] = f"Bearer {key}"
        if settings.organisation:
            headers["openai-organization"] = settings.organisation
        if settings.project:
            headers["openai-project"] = settings.project
        more = {name.lower(): value.get_secret_value() for name, value in settings.headers.items()}
        return {**headers, **more}

    @property
    def secrets(self) -> list[str]:
        """What no message may hold."""
        key = self.settings.api_key
        held = [*self.settings.headers.values(), *([] if key is None else [key])]
        return [secret.get_secret_value() for secret in held]

    def address(self, what: str, model: str) -> str:
        """The path of `chat/completions` or `embeddings`, after the base URL."""
        if not self._versioned:
            return f"/{what}"
        # Azure's older addresses name the deployment; its newer ones end in `/openai/v1`.
        version = quote(self.settings.api_version)
        if "/deployments/" in self.settings.base_url:
            return f"/{what}?api-version={version}"
        base = "" if self.settings.base_url.endswith("/openai") else "/openai"
        return f"{base}/deployments/{quote(model, safe='')}/{what}?api-version={version}"

    @property
    def lists_models(self) -> bool:
        """Whether `/models` lists what a request may name; Azure lists what may be deployed."""
        return not self._versioned

    @property
    def max_tokens_field(self) -> str:
        """What it calls the most tokens that an answer may have."""
        if self.settings.max_tokens_field != "auto":
            return self.settings.max_tokens_field
        newer = self.azure or self.host == "api.openai.com" or self.host.endswith(".api.openai.com")
        return "max_completion_tokens" if newer else "max_tokens"

    @property
    def stream_usage(self) -> bool:
        """Whether to ask for usage in streams."""
        if self.settings.stream_usage == "auto":
            return self.host not in _REFUSE_STREAM_OPTIONS
        return self.settings.stream_usage == "on"

    @property
    def _versioned(self) -> bool:
        return self.azure and not self.settings.base_url.endswith("/openai/v1")
