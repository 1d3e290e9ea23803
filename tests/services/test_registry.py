"""Services by name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from dovetail import DovetailError, DuplicateService, ServiceNotFound, ServiceRegistry


def test_a_service_is_found_by_its_name() -> None:
    registry = ServiceRegistry()
    service = object()
    registry.register("memory_service", service)
    assert registry.has_service("memory_service")
    assert registry.get("memory_service") is service
    assert registry.names() == ["memory_service"]


def test_a_name_that_is_taken_is_refused() -> None:
    registry = ServiceRegistry()
    registry.register("agent_service", 1)
    with pytest.raises(DuplicateService, match="`agent_service` already, a int") as caught:
        registry.register("agent_service", 2)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, DovetailError)
    assert registry.get("agent_service") == 1


def test_a_name_that_is_missing_is_refused_with_the_nearest() -> None:
    registry = ServiceRegistry()
    registry.register("memory_service", 1)
    assert not registry.has_service("memory_servise")
    with pytest.raises(ServiceNotFound) as caught:
        registry.get("memory_servise")
    assert isinstance(caught.value, KeyError)
    assert str(caught.value).startswith("there is no service `memory_servise`; did you mean")
    assert "`memory_service`" in str(caught.value)


def test_what_was_registered_can_be_taken_back() -> None:
    registry = ServiceRegistry()
    registry.register("a", 1)
    registry.unregister("a")
    assert not registry.has_service("a")
    with pytest.raises(ServiceNotFound):
        registry.unregister("a")


def test_services_of_plugins_come_and_go_and_the_hosts_stay() -> None:
    registry = ServiceRegistry()
    registry.register("own", 1)
    registry.discover({"found": 2})
    assert registry.names() == ["found", "own"]
    with pytest.raises(DuplicateService):
        registry.register("found", 3)
    with pytest.raises(DuplicateService):
        registry.discover({"other": 4, "own": 5})
    assert registry.names() == ["found", "own"]
    registry.discover({"other": 4})
    assert registry.names() == ["other", "own"]


def test_of_many_threads_that_register_one_name_one_wins() -> None:
    registry = ServiceRegistry()
    together = Barrier(8)

    def register(number: int) -> bool:
        together.wait()
        try:
            registry.register("x", number)
        except DuplicateService:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(register, range(8))) == 1
