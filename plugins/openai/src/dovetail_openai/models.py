"""The models that a server lists, in the shapes that servers list them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import InvalidResponse, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

_WINDOWS = ("context_window", "context_length", "max_context_length", "max_model_len")
_EMBEDS = ("embed", "bge-", "e5-", "gte-", "minilm")


def models_of(raw: Any) -> list[ModelInfo]:
    """A `ModelInfo` for each model of the list, once.

    Raises:
        InvalidResponse: there is no list in it.
    """
    listed = raw.get("data", raw.get("models")) if isinstance(raw, dict) else raw
    if not isinstance(listed, list):
        raise InvalidResponse("the answer has no list of models")
    found: dict[str, ModelInfo] = {}
    for item in listed:
        id_ = item.get("id", item.get("name")) if isinstance(item, dict) else item
        if isinstance(id_, str) and id_ and id_ not in found:
            found[id_] = _info(id_, item if isinstance(item, dict) else {})
    return list(found.values())


def named(ids: Iterable[str]) -> list[ModelInfo]:
    """What is known of models by their names alone."""
    return [_info(id_, {}) for id_ in dict.fromkeys(ids) if id_]


def _info(id_: str, item: dict[str, Any]) -> ModelInfo:
    description = item.get("name") or item.get("description") or item.get("owned_by")
    return ModelInfo(
        id=id_,
        kind=_kind(id_, item),
        context_window=_window(item),
        description=description if isinstance(description, str) and description != id_ else "",
    )


def _kind(id_: str, item: dict[str, Any]) -> str:
    kind = item.get("type")
    if kind in ("embedding", "embeddings") or any(word in id_.lower() for word in _EMBEDS):
        return "embedding"
    return "chat"


def _window(item: dict[str, Any]) -> int | None:
    meta = item.get("meta")  # llama.cpp
    places = [item.get(name) for name in _WINDOWS]
    if isinstance(meta, dict):
        places += [meta.get("n_ctx"), meta.get("n_ctx_train")]
    return next((size for size in places if type(size) is int and size > 0), None)
