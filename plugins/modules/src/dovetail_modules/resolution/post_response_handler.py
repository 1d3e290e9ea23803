"""What the modules that work after the answer leave for the next turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from dovetail_modules.errors import StateTooLarge
from dovetail_modules.resolution.module_runner import failed
from dovetail_modules.resolution.template_resolver import TemplateResolver

if TYPE_CHECKING:
    from dovetail_modules.resolution.work import Work
    from dovetail_modules.settings import ModulesSettings

log = structlog.get_logger("dovetail")


class PostResponseHandler:
    """Puts their texts and variables into the state of the conversation, or of the user.

    One that failed, or did not act, leaves what it left before.
    """

    def __init__(self, settings: ModulesSettings) -> None:
        self._settings = settings

    def leave(self, work: Work) -> dict[str, str]:
        """Note what every one of them that is done has come to; gives the texts."""
        resolver = TemplateResolver(work, self._settings)
        texts: dict[str, str] = {}
        for node in work.plan.posts:
            outcome = work.outcomes.get(node.name)
            if outcome is None or outcome.status != "done":
                continue
            text = resolver.text(node.name)
            if node.name in resolver.long:
                continue
            try:
                work.states.of(node.module).leave(node.name, text, outcome.variables)
            except StateTooLarge as error:
                work.outcomes[node.name] = failed(error)
                log.error("what a module leaves is not kept", module=node.name, error=str(error))  # noqa: TRY400 - the words say it
            else:
                texts[node.name] = text
        return texts

    def remember(self, work: Work) -> None:
        """Let templates and scripts see the variables that were left after earlier answers."""
        for node in work.plan.posts:
            if (found := work.states.of(node.module).left(node.name)) is not None:
                work.variables.setdefault(node.name, dict(found.variables))
