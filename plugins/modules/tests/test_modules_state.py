"""What modules keep from one turn to the next, of a conversation and of a user."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ExecutionContext, MemorySessionStore, SessionConflict
from dovetail.testing import plugin_of
from dovetail_modules import ConversationState, ModulesSettings, StateTooLarge
from dovetail_modules.resolution.session_manager import session_of
from dovetail_modules.resolution.state_tracker import Left, TimedCache, bring_to

if TYPE_CHECKING:
    from dovetail import Session
    from plugins.modules.tests.world import World

COUNT = "n = get_state('n', 0) + 1\nset_state('n', n)\nn\n"
OF_USER = f'# /// module\n# scope = "user"\n# ///\n{COUNT}'


class Counted(MemorySessionStore):
    """Counts what it is asked for, by the session's name."""

    name = "counted"
    asked: list[tuple[str, str]] = []
    conflicts = 0
    broken = False

    async def load(self, session_id: str, last: int | None = None) -> Session | None:
        if self.broken and session_id.startswith("~modules"):
            raise OSError("gone")
        self.asked.append(("load", session_id))
        return await super().load(session_id, last)

    async def set(self, session: Session) -> Session:
        self.asked.append(("set", session.session_id))
        if session.version and type(self).conflicts:
            type(self).conflicts -= 1
            raise SessionConflict("somebody else was first")
        return await super().set(session)


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    Counted.asked, Counted.conflicts, Counted.broken = [], 0, False


def counted(world: World, template: str, **more: Any) -> Any:
    tables = {"sessions": {"use": "stores:counted"}}
    return world.kernel(template, tables=tables, plugins={"stores": plugin_of(Counted)}, **more)


async def test_a_user_is_remembered_across_conversations(world: World) -> None:
    world.write(count_py=OF_USER)
    async with world.kernel("@count") as kernel:
        await kernel.chat("Hello", session="one", user="ada")
        await kernel.chat("Hello", session="two", user="ada")
        await kernel.chat("Hello", session="three", user="bob")
        await kernel.chat("Hello", user="ada")
    assert world.prompts() == ["1", "2", "1", "3"]


async def test_without_a_user_the_conversation_remembers(world: World) -> None:
    world.write(count_py=OF_USER)
    async with world.kernel("@count") as kernel:
        for session in ("one", "one", "two"):
            await kernel.chat("Hello", session=session)
    assert world.prompts() == ["1", "2", "1"]


async def test_texts_after_the_answer_may_be_the_users_too(world: World) -> None:
    world.write(
        learnt_md='+++\nkind = "ai"\ntiming = "post_response"\nscope = "user"\n+++\n${response}'
    )
    world.model.will_say("one", "learnt")
    async with world.kernel("<@learnt>") as kernel:
        await kernel.chat("Hello", session="one", user="ada")
        await kernel.chat("Hello", session="two", user="ada")
    assert world.prompts() == ["<>", "<learnt>"]


async def test_a_user_of_any_name_has_a_session_of_their_own(world: World) -> None:
    world.write(count_py=OF_USER)
    names = ["x" * 512, "x" * 511 + "y", "../etc", "größe/\u0000"]
    async with world.kernel("@count") as kernel:
        for _ in range(2):
            for name in names:
                await kernel.chat("Hello", session=f"s{names.index(name)}", user=name)
    assert world.prompts() == ["1"] * 4 + ["2"] * 4
    assert len({session_of(name) for name in names}) == 4


async def test_a_turn_reads_and_writes_once_however_many_modules(world: World) -> None:
    names = [f"m{number}" for number in range(8)]
    for number, name in enumerate(names):
        of_user = number % 2
        world.write(**{f"{name}_py": (OF_USER if of_user else COUNT).replace("'n'", f"'{name}'")})
    async with counted(world, " ".join(f"@{name}" for name in names)) as kernel:
        await kernel.chat("Hello", session="s", user="ada")
        Counted.asked.clear()
        await kernel.chat("Hello", session="s", user="ada")
    mine = [(what, name) for what, name in Counted.asked if name.startswith("~modules")]
    its = [what for what, name in Counted.asked if name == "s"]
    assert mine == [("load", "~modules/ada"), ("set", "~modules/ada")]
    assert its == ["load", "set"]


