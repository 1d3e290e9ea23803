"""The page of the vector store names every setting with its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dovetail import EventSettings
from dovetail_vectorstore.provider_settings import VectorStoreProviderSettings
from dovetail_vectorstore.settings import VectorStoreSettings

if TYPE_CHECKING:
    from dovetail import Settings

PAGE = Path(__file__).parents[3] / "docs" / "vectorstore.md"
SHOWN = {None: "none", 300.0: '`"5m"`'}
"""Defaults that the page says in other words."""


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("## Settings of `[plugins.vectorstore]`", VectorStoreSettings),
        ("### Settings of the provider", VectorStoreProviderSettings),
    ],
)
def test_the_page_lists_each_setting_with_its_default(heading: str, model: type[Settings]) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", section, re.MULTILINE)
    expected = []
    for name, field in model.model_fields.items():
        if name not in EventSettings.model_fields:
            default = field.default
            text = f'`"{default}"`' if isinstance(default, str) else f"`{default}`"
            expected.append((name, SHOWN.get(default, text)))
    assert rows == expected
