"""What a provider chooses by the context."""

from typing import Annotated, Any

import pytest

from dovetail import ExecutionContext
from dovetail.container import DependencyProvider, Named, SmartDependencyContainer, Tagged, bare
from dovetail.container import qualifiers as marks_of
from dovetail.errors import (
    CaptiveDependency,
    ContextRequired,
    DependencyNotFound,
    DependencyResolutionError,
)


class Database:
    def __init__(self, tenant: str) -> None:
        self.tenant = tenant


class Model:
    def __init__(self, name: str, tags: tuple[str, ...] = ()) -> None:
        self.name = name
        self.tags = tags


class Session:
    pass


class Config:
    pass


class Repo:
    def __init__(self, database: Database) -> None:
        self.database = database


class Agent:
    def __init__(
        self,
        model: Annotated[Model, Tagged("fast")],
        session: Session | None = None,
        config: Config | None = None,
    ) -> None:
        self.model = model
        self.session = session


class Tenants(DependencyProvider):
    """The database of the user's tenant."""

    def __init__(self) -> None:
        self.databases: dict[str, Database] = {}

    def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
        return dependency_type is Database and context is not None and context.user_id is not None

    def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Database:
        assert context is not None
        assert context.user_id is not None
        return self.databases.setdefault(context.user_id, Database(context.user_id))


class Models(DependencyProvider):
    """Models by name or tag, and the session of the turn: what a kernel has."""

    models = (Model("small", ("fast", "cheap")), Model("large", ("good",)))

    def __init__(self) -> None:
        self.sessions: dict[ExecutionContext, Session] = {}

    def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
        if dependency_type is Session:
            return context in self.sessions
        return bare(dependency_type) is Model and bool(self.matching(dependency_type))

    def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Any:
        if dependency_type is Session:
            assert context is not None
            return self.sessions[context]
        return self.matching(dependency_type)[0]

    def matching(self, annotation: Any) -> list[Model]:
        """Those that all markers fit."""
        return [
            model
            for model in self.models
            if all(
                mark.name == model.name if isinstance(mark, Named) else mark.tag in model.tags
                for mark in marks_of(annotation)
            )
        ]


@pytest.fixture
def container() -> SmartDependencyContainer:
    """A container with both providers."""
    container = SmartDependencyContainer()
    container.register_provider(Tenants())
    container.register_provider(Models())
    return container


def sessions(container: SmartDependencyContainer) -> dict[ExecutionContext, Session]:
    """The sessions of the second provider."""
    models = container.providers[1]
    assert isinstance(models, Models)
    return models.sessions


def test_a_provider_chooses_by_context(container: SmartDependencyContainer) -> None:
    ann, bob = ExecutionContext(user_id="ann"), ExecutionContext(user_id="bob")
    assert container.resolve(Repo, ann).database.tenant == "ann"
    assert container.resolve(Repo, bob).database.tenant == "bob"
    assert container.resolve(Database, ann) is container.resolve(Database, ann)


def test_a_provider_sees_names_and_tags(container: SmartDependencyContainer) -> None:
    assert container.resolve(Annotated[Model, Named("large")]).name == "large"
    assert container.resolve(Annotated[Model, Tagged("cheap")]).name == "small"
    assert container.resolve(Agent).model.name == "small"
    with pytest.raises(DependencyNotFound, match='`Model named "huge"`'):
        container.resolve(Annotated[Model, Named("huge")])


def test_what_is_of_a_context_is_never_seen_in_another(container: SmartDependencyContainer) -> None:
    ann, bob = ExecutionContext(), ExecutionContext()
    session = sessions(container)[ann] = Session()
    container.register_factory(Agent, Agent, scope="context")
    assert container.resolve(Agent, ann).session is session
    assert container.resolve(Agent, bob).session is None
    other = sessions(container)[bob] = Session()
    assert container.inject(lambda: None, bob)() is None
    assert container.resolve(Session, bob) is other


def test_without_a_provider_that_can_a_class_is_constructed(
    container: SmartDependencyContainer,
) -> None:
    assert isinstance(container.resolve(Session), Session)
    assert isinstance(container.resolve(Config), Config)


