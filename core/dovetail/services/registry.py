"""Services by name."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from dovetail.config.nearest import nearest
from dovetail.errors import DuplicateService, ServiceNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping


class ServiceRegistry:
    """The services there are, by name. It may be used by any thread.

    A host registers its own; those of plugins are found through the hook `services`, and come and
    go with them.
    """

    def __init__(self) -> None:
        self._registered: dict[str, Any] = {}
        self._discovered: dict[str, Any] = {}
        self._lock = threading.RLock()

    def register(self, service_name: str, service_instance: Any) -> None:
        """Offer a service under a name.

        Raises:
            DuplicateService: the name is taken.
        """
        with self._lock:
            if self.has_service(service_name):
                raise DuplicateService(_taken(service_name, self.get(service_name)))
            self._registered[service_name] = service_instance

    def unregister(self, service_name: str) -> None:
        """Take back what was registered by hand.

        Raises:
            ServiceNotFound: there is none, or it is a plugin's.
        """
        with self._lock:
            if service_name not in self._registered:
                raise self._missing(service_name)
            del self._registered[service_name]

    def get(self, service_name: str) -> Any:
        """The service of this name.

        Raises:
            ServiceNotFound: there is none.
        """
        with self._lock:
            for services in (self._registered, self._discovered):
                if service_name in services:
                    return services[service_name]
            raise self._missing(service_name)

    def has_service(self, service_name: str) -> bool:
        """Whether there is one of this name."""
        with self._lock:
            return service_name in self._registered or service_name in self._discovered

    def names(self) -> list[str]:
        """The names of all services, sorted."""
        with self._lock:
            return sorted({*self._registered, *self._discovered})

    def discover(self, services: Mapping[str, Any]) -> None:
        """Put the services of plugins in the place of those found before, all or none.

        Raises:
            DuplicateService: a name is taken by a service that was registered by hand.
        """
        with self._lock:
            for name in services:
                if name in self._registered:
                    raise DuplicateService(_taken(name, self._registered[name]))
            self._discovered = dict(services)

    def _missing(self, name: str) -> ServiceNotFound:
        near = nearest(name, self.names())
        known = ", ".join(f"`{n}`" for n in self.names()) or "none"
        guess = f"did you mean `{near}`? " if near else ""
        return ServiceNotFound(
            f"there is no service `{name}`; {guess}the services are: {known}. A plugin's services "
            "are there once the config names the plugin, for example by [plugins.ID]"
        )


def _taken(name: str, by: object) -> str:
    return f"there is a service `{name}` already, a {type(by).__name__}: choose another name"
