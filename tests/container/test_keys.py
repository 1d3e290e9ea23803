"""Dependencies by key: instances, factories, and what is transient."""

import pytest

from dovetail import DovetailError, ExecutionContext
from dovetail.container import SmartDependencyContainer
from dovetail.errors import (
    CaptiveDependency,
    DependencyError,
    DependencyNotFound,
    DependencyResolutionError,
)


class Thing:
    """Something to tell from another."""

    def __init__(self, context: ExecutionContext | None = None) -> None:
        self.context = context


def make_two() -> int:
    """A factory."""
    return 2


@pytest.fixture
def container() -> SmartDependencyContainer:
    return SmartDependencyContainer()


def test_an_instance_is_what_was_registered(container: SmartDependencyContainer) -> None:
    thing = Thing()
    container.register_instance("thing", thing)
    assert container.get("thing") is thing


def test_a_factory_is_called_once(container: SmartDependencyContainer) -> None:
    container.register_factory("thing", lambda: Thing(None))
    assert container.get("thing") is container.get("thing")


def test_a_transient_key_makes_another_each_time(container: SmartDependencyContainer) -> None:
    container.register_factory("transient:thing", lambda context: Thing(context=context))
    context = ExecutionContext()
    first = container.get("transient:thing", context)
    assert first.context is context
    assert container.get("transient:thing", context) is not first


@pytest.mark.parametrize(
    "factory",
    [
        lambda context: Thing(context=context),
        lambda anything, more=None: Thing(context=anything),
        lambda *arguments: Thing(context=arguments[0]),
        Thing,
    ],
    ids=["one", "first", "starred", "class"],
)
def test_a_factory_that_says_nothing_of_its_parameter_gets_the_context(
    container: SmartDependencyContainer, factory: type[Thing]
) -> None:
    container.register_factory("thing", factory)
    context = ExecutionContext()
    assert container.get("thing", context).context is context


def test_what_is_built_from_a_context_is_kept_with_it_and_no_longer(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory("thing", lambda context: Thing(context=context))
    ann, bob = ExecutionContext(user_id="ann"), ExecutionContext(user_id="bob")
    assert container.get("thing", ann) is container.get("thing", ann)
    assert container.get("thing", bob).context is bob


def test_a_factory_that_can_do_without_a_context_is_kept_when_there_is_none(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory("thing", lambda context: Thing(context=context))
    thing = container.get("thing")
    assert thing.context is None
    assert container.get("thing") is thing
    assert container.get("thing", ExecutionContext()) is not thing


def test_a_default_of_a_factory_is_its_own_affair(container: SmartDependencyContainer) -> None:
    container.register_factory("address", lambda address="here": address)
    assert container.get("address", ExecutionContext()) == "here"


def test_the_last_registration_of_a_key_counts(container: SmartDependencyContainer) -> None:
    container.register_factory("thing", lambda: "first")
    assert container.get("thing") == "first"
    container.register_instance("thing", "second")
    assert container.get("thing") == "second"


def test_a_missing_key_is_a_key_error_that_reads_well(container: SmartDependencyContainer) -> None:
    container.register_instance("database", 1)
    with pytest.raises(KeyError) as caught:
        container.get("databse")
    assert isinstance(caught.value, DependencyNotFound)
    assert isinstance(caught.value, DovetailError)
    expected = 'no dependency is registered as "databse"; did you mean "database"?'
    assert str(caught.value) == expected


def test_what_a_factory_raises_is_the_cause(container: SmartDependencyContainer) -> None:
    def connect() -> Thing:
        raise OSError("refused: postgres://ann:hunter22@db/x")

    container.register_factory("database", connect)
    with pytest.raises(DependencyResolutionError, match="could not be built: OSError") as caught:
        container.get("database")
    assert isinstance(caught.value.original_exception, OSError)
    assert caught.value.__cause__ is caught.value.original_exception
    assert "hunter22" not in str(caught.value)


def test_a_factory_that_raised_is_called_again(container: SmartDependencyContainer) -> None:
    answers = iter([OSError("not yet"), None])

    def connect() -> Thing:
        if (error := next(answers)) is not None:
            raise error
        return Thing()

    container.register_factory("database", connect)
    with pytest.raises(DependencyResolutionError):
        container.get("database")
    assert isinstance(container.get("database"), Thing)


@pytest.mark.parametrize("key", [int, str, list[int], None, int | str])
def test_a_key_that_nothing_could_ask_for_is_refused(
    container: SmartDependencyContainer, key: object
) -> None:
    with pytest.raises(DependencyError, match="nothing can be registered for"):
        container.register_instance(key, 1)


def test_mistakes_of_a_registration_are_told_at_once(container: SmartDependencyContainer) -> None:
    with pytest.raises(DependencyError, match="cannot be called: 3"):
        container.register_factory("three", 3)  # type: ignore[arg-type]
    with pytest.raises(DependencyError, match="should be one of"):
        container.register_factory("x", Thing, scope="request")  # type: ignore[arg-type]
    with pytest.raises(DependencyError, match="transient by its name"):
        container.register_factory("transient:x", Thing, scope="kernel")
    with pytest.raises(CaptiveDependency, match="its factory takes the context as `context`"):
        container.register_factory("x", lambda context: Thing(context=context), scope="kernel")


def test_what_is_registered_can_be_seen(container: SmartDependencyContainer) -> None:
    container.register_type_mapping(Thing, Thing)
    assert dict(container.type_mappings) == {Thing: Thing}
    assert container.providers == ()
    container.register_instance("one", 1)
    container.register_factory("two", make_two)
    assert dict(container.instances) == {"one": 1}
    assert dict(container.factories) == {"two": make_two}
