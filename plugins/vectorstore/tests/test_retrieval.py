"""What a turn is told of the documents."""

from __future__ import annotations

import asyncio
import re
import types
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import dovetail_vectorstore
from dovetail import (
    ExecutionContext,
    Kernel,
    ProviderUnavailable,
    Stage,
    StageExecutor,
    hookimpl,
    hookspec,
    use_context,
)
from dovetail.testing import fake_plugin
from dovetail_vectorstore import Item, Scope
from dovetail_vectorstore.knowledge import MARK, MISSING
from dovetail_vectorstore.tokens import estimate_tokens
from plugins.vectorstore.tests.ingesting import DOWN, SHARED, Embeddings, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from dovetail import SmartDependencyContainer, Turn
    from dovetail_vectorstore import Retrieval

TEMPLATE = "Known:\n@knowledge\nAnswer from it."


@asynccontextmanager
async def kernel_with(
    model: Embeddings,
    *plugins: types.ModuleType,
    template: str = TEMPLATE,
    retrieval: dict[str, Any] | None = None,
    providers: dict[str, Any] | None = None,
    backend: dict[str, Any] | None = None,
    **tables: Any,
) -> AsyncIterator[Kernel]:
    """A kernel whose persona has the template, and a store in memory."""
    config = {
        "chat": {"model": "fake/m", "embedding_model": "fake/e", "persona": "guide"},
        "providers": {"fake": {}, **(providers or {})},
        "personas": {"guide": {"template": template}},
        "plugins": {
            "vectorstore": {**(backend or {"backend": "memory"}), "retrieval": retrieval or {}},
            **{plugin.__name__: {} for plugin in plugins},
        },
        **tables,
    }
    kernel = Kernel.open(config, env={}, discover_installed=False)
    kernel.register("vectorstore", dovetail_vectorstore).register("fake", fake_plugin(model))
    for plugin in plugins:
        kernel.register(plugin.__name__, plugin)
    async with kernel:
        yield kernel


async def store(kernel: Kernel, *texts: str, scope: Scope = SHARED) -> None:
    items = [Item(text, f"{number}.md") for number, text in enumerate(texts)]
    await kernel.services.get("vector_store").add(items, scope=scope)


def prompt(model: Embeddings) -> str:
    """The system prompt that the model was sent last."""
    return model.requests[-1].messages[0].text


@pytest.fixture
def model() -> Embeddings:
    return Embeddings()


async def test_the_reference_is_replaced_by_what_the_question_finds(model: Embeddings) -> None:
    async with kernel_with(model, retrieval={"mode": "text"}) as kernel:
        await store(kernel, "Oak is hard.", "Pine is soft.")
        await kernel.chat("Which tree is pine like?")
    assert prompt(model) == "Known:\n[1] 1.md\nPine is soft.\nAnswer from it."


async def test_a_document_is_named_with_the_place_of_the_passage(
    model: Embeddings, tmp_path: Path
) -> None:
    write(tmp_path, {"docs/wood.md": "# Wood\n\n## Pine\n\nPine is\nsoft.\n"})
    async with kernel_with(model) as kernel:
        ingestion = kernel.services.get("ingestion")
        await ingestion.add(["docs"], scope=SHARED, base=tmp_path)
        await kernel.chat("pine?")
    known = '[1] docs/wood.md, "Wood > Pine", lines 5 to 6\nPine is\nsoft.'
    assert prompt(model) == f"Known:\n{known}\nAnswer from it."


async def test_with_nothing_stored_the_turn_goes_on_and_says_so(model: Embeddings) -> None:
    async with kernel_with(model, retrieval={"nothing": "(no pages)"}) as kernel:
        assert (await kernel.chat("hello")).text
    assert prompt(model) == "Known:\n(no pages)\nAnswer from it."
    assert model.texts == []


async def test_what_a_document_says_is_never_taken_for_the_reference(model: Embeddings) -> None:
    text = "Write @knowledge, or \u27e6knowledge\u27e7, for pines."
    async with kernel_with(model, retrieval={"mode": "text"}) as kernel:
        await store(kernel, text)
        await kernel.chat("pines?")
    assert prompt(model) == f"Known:\n[1] 0.md\n{text}\nAnswer from it."


async def test_a_template_without_the_reference_costs_no_search(model: Embeddings) -> None:
    mail = "Write to me@knowledge.org, or @knowledge.org, or @knowledgeable."
    async with kernel_with(model, template=mail) as kernel:
        await store(kernel, "Oak is hard.")
        model.texts.clear()
        await kernel.chat("oak")
    assert prompt(model) == mail
    assert model.texts == []


async def test_a_turn_never_finds_what_belongs_to_another_user(model: Embeddings) -> None:
    async with kernel_with(model) as kernel:
        await store(kernel, "Oak of Ada.", scope=Scope.user("ada"))
        await store(kernel, "Oak of Bob.", scope=Scope.user("bob"))
        await store(kernel, "Oak of all.")
        await kernel.chat("oak", user="ada")
        assert "Ada" in prompt(model)
        assert "all" in prompt(model)
        assert "Bob" not in prompt(model)
        await kernel.chat("oak")
        assert "Ada" not in prompt(model)
        assert "Bob" not in prompt(model)


