"""PDF files, made for tests."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pypdf import PdfReader, PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

if TYPE_CHECKING:
    from collections.abc import Sequence


def pdf(*pages: Sequence[str], outline: dict[str, int] | None = None, password: str = "") -> bytes:
    """A file with the lines of each page; `outline` names headings with their page, from 0."""
    writer = PdfWriter()
    font = writer._add_object(  # noqa: SLF001 - there is no other way to add one
        DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
    )
    for lines in pages:
        page = writer.add_blank_page(595, 842)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        rows = "".join(f"({line}) Tj 0 -16 Td\n" for line in lines)
        stream.set_data(f"BT /F1 12 Tf 72 770 Td\n{rows}ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(stream)  # noqa: SLF001 - as above
    for title, page_number in (outline or {}).items():
        writer.add_outline_item(title=title, page_number=page_number)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def with_owner_password(data: bytes) -> bytes:
    """The same file, which everybody may open and only its owner may change."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt("", "owner", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()
