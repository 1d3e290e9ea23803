"""What the plugin's components share: the backend and the embedding model, opened once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dovetail import ContextAwareService, ServiceNotFound, ServiceRegistry
from dovetail_vectorstore.backend import VectorBackend
from dovetail_vectorstore.embedding import Embedder
from dovetail_vectorstore.errors import VectorStoreError
from dovetail_vectorstore.memory import MemoryBackend
from dovetail_vectorstore.settings import VectorStoreSettings

if TYPE_CHECKING:
    from dovetail import EmbeddingProvider, SmartDependencyContainer


class Vault(ContextAwareService):
    """Opens the backend that `[plugins.vectorstore]` chooses, and closes it.

    A backend of another plugin is opened when it is first asked: it starts with the others.
    """

    name = "vectorstore"
    exclusive = True
    settings: VectorStoreSettings

    def __init__(
        self,
        dependency_container: SmartDependencyContainer | None = None,
        *,
        settings: VectorStoreSettings | None = None,
        provider: EmbeddingProvider | None = None,
    ) -> None:
        """A host without a kernel gives `settings`, and who makes the vectors."""
        super().__init__(dependency_container)
        self._alone = settings is not None and dependency_container is None
        self.settings = settings or VectorStoreSettings()
        self._provider = provider
        self._backend: VectorBackend | None = None
        self._embedder: Embedder | None = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """Open the backend, unless it is another plugin's."""
        made = self._own()
        if made is not None:
            self._backend = made  # closed by `stop` in any case
            await made.open()

    async def stop(self) -> None:
        """Close the backend."""
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.close()

    async def backend(self) -> VectorBackend:
        """The backend, open.

        Raises:
            VectorStoreError: there is none of the name that is configured.
        """
        if self._backend is not None:
            return self._backend
        async with self._opening:
            if self._backend is None:
                found = self._foreign()
                await found.open()
                self._backend = found
        return self._backend

    @property
    def embedder(self) -> Embedder:
        """Who makes the vectors."""
        if self._embedder is None:
            container = None if self._alone else self.dependency_container
            self._embedder = Embedder(self.settings, container, self._provider)
        return self._embedder

    def _own(self) -> VectorBackend | None:
        if self.settings.backend == "memory":
            return MemoryBackend()
        if self.settings.backend == "embedded":
            # Not at the top: it needs NumPy, which takes longer to import than all else.
            from dovetail_vectorstore.embedded import EmbeddedBackend

            return EmbeddedBackend(self.settings.path, synchronous=self.settings.synchronous)
        return None

    def _foreign(self) -> VectorBackend:
        name = self.settings.backend
        try:
            found = self.dependency_container.resolve(ServiceRegistry).get(name)
        except ServiceNotFound as error:
            raise VectorStoreError(
                f'`backend = "{name}"` of [plugins.vectorstore] names no service: {error}'
            ) from error
        if not isinstance(found, VectorBackend):
            raise VectorStoreError(
                f'`backend = "{name}"` of [plugins.vectorstore] names a service that is no '
                'vector backend; there are "embedded", "memory", and what plugins bring'
            )
        return found