async def test_a_store_that_fails_for_a_user_harms_no_turn(world: World) -> None:
    world.write(count_py=OF_USER)
    async with counted(world, "@count") as kernel:
        Counted.broken = True
        assert (await kernel.chat("Hello", session="s", user="ada")).text == "Hello"
    assert world.prompts() == ["1"]


async def test_a_user_costs_nothing_where_no_module_asks(world: World) -> None:
    world.write(count_py=COUNT)
    async with counted(world, "@count") as kernel:
        await kernel.chat("Hello", session="s", user="ada")
    assert not [name for _, name in Counted.asked if name.startswith("~modules")]


async def test_a_turn_that_changes_nothing_writes_nothing(world: World) -> None:
    world.write(look_py="get_state('n', 0)\n")
    async with counted(world, "@look") as kernel:
        await kernel.chat("Hello", session="s", user="ada")
    assert [what for what, _ in Counted.asked] == ["load"]


async def test_two_conversations_of_a_user_lose_nothing_of_each_other(world: World) -> None:
    world.write(
        mark_py='# /// module\n# scope = "user"\n# ///\nset_state(session, 1)\nget_state("a", 0)\n'
    )
    async with counted(world, "@mark") as kernel:
        await asyncio.gather(
            *(kernel.chat("Hello", session=name, user="ada") for name in ("a", "b", "c", "d"))
        )
        Counted.conflicts = 2
        await kernel.chat("Hello", session="e", user="ada")
        found = await kernel.sessions.get_session("~modules/ada", user_id="ada")
    assert found is not None
    assert sorted(found.state["modules"]["values"]) == ["a", "b", "c", "d", "e"]


async def test_a_state_that_is_none_is_as_if_there_were_nothing(world: World) -> None:
    world.write(count_py=COUNT)
    async with world.kernel("@count") as kernel:
        for strange in ("text", {"values": "text", "left": 5, "turns": {"count": "x"}}):
            name = f"s{len(str(strange))}"
            session = await kernel.sessions.create_session(session_id=name)
            session.state["modules"] = strange
            await kernel.sessions.update_session(session)
            await kernel.chat("Hello", session=name)
    assert world.prompts() == ["1", "1"]


async def test_what_has_no_room_is_an_error_of_the_script(world: World) -> None:
    world.write(
        greedy_py="""\
        set_state("small", 1)
        try:
            set_state("large", "x" * 500)
        except RuntimeError as error:
            told = str(error)
        told
        """
    )
    async with world.kernel("@greedy", state_value_limit=100) as kernel:
        await kernel.chat("Hello", session="s")
        found = await kernel.sessions.get_session("s")
    assert "state_value_limit" in world.prompts()[0]
    assert found is not None
    assert found.state["modules"]["values"] == {"small": 1}


async def test_a_text_that_has_no_room_is_not_kept(world: World) -> None:
    world.write(learnt_md='+++\ntiming = "post_response"\ninitial = "old"\n+++\n${response}')
    world.model.will_say("x" * 500, "short")
    async with world.kernel("@learnt", state_value_limit=100) as kernel:
        for _ in range(3):
            await kernel.chat("Hello", session="s")
    assert world.prompts() == ["old", "old", "short"]


async def test_a_module_may_work_once_a_conversation(world: World) -> None:
    world.write(greet_md='+++\nkind = "ai"\ncache = "session"\n+++\nGreet!')
    world.model.will_say("Hi!", "one", "two", "Hey!", "three")
    async with world.kernel("@greet", listens=True) as kernel:
        await kernel.chat("Hello", session="s")
        await kernel.chat("Hello", session="s")
        world.write(greet_md='+++\nkind = "ai"\ncache = "session"\n+++\nGreet again!')
        await kernel.chat("Hello", session="s")
    assert world.prompts() == ["Hi!", "Hi!", "Hey!"]
    assert [d["cached"] for d in world.listener.of("module_complete")] == [False, True, False]


