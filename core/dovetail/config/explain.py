"""What `dovetail config explain` shows: each value, where it came from, and no secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.config.places import dotted
from dovetail.config.rendering import render
from dovetail.redaction import MASK, looks_secret, redact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from pydantic import BaseModel

    from dovetail.config.places import KeyPath
    from dovetail.config.raw import Layer, RawConfig

_LONGEST_VALUE = 200
_ONLY_REFERENCES = re.compile(r"(?:\$\{\w+\})+")


@dataclass(frozen=True, slots=True)
class Row:
    """One value: its `key` in TOML's notation, and as `shown` without secrets.

    `source` is `dovetail.toml:12`, `environment variable X`, `flag x.y`, or empty for defaults.
    """

    path: KeyPath
    key: str
    shown: str
    layer: Layer
    source: str
    masked: bool


def explain(
    raw: RawConfig,
    *,
    secret_paths: AbstractSet[KeyPath] = frozenset(),
    defaults: Mapping[KeyPath, object] | None = None,
) -> list[Row]:
    """A row for each value, in the order of the merged tables, and behind them the defaults.

    A value that came through `${…}` is shown as it is written. Masked is what is in `secret_paths`
    (see `shape.secret_paths`) or has a secret-looking name, and what looks secret in other text.
    `defaults` (see `default_values`) are shown where the config says nothing.
    """
    rows = [_row(raw, path, value, secret_paths) for path, value in raw.leaves() if path]
    shown = {row.path for row in rows}
    for path, value in (defaults or {}).items():
        if path not in raw.origins and path not in shown:
            rows.append(_row(raw, path, value, secret_paths, is_default=True))
    return rows


def default_values(model: type[BaseModel], path: KeyPath) -> dict[KeyPath, object]:
    """The defaults that `model` has for the table at `path`; one that is `None` says nothing."""
    found: dict[KeyPath, object] = {}
    for name, field in model.model_fields.items():
        factory = field.default_factory
        default = field.default if factory is None else None
        if factory is not None and not field.default_factory_takes_validated_data:
            default = field.get_default(call_default_factory=True)
        if default is not None and not field.is_required():
            found[(*path, field.alias or name)] = default
    return found


def _row(
    raw: RawConfig,
    path: KeyPath,
    value: object,
    secret_paths: AbstractSet[KeyPath],
    *,
    is_default: bool = False,
) -> Row:
    secret = path in secret_paths or any(looks_secret(key) for key in path if isinstance(key, str))
    shown, masked = _shown(raw, path, value, secret=secret)
    layer = "default" if is_default else raw.origin(path).layer
    return Row(path, dotted(path), shown, layer, "" if is_default else raw.source(path), masked)


def _shown(raw: RawConfig, path: KeyPath, value: object, *, secret: bool) -> tuple[str, bool]:
    """The value as text, and whether something in it is masked."""
    if path in raw.interpolated or path in raw.failed:
        value = raw.interpolated[path].written if path in raw.interpolated else value
        # A default, or text around the reference, may be the secret itself.
        secret = secret and not _ONLY_REFERENCES.fullmatch(str(value))
    if secret and not isinstance(value, bool | dict | list):
        return MASK, True
    if isinstance(value, str):
        masked = redact(value)
        return render(masked, _LONGEST_VALUE), masked != value
    return render(value, _LONGEST_VALUE), False
