"""`dovetail sessions`: what is kept of conversations."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic_core import PydanticCustomError

from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.logs import configure_logs
from dovetail.cli.options import config_options, json_option, read
from dovetail.cli.running import run_async
from dovetail.cli.state import current_state, note
from dovetail.cli.tables import show_table
from dovetail.config.durations import parse_duration
from dovetail.errors import SessionCorrupt, SessionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from dovetail import ChatMessage, Session, SessionManager
    from dovetail.cli.options import Given

T = TypeVar("T")
PAGE = 200


class _Duration(click.ParamType[float]):
    """A length of time as the config has it; seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds."""
        try:
            return parse_duration(value)
        except PydanticCustomError as error:
            self.fail(error.message().replace("Input", "it"), param, ctx)


@click.group(context_settings=HELP_NAMES)
def sessions() -> None:
    """List, show and remove the conversations that are kept."""


@sessions.command("list", context_settings=HELP_NAMES)
@click.option("-u", "--user", help="Only those of this user; without it, everybody's.")
@click.option("--nobody", is_flag=True, help="Only those that belong to no user.")
@click.option("--ends-within", type=_Duration(), help="Only those that end soon, e.g. within 2h.")
@click.option("-n", "--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option("--after", default="", help="Go on after this session: the last of the page before.")
@json_option
@config_options
def list_(config: Path | None, settings: Given, **which: Any) -> None:
    """List sessions, in the order of their names."""
    found = _work(config, settings, lambda manager: _listed(manager, **which))
    if current_state().as_json:
        click.echo(json.dumps([session.to_dict() for session in found], ensure_ascii=False))
        return
    if not found:
        note("there is no such session; what is kept in memory is gone with its process")
        return
    rows = [("SESSION", "USER", "MESSAGES", "LAST USED", "ENDS")]
    rows += (
        (
            _line(session.session_id),
            _line(session.user_id or "-"),
            str(session.message_count),
            _time(session.last_accessed_at),
            _time(session.expiry_at) if session.expiry_at else "never",
        )
        for session in found
    )
    show_table(rows)
    if len(found) == which["limit"]:
        note(f"there may be more: --after {found[-1].session_id!r} goes on from here")


@sessions.command(context_settings=HELP_NAMES)
@click.argument("name")
@click.option("-n", "--last", type=click.IntRange(0), help="Only so many of the latest messages.")
@json_option
@config_options
def show(config: Path | None, settings: Given, name: str, last: int | None) -> None:
    """Show the session NAME: whose it is, its state, and what was said."""
    session = _work(config, settings, lambda manager: manager.store.load(name, last))
    if session is None:
        raise SessionError(_unknown(name))
    told = session.to_dict() | {"state": session.state}
    if current_state().as_json:
        told["history"] = [message.model_dump(mode="json") for message in session.history]
        click.echo(json.dumps(told, ensure_ascii=False, default=str))
        return
    for key in ("session_id", "user_id", "created_at", "last_accessed_at", "expiry_at"):
        click.echo(f"{key}: {told[key]}")
    for key in ("state", "preferences"):
        if told[key]:
            click.echo(f"{key}: {json.dumps(told[key], ensure_ascii=False, default=str)}")
    click.echo(f"messages: {session.message_count}")
    for message in session.history:
        click.echo(f"\n{message.role.value}: {_said(message)}")


@sessions.command(context_settings=HELP_NAMES)
@click.argument("names", nargs=-1, required=True)
@config_options
@click.pass_context
def delete(
    context: click.Context, config: Path | None, settings: Given, names: tuple[str, ...]
) -> None:
    """Remove the sessions NAMES with all that was said in them."""
    missing = _work(config, settings, lambda manager: _deleted(manager, names))
    for name in missing:
        note(_unknown(name))
    context.exit(1 if missing else 0)


@sessions.command(context_settings=HELP_NAMES)
@config_options
def cleanup(config: Path | None, settings: Given) -> None:
    """Remove the sessions whose time is over; a running kernel does so by itself."""
    count = _work(config, settings, lambda manager: manager.cleanup(force=True))
    note(f"{count} session{'' if count == 1 else 's'} removed")


def _work(config: Path | None, settings: Given, ask: Callable[[SessionManager], Awaitable[T]]) -> T:
    from dovetail.cli.open_sessions import open_sessions

    configure_logs(current_state())
    raw = read(config, settings)

    async def work() -> T:
        async with open_sessions(raw) as manager:
            return await ask(manager)

    return run_async(work())


async def _listed(
    manager: SessionManager,
    *,
    user: str | None,
    nobody: bool,
    ends_within: float | None,
    limit: int,
    after: str,
) -> list[Session]:
    before = None if ends_within is None else datetime.now(UTC) + timedelta(seconds=ends_within)
    found: list[Session] = []
    while len(found) < limit:
        page = await manager.list_sessions(
            user,
            every_user=user is None and not nobody,
            expiring_before=before,
            after=found[-1].session_id if found else after,
            limit=min(PAGE, limit - len(found)),
        )
        if not page:
            break
        found += page
    return found


async def _deleted(manager: SessionManager, names: tuple[str, ...]) -> list[str]:
    """The names of those that were not there."""
    missing = []
    for name in names:
        try:
            session = await manager.store.load(name, 0)
            owner = session.user_id if session is not None else None
        except SessionCorrupt as corrupt:
            owner = corrupt.user_id
        if not await manager.delete_session(name, user_id=owner):
            missing.append(name)
    return missing


def _unknown(name: str) -> str:
    return (
        f"there is no session {name!r:.80}, or its time is over; "
        "`dovetail sessions list` shows those there are"
    )


def _said(message: ChatMessage) -> str:
    calls = "".join(f"\n  → {call.name}({call.arguments})" for call in message.tool_calls or ())
    return (message.text or "") + calls


def _line(text: str) -> str:
    return text if text.isprintable() else repr(text)


def _time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