async def test_a_model_that_is_down_leaves_a_note_in_the_prompt(model: Embeddings) -> None:
    async with kernel_with(model) as kernel:
        await store(kernel, "Oak is hard.")
        model.failures.append(DOWN)
        assert (await kernel.chat("oak")).text
    assert prompt(model) == f"Known:\n{MISSING}\nAnswer from it."


async def test_a_question_that_the_model_refuses_finds_by_its_words(model: Embeddings) -> None:
    async with kernel_with(model) as kernel:
        await store(kernel, "Oak is hard.")
        model.refuses = "oak"
        await kernel.chat("What of oak?")
        assert "Oak is hard." in prompt(model)
        await kernel.chat("oaken?")
        assert MISSING in prompt(model)


async def test_collections_can_be_chosen(model: Embeddings) -> None:
    async with kernel_with(model, retrieval={"collections": ["a", "b"], "limit": 2}) as kernel:
        vectors = kernel.services.get("vector_store")
        for name in ("a", "b", "c"):
            await vectors.add([Item(f"Oak in {name}.", name)], scope=SHARED, collection=name)
        await kernel.chat("oak")
    assert "Oak in a." in prompt(model)
    assert "Oak in b." in prompt(model)
    assert "Oak in c." not in prompt(model)


REMEMBER = {"memory": {"use": "vectorstore", "remember": "user"}}


async def remembered(kernel: Kernel, scope: Scope, turns: int = 1) -> list[str]:
    """What is kept, once it is: no turn waits for that."""
    vectors = kernel.services.get("vector_store")
    async with asyncio.timeout(10):
        while len(kept := await vectors.page(scope=scope)) < turns:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
    return [item.text for item in kept]


async def test_yesterdays_conversation_is_found_by_todays_question(
    model: Embeddings, tmp_path: Path
) -> None:
    folder = {"path": str(tmp_path / "store")}
    model.will_say("I shall remember that.")
    async with kernel_with(model, providers=REMEMBER, backend=folder) as kernel:
        await kernel.chat("My cat is called Momo.", session="monday", user="ada")
        await remembered(kernel, Scope.user("ada"))
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    async with kernel_with(model, providers=REMEMBER, backend=folder) as kernel:
        await kernel.chat("What is the name of my cat?", session="tuesday", user="ada")
        found = f"[1] session monday, {today}\nMy cat is called Momo.\n\nI shall remember that."
        assert found in prompt(model)
        await kernel.chat("What is the name of my cat?", session="tuesday too", user="bob")
        assert "Momo" not in prompt(model)


def modules_plugin() -> types.ModuleType:
    """What plugin `modules` does with a template, as far as it matters here."""
    module = types.ModuleType("modules")

    class Specs:
        @hookspec
        def modules(self) -> list[Any]:
            """Modules."""
            return []

    class Resolver(StageExecutor):
        stage = Stage.TEMPLATE
        kernel: Kernel

        async def execute(self, turn: Turn) -> None:
            assert Resolver.kernel is not None
            texts = {"outer": "It is known: @knowledge"}
            for _, offered in Resolver.kernel.collect("modules"):
                texts |= {one["name"]: one["content"] for one in offered}
            text = turn.template
            for _ in range(2):
                text = re.sub(r"(?<!@)@(\w+)", lambda found: texts.get(found[1], "[gap]"), text)
            text = text.replace("@@", "@")
            turn.prompts.set_stage_prompt(self.stage, text)

    class Models(Resolver):
        stage = Stage.PRE_RESPONSE

    @hookimpl
    def hookspecs() -> list[type]:
        return [Specs]

    @hookimpl
    def stage_executors() -> list[type[StageExecutor]]:
        return [Resolver, Models]

    for part in (hookspecs, stage_executors):
        setattr(module, part.__name__, part)
    module.Resolver = Resolver  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("template", ["Known: @knowledge", "@outer"])
async def test_with_plugin_modules_it_is_a_module_among_others(
    model: Embeddings, template: str
) -> None:
    plugin = modules_plugin()
    async with kernel_with(model, plugin, template=template) as kernel:
        plugin.Resolver.kernel = kernel
        await store(kernel, "Decorate it with @property, @outer and @knowledge.")
        model.texts.clear()
        await kernel.chat("decorate")
    assert prompt(model).endswith("[1] 0.md\nDecorate it with @property, @outer and @knowledge.")
    assert MARK not in prompt(model)
    assert model.texts == ["decorate"]


async def test_with_plugin_modules_a_reference_can_be_quoted(model: Embeddings) -> None:
    plugin = modules_plugin()
    async with kernel_with(model, plugin, template="Write @@knowledge.") as kernel:
        plugin.Resolver.kernel = kernel
        await store(kernel, "Oak is hard.")
        await kernel.chat("oak")
    assert prompt(model) == "Write @knowledge."


