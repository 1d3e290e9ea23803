"""How the system prompt came to be, stage by stage."""

from __future__ import annotations

from dovetail.pipeline.stage import Stage


class SystemPromptState:
    """The system prompt as it was after each stage. One turn has one; it is gone with the turn."""

    def __init__(self) -> None:
        self._prompts: dict[Stage, str] = {}

    def set_stage_prompt(self, stage: Stage | int, prompt: str) -> None:
        """Note the prompt as it is after `stage`.

        Raises:
            ValueError: there is no such stage.
        """
        self._prompts[Stage(stage)] = prompt

    def get_prompt_for_stage(self, stage: Stage | int) -> str:
        """The prompt as work in `stage` sees it: of that stage, or of the last one before it.

        Empty if there was none yet.

        Raises:
            ValueError: there is no such stage.
        """
        for earlier in range(Stage(stage), 0, -1):
            if Stage(earlier) in self._prompts:
                return self._prompts[Stage(earlier)]
        return ""

    def get_all_stages(self) -> dict[Stage, str]:
        """Every prompt that was noted, by stage, in their order."""
        return dict(sorted(self._prompts.items()))