def test_what_is_registered_comes_before_providers_and_the_first_provider_counts(
    container: SmartDependencyContainer,
) -> None:
    class More(Tenants):
        def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Database:
            raise AssertionError("the first one can")

    ann = ExecutionContext(user_id="ann")
    container.register_provider(More())
    assert container.resolve(Database, ann).tenant == "ann"
    mine = Database("mine")
    container.register_instance(Database, mine)
    assert container.resolve(Repo, ann).database is mine


def test_any_object_with_the_two_methods_is_a_provider() -> None:
    class Simple:
        def can_provide(self, dependency_type: Any, context: Any) -> bool:
            return dependency_type is Database

        def provide(self, dependency_type: Any, context: Any) -> Database:
            return Database("simple")

    container = SmartDependencyContainer()
    container.register_provider(Simple())
    assert container.resolve(Repo).database.tenant == "simple"


@pytest.mark.parametrize("method", ["can_provide", "provide"])
def test_a_provider_that_raises_is_named(
    container: SmartDependencyContainer, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def raises(_: object, dependency_type: Any, context: object) -> bool:
        if dependency_type is Database:
            raise OSError("no network")
        return False

    monkeypatch.setattr(Tenants, method, raises)
    with pytest.raises(DependencyResolutionError) as caught:
        container.resolve(Repo, ExecutionContext(user_id="ann"))
    assert str(caught.value) == (
        "`Tenants` could not provide `Database`: OSError: no network (asked for by Repo → Database)"
    )
    assert isinstance(caught.value.original_exception, OSError)


@pytest.mark.parametrize("current", [True, False])
async def test_the_kernel_does_not_keep_what_a_provider_has_for_a_context(
    container: SmartDependencyContainer, current: bool
) -> None:
    container.register_factory(Repo, Repo)
    ann = ExecutionContext(user_id="ann")
    with pytest.raises(CaptiveDependency, match="kept with the kernel, but `Database`") as caught:
        if current:
            async with container.scope(ann):
                await container.aresolve(Repo)
        else:
            container.resolve(Repo, ann)
    assert caught.value.chain == ("Repo", "Database")
    with pytest.raises(DependencyNotFound):
        container.resolve(Repo)


class Turns(DependencyProvider):
    """The session of the turn, and nothing in its place."""

    session: Session | None = None

    def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
        return dependency_type is Session

    def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Any:
        if context is None or self.session is None:
            raise ContextRequired("there is no turn")
        return self.session


class Later(Turns):
    async def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Any:
        return super().provide(dependency_type, context)


@pytest.mark.parametrize("provider", [Turns(), Later()])
async def test_a_provider_may_know_that_there_is_none(provider: Turns) -> None:
    class Asks:
        def __init__(self, session: Session) -> None:
            self.session = session

    class Wishes:
        def __init__(self, session: Session | None) -> None:
            self.session = session

    container, context = SmartDependencyContainer(), ExecutionContext()
    container.register_provider(provider)
    assert (await container.aresolve(Wishes, context)).session is None
    with pytest.raises(ContextRequired) as caught:
        await container.aresolve(Asks, context)
    assert str(caught.value) == "there is no turn (asked for by Asks → Session)"
    provider.session = Session()
    classes: list[Any] = [Asks, Wishes]
    for cls in classes:
        assert (await container.aresolve(cls, context)).session is provider.session
        container.register_factory(cls, cls)
        with pytest.raises(CaptiveDependency):
            await container.aresolve(cls, context)


def test_a_synchronous_provider_that_has_none_leaves_what_is_optional() -> None:
    container = SmartDependencyContainer()
    container.register_provider(Turns())

    @container.inject
    def find(session: Session | None) -> Session | None:
        return session

    assert find() is None


def test_nor_what_could_be_constructed_for_a_context_only(
    container: SmartDependencyContainer,
) -> None:
    class Own:
        def __init__(self, context: ExecutionContext) -> None: ...

    class Keeps:
        def __init__(self, own: Own) -> None: ...

    container.register_factory(Keeps, Keeps)
    with pytest.raises(CaptiveDependency) as caught:
        container.resolve(Keeps, ExecutionContext())
    assert caught.value.chain == ("Keeps", "Own", "ExecutionContext")


def test_the_kernel_keeps_what_a_provider_has_for_everybody(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(Agent, Agent)
    assert container.resolve(Agent, ExecutionContext()).model.name == "small"