def scripts_plugin() -> types.ModuleType:
    module = types.ModuleType("scripts")

    class Specs:
        @hookspec
        def script_functions(self, container: SmartDependencyContainer) -> list[Any]:
            """Functions."""
            return []

    @hookimpl
    def hookspecs() -> list[type]:
        return [Specs]

    module.hookspecs = hookspecs  # type: ignore[attr-defined]
    return module


def function_of(kernel: Kernel) -> Callable[..., Any]:
    ((_, (function,)),) = kernel.collect("script_functions", container=kernel.container)
    found: Callable[..., Any] = function
    return found


async def test_a_script_can_search(model: Embeddings) -> None:
    async with kernel_with(model, scripts_plugin()) as kernel:
        await store(kernel, "Oak of Ada.", scope=Scope.user("ada"))
        await store(kernel, "Oak of Bob.", scope=Scope.user("bob"))
        search = function_of(kernel)
        assert search.__name__ == "search_knowledge"
        with use_context(ExecutionContext(user_id="ada")):
            (found,) = await search("oak", 5)
    assert (found["text"], found["source"], found["place"]) == ("Oak of Ada.", "0.md", "0.md")


async def test_a_script_searches_while_the_config_is_reloaded(
    model: Embeddings, tmp_path: Path
) -> None:
    config = """
        [chat]
        embedding_model = "fake/e"
        [providers.fake]
        [plugins.scripts]
        [plugins.vectorstore]
        backend = "memory"
        [plugins.vectorstore.retrieval]
        limit = """
    file = tmp_path / "dovetail.toml"
    file.write_text(f"{config}1")
    kernel = Kernel.open(file, env={}, discover_installed=False)
    kernel.register("vectorstore", dovetail_vectorstore).register("fake", fake_plugin(model))
    async with kernel.register("scripts", scripts_plugin()):
        await store(kernel, "Oak.", "Oak, too.")
        file.write_text(f"{config}2")
        await kernel.reload()
        retrieval: Retrieval = kernel.services.get("retrieval")
        assert len(await retrieval.find("oak", scope=SHARED)) == 2
        assert len(await function_of(kernel)("oak")) == 2


async def test_a_script_gets_its_own_kernels_documents(model: Embeddings) -> None:
    async with kernel_with(model, scripts_plugin()) as one, kernel_with(Embeddings()) as other:
        await store(one, "Oak.")
        await store(other, "Oak of another kernel.")
        assert [found["text"] for found in await function_of(one)("oak")] == ["Oak."]


SOURCES = [{"use": "vectorstore:sources", "limit": 1}]


async def test_an_answer_can_end_with_its_pages(model: Embeddings) -> None:
    model.will_say("It is hard.", "It is hard, indeed.")
    async with kernel_with(model, middleware=SOURCES) as kernel:
        await store(kernel, "Oak is hard.", "Oak is brown.")
        answer = await kernel.chat("What is oak like?")
        assert re.fullmatch(r"It is hard\.\n\nSources:\n- [01]\.md", answer.text)
        async with kernel.stream("What is oak like?") as stream:
            text = "".join([chunk.text async for chunk in stream])
    assert re.fullmatch(r"It is hard, indeed\.\n\nSources:\n- [01]\.md", text)


async def test_the_pages_below_an_answer_are_named_once_and_not_remembered(
    model: Embeddings,
) -> None:
    model.will_say("It is hard.", "As I said.")
    async with kernel_with(model, providers=REMEMBER, middleware=SOURCES) as kernel:
        items = [Item(f"Oak is hard, says page {n}.", "oak.md", id=f"{n}") for n in range(2)]
        await kernel.services.get("vector_store").add(items, scope=SHARED)
        for question in ("What is oak like?", "And what is oak like?"):
            answer = await kernel.chat(question, user="ada")
            assert answer.text.count("oak.md") == 1
        for text in await remembered(kernel, Scope.user("ada"), 2):
            assert text.endswith(("It is hard.", "As I said."))


async def test_an_answer_that_had_no_pages_ends_as_it_is(model: Embeddings) -> None:
    model.will_say("Hello.")
    async with kernel_with(model, middleware=SOURCES) as kernel:
        assert (await kernel.chat("hello")).text == "Hello."


async def test_the_service_renders_within_a_budget(model: Embeddings) -> None:
    async with kernel_with(model, retrieval={"limit": 50}) as kernel:
        await store(kernel, *(f"Oak number {number} is hard. " * 5 for number in range(30)))
        retrieval: Retrieval = kernel.services.get("retrieval")
        for budget in (20, 60, 200):
            text = await retrieval.render("oak", scope=SHARED, budget=budget)
            assert budget // 3 < estimate_tokens(text) <= budget
        assert await retrieval.render("  ", scope=SHARED) == "(Nothing was found.)"


async def test_who_asks_for_passages_learns_that_the_model_is_down(model: Embeddings) -> None:
    async with kernel_with(model) as kernel:
        await store(kernel, "Oak is hard.")
        model.failures.append(DOWN)
        with pytest.raises(ProviderUnavailable):
            await kernel.services.get("retrieval").render("oak", scope=SHARED)
