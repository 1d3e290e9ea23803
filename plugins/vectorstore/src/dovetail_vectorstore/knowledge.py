"""`@knowledge` in a persona's template: what the turn's question finds.

Without plugin `modules` the reference itself is replaced. With it `knowledge` is a module whose
text is a mark, wherever it is named, and the mark is replaced when all modules are in their places:
so nothing that stands in a document is ever read as a template.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, ClassVar

from dovetail import MessageRole, ServiceRegistry, Stage, StageExecutor
from dovetail_vectorstore.scope import Scope
from dovetail_vectorstore.vault import Vault

if TYPE_CHECKING:
    from dovetail import Turn
    from dovetail_vectorstore.retrieval import Retrieval

MARK = f"\u27e6knowledge {secrets.token_hex(8)}\u27e7"
"""No document can hold it: it is another one in each process."""
FOUND = "knowledge"
"""The turn's variable that holds what was found."""
PLACES = "knowledge_places"
"""The context's property that lists where the passages stand which are in the prompt."""
MISSING = "(The documents cannot be searched now.)"
LAST = 1_000
"""The priority of what works after everybody else in its stage."""
_REFERENCE = re.compile(r"(?<![\w@.+/-])@knowledge(?![\w@-]|\.\w)")
_MARKED = re.compile(re.escape(MARK))

MODULE = {
    "name": "knowledge",
    "description": "What the stored documents say to the turn's question, with their sources.",
    "content": MARK,
}
"""The module, for the hook of plugin `modules`."""


class Knowledge(StageExecutor):
    """Puts what was found in the place of `@knowledge`."""

    name: ClassVar[str] = "knowledge"
    stage = Stage.TEMPLATE
    priority = LAST
    shared: Vault

    async def execute(self, turn: Turn) -> int | None:
        """How many characters were put in; None where nothing refers to it.

        Raises:
            DovetailError: the store or the embedding model cannot be asked; a note that says so
                stands in the prompt.
        """
        prompt = turn.prompts.get_prompt_for_stage(self.stage)
        if MARK in prompt:
            place = _MARKED
        elif FOUND not in turn.variables and _REFERENCE.search(turn.template):
            # Not the prompt: `@@knowledge` may stand there as text. And once only: what was found
            # may speak of it too.
            place = _REFERENCE
        else:
            return None
        text = MISSING
        try:
            text = turn.variables.get(FOUND) or await self._find(turn)
        finally:  # also if it is cancelled because the stage took too long
            turn.variables[FOUND] = text
            turn.prompts.set_stage_prompt(self.stage, place.sub(lambda _: text, prompt))
        return len(text)

    async def _find(self, turn: Turn) -> str:
        services = self.shared.dependency_container.resolve(ServiceRegistry)
        retrieval: Retrieval = services.get("retrieval")
        found = await retrieval.passages(question_of(turn), scope=Scope.of(turn.context))
        turn.context.add_property(PLACES, list(found.places))
        return found.text or retrieval.settings.nothing


class KnowledgeOfModels(Knowledge):
    """The same for what the stage of the models made of the template."""

    name = "knowledge_of_models"
    stage = Stage.PRE_RESPONSE


def question_of(turn: Turn) -> str:
    """What the user said last; empty if that is no text."""
    for message in reversed(turn.request.messages):
        if message.role is MessageRole.USER:
            return message.text
    return ""
