"""What an operator may write in `[sessions]` with `use = "sqlite"`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dovetail import Duration, Settings


def _path(text: str) -> str:
    if "\0" in text:
        message = "should be the path of a file: it holds a NUL character"
        raise ValueError(message)
    if text.startswith((":memory:", "file:")):
        message = (
            "should be the path of a file; to keep sessions in memory, take `[sessions]` out, or "
            'say `use = "in-memory"`'
        )
        raise ValueError(message)
    return text


class SqliteSettings(Settings):
    """Which file holds the sessions, and how safely."""

    path: Annotated[str, AfterValidator(_path)] = Field(
        default="dovetail.db",
        min_length=1,
        description="The file, from the working directory where it is relative; made if it is not "
        "there, in a folder that must be.",
    )
    synchronous: Literal["full", "normal"] = Field(
        default="full",
        description="Whether what was kept outlives a power failure (`full`: each write waits for "
        "the disk), or only the death of the process (`normal`).",
    )
    busy_timeout: Duration = Field(
        default=5.0,
        gt=0,
        description="How long to try again while another process has the file locked, or while it "
        "is away.",
    )
    cache_size: int = Field(
        default=16,
        ge=0,
        le=1 << 20,
        description="Megabytes of the messages read last that are kept in memory, so that a turn "
        "reads only what is new; 0 for none.",
    )