async def test_what_a_module_came_to_may_be_good_for_a_time(world: World) -> None:
    world.write(news_md='+++\nkind = "ai"\ncache = "ttl"\nttl = "1h"\n+++\nNews?')
    world.model.will_say("first", "one", "two", "second", "three", "third", "four")
    async with world.kernel("@news") as kernel:
        await kernel.chat("Hello", session="s")
        await kernel.chat("Hello", session="s")
        await kernel.chat("Hello", session="t")
        await kernel.chat("Hello")
    assert world.prompts() == ["first", "first", "second", "third"]


async def test_without_a_cache_a_module_works_again_after_the_answer(world: World) -> None:
    for name, policy in (("again", "none"), ("once", "turn")):
        world.write(**{f"{name}_md": f'+++\nkind = "ai"\ncache = "{policy}"\n+++\n{name}?'})
    world.write(
        learnt_md='+++\nkind = "ai"\ntiming = "post_response"\n+++\n@again @once ${response}'
    )
    world.model.will_say(lambda r: r.messages[-1].text + "1", lambda r: r.messages[-1].text + "1")
    world.model.will_say("answer", "again2")
    async with world.kernel("@again @once @learnt") as kernel:
        await kernel.chat("Hello")
    assert world.prompts() == ["again?1 once?1 "]
    assert world.model.requests[-1].messages[0].text == "again2 once?1 answer"


async def test_nobody_elses_conversation_is_shown(world: World) -> None:
    world.write(secret_md='+++\nkind = "ai"\ncache = "ttl"\nttl = "1h"\nscope = "user"\n+++\n?')
    world.model.will_say("of ada", "one", "of bob")
    async with world.kernel("@secret") as kernel:
        await kernel.chat("Hello", context=ExecutionContext(user_id="ada"))
        await kernel.chat("Hello", context=ExecutionContext(user_id="bob"))
    assert world.prompts() == ["of ada", "of bob"]


def test_a_state_knows_its_size() -> None:
    settings = ModulesSettings(state_value_limit=30, state_limit=100)
    state = ConversationState(None, settings)
    for key in "abc":
        state.set(key, "x" * 20)
    with pytest.raises(StateTooLarge, match="state_limit"):
        state.set("d", "x" * 20)
    state.set("a", None)
    state.set("d", "x" * 20)
    state.set("d", "y" * 20)
    with pytest.raises(StateTooLarge, match="JSON"):
        state.set("e", {1, 2})
    again = ConversationState(state.to_dict(), settings)
    with pytest.raises(StateTooLarge):
        again.set("e", "x" * 20)
    assert again.get("d") == "y" * 20
    assert not again.changed


def test_what_does_not_change_is_no_change() -> None:
    state = ConversationState({"values": {"a": 1}})
    state.set("a", 1)
    state.set("b", None)
    assert not state.changed
    state.set("a", True)
    assert list(state.changed) == [("values", "a")]


def test_changes_are_brought_to_what_others_changed() -> None:
    mine = ConversationState({"values": {"a": 1, "b": 1}})
    mine.set("a", 2)
    mine.set("b", None)
    mine.leave("m", "text", {})
    theirs = {"values": {"a": 5, "b": 5, "c": 5}, "left": {"n": {"text": "x", "variables": {}}}}
    assert bring_to(theirs, mine) == {
        "values": {"a": 2, "c": 5},
        "left": {"n": {"text": "x", "variables": {}}, "m": {"text": "text", "variables": {}}},
    }
    assert theirs["values"] == {"a": 5, "b": 5, "c": 5}


def test_a_cache_has_a_bound_and_its_entries_a_life() -> None:
    cache = TimedCache(most=2)
    for key in "abc":
        cache.put((key,), Left(key, {}), 100.0)
    assert cache.get(("a",)) is None
    assert cache.get(("c",)) == Left("c", {})
    cache.put(("b",), Left("b", {}), 0.0)
    assert cache.get(("b",)) is None
