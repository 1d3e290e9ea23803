"""Dependencies by type: construction, mappings, markers, generics."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, NewType, Optional, Protocol, TypeVar

import pytest

from dovetail import ExecutionContext
from dovetail.container import Named, SmartDependencyContainer, Tagged, bare, qualifiers
from dovetail.errors import DependencyNotFound, DependencyResolutionError

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")
K = TypeVar("K")


class Config:
    pass


class Pool:
    def __init__(self, config: Config) -> None:
        self.config = config


class Repo:
    def __init__(self, pool: Pool, *, config: "Config", size: int = 3) -> None:
        self.pool = pool
        self.config = config
        self.size = size


@dataclass
class Service:
    repo: Repo
    pool: Pool
    name: str = "service"


class Clock(Protocol):
    def now(self) -> float: ...


class Stopped:
    def now(self) -> float:
        return 0.0


class Base(ABC):
    @abstractmethod
    def work(self) -> None: ...


class Marked(ABC):  # noqa: B024 - that is what is tested
    """Abstract by its declaration alone."""


class Concrete(Base):
    def work(self) -> None:
        pass


@pytest.fixture
def container() -> SmartDependencyContainer:
    return SmartDependencyContainer()


def test_a_class_is_constructed_from_its_annotations(container: SmartDependencyContainer) -> None:
    service = container.resolve(Service)
    assert isinstance(service.repo.pool.config, Config)
    assert (service.name, service.repo.size) == ("service", 3)


def test_what_is_only_constructed_is_another_each_time(container: SmartDependencyContainer) -> None:
    assert container.resolve(Config) is not container.resolve(Config)


def test_what_is_registered_is_shared_by_all_that_need_it(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(Pool, Pool)
    service = container.resolve(Service)
    assert service.pool is service.repo.pool is container.resolve(Pool)


def test_a_mapping_leads_from_an_interface_to_what_implements_it(
    container: SmartDependencyContainer,
) -> None:
    container.register_type_mapping(Clock, Stopped)
    container.register_type_mapping(Base, Concrete)
    assert isinstance(container.resolve(Clock), Stopped)
    assert isinstance(container.resolve(Base), Concrete)


def test_a_mapping_leads_to_what_is_registered_for_the_implementation(
    container: SmartDependencyContainer,
) -> None:
    stopped = Stopped()
    container.register_instance(Stopped, stopped)
    container.register_type_mapping(Clock, Stopped)
    assert container.resolve(Clock) is stopped


class Colour(Enum):
    RED = 1


class Text(str):
    __slots__ = ()


UserId = NewType("UserId", str)


@pytest.mark.parametrize(
    "key", [Clock, Base, Marked, int, datetime, Path, Colour, Text, UserId, Callable[[], int], Any]
)
def test_what_is_abstract_or_a_value_is_never_made_from_nothing(
    container: SmartDependencyContainer, key: object
) -> None:
    with pytest.raises(DependencyNotFound, match="nothing provides"):
        container.resolve(key)


def test_a_value_of_the_standard_library_can_be_registered(
    container: SmartDependencyContainer,
) -> None:
    container.register_instance(Path, Path("here"))
    container.register_instance(UserId, "ann")
    assert container.resolve(Path) == Path("here")
    assert container.resolve(UserId) == "ann"


def test_an_error_names_the_chain_that_asked(container: SmartDependencyContainer) -> None:
    class Keeps:
        def __init__(self, clock: Clock) -> None: ...

    class Asks:
        def __init__(self, keeps: Keeps) -> None: ...

    with pytest.raises(DependencyResolutionError) as caught:
        container.resolve(Asks)
    assert caught.value.chain == ("Asks", "Keeps", "Clock")
    assert str(caught.value) == (
        "nothing provides `Clock`, and a protocol cannot be made from itself: register an "
        "instance, a factory, a type mapping or a provider for it "
        "(asked for by Asks → Keeps → Clock)"
    )


def test_an_error_at_work_names_the_chain_too(container: SmartDependencyContainer) -> None:
    def broken() -> Pool:
        raise ValueError("no pool")

    container.register_factory(Pool, broken)
    with pytest.raises(DependencyResolutionError, match="no pool") as caught:
        container.resolve(Service)
    assert caught.value.chain == ("Service", "Repo", "Pool")


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (int, "is a plain `int`, which is never filled in"),
        (list[str], "is a plain `list\\[str\\]`"),
        (int | Pool, "which may be one of several"),
        (Any, "which may be anything"),
        ("Decimal", "cannot be read at run time .*outside `if TYPE_CHECKING:`"),
    ],
)
def test_a_parameter_that_is_never_filled_is_told(
    container: SmartDependencyContainer, annotation: object, why: str
) -> None:
    class Asks:
        def __init__(self, size: int) -> None: ...

    Asks.__init__.__annotations__["size"] = annotation
    with pytest.raises(DependencyNotFound, match=f"parameter `size` .*{why}") as caught:
        container.resolve(Asks)
    assert caught.value.chain == ("Asks",)


def test_a_parameter_without_annotation_is_told(container: SmartDependencyContainer) -> None:
    class Asks:
        def __init__(self, size) -> None:  # type: ignore[no-untyped-def]
            ...

    with pytest.raises(DependencyNotFound, match="parameter `size` has no annotation"):
        container.resolve(Asks)


def test_an_annotation_for_type_checkers_only_does_no_harm_beside_a_default(
    container: SmartDependencyContainer,
) -> None:
    class Asks:
        def __init__(self, pool: Pool, price: "Decimal | None" = None) -> None:
            self.price = price

    assert container.resolve(Asks).price is None


class Wishes:
    def __init__(
        self,
        clock: Clock | None,
        pool: Optional[Pool],  # noqa: UP045 - the older form is as good
        size: int | None,
        config: Config | None = None,
        given: Config = Config(),  # noqa: B008 - its identity is looked at
    ) -> None:
        self.all = (clock, pool, size, config, given)


def test_optional_means_if_somebody_provides_it(container: SmartDependencyContainer) -> None:
    clock, pool, size, config, given = container.resolve(Wishes).all
    assert (clock, pool, size, config) == (None, None, None, None)
    assert given is Wishes.__init__.__defaults__[1]  # type: ignore[index]


def test_optional_and_defaults_give_way_to_what_is_registered(
    container: SmartDependencyContainer,
) -> None:
    registered, stopped = Config(), Stopped()
    container.register_instance(Config, registered)
    container.register_factory(Pool, Pool)
    container.register_instance(Clock, stopped)
    clock, pool, size, config, given = container.resolve(Wishes).all
    assert pool is container.resolve(Pool)
    assert (clock, size, config, given) == (stopped, None, registered, registered)


def test_an_optional_thing_that_is_registered_and_broken_is_an_error(
    container: SmartDependencyContainer,
) -> None:
    container.register_type_mapping(Clock, Base)
    with pytest.raises(DependencyNotFound, match="Base"):
        container.resolve(Wishes)


def test_a_name_tells_one_from_another(container: SmartDependencyContainer) -> None:
    fast, slow = Stopped(), Stopped()
    container.register_instance(Annotated[Clock, Named("fast")], fast)
    container.register_factory(Annotated[Clock, Tagged("slow")], lambda: slow)

    class Asks:
        def __init__(
            self,
            one: Annotated[Clock, "documented", Named("fast")],
            two: Annotated[Clock, Tagged("slow")],
            other: Annotated[Clock | None, Named("other")],
        ) -> None:
            self.all = (one, two, other)

    assert container.resolve(Asks).all == (fast, slow, None)
    with pytest.raises(DependencyNotFound, match='`Clock named "other"`'):
        container.resolve(Annotated[Clock, Named("other")])


def test_a_name_finds_what_is_registered_as_this_text(container: SmartDependencyContainer) -> None:
    container.register_instance("dsn", "postgres://here")
    assert container.resolve(Annotated[str, Named("dsn")]) == "postgres://here"


def test_a_named_one_is_not_just_any(container: SmartDependencyContainer) -> None:
    container.register_instance(Clock, Stopped())
    with pytest.raises(DependencyNotFound):
        container.resolve(Annotated[Clock, Named("fast")])


def test_what_stands_beside_a_type_otherwise_does_not_matter(
    container: SmartDependencyContainer,
) -> None:
    pool = container.resolve(Annotated[Pool, ["a note that cannot be hashed"]])
    assert isinstance(pool, Pool)


def test_markers_can_be_taken_apart() -> None:
    annotation = Annotated[Clock, "note", Named("a"), Tagged("b")]
    assert qualifiers(annotation) == (Named("a"), Tagged("b"))
    assert bare(annotation) is Clock
    assert (qualifiers(Clock), bare(Clock)) == ((), Clock)


class User:
    pass


class Order:
    pass


class Store(Protocol[T]):
    def get(self) -> T: ...
    def put(self, thing: T) -> None: ...


class Table(Generic[T]):
    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def get(self) -> T:
        raise LookupError

    def put(self, thing: T) -> None:
        pass


class Shop(Generic[K, T]):
    def __init__(self, users: Store[K], things: Store[T] | None = None) -> None:
        self.users = users
        self.things = things


class OrderShop(Shop[User, Order]):
    pass


def test_a_generic_type_is_told_from_another_by_its_arguments(
    container: SmartDependencyContainer,
) -> None:
    users, orders = Table[User](Pool(Config())), Table[Order](Pool(Config()))
    container.register_instance(Store[User], users)
    container.register_instance(Store[Order], orders)
    shop = container.resolve(Shop[User, Order])
    assert (shop.users, shop.things) == (users, orders)


def test_type_variables_are_known_in_a_subclass(container: SmartDependencyContainer) -> None:
    users = Table[User](Pool(Config()))
    container.register_instance(Store[User], users)
    shop = container.resolve(OrderShop)
    assert (shop.users, shop.things) == (users, None)


def test_a_type_variable_that_nothing_is_known_of_is_told(
    container: SmartDependencyContainer,
) -> None:
    class Asks(Generic[T]):
        def __init__(self, thing: T) -> None: ...

    with pytest.raises(DependencyNotFound, match="`thing` is annotated with `T`"):
        container.resolve(Asks)


def test_a_mapping_hands_the_arguments_on(container: SmartDependencyContainer) -> None:
    container.register_type_mapping(Store, Table)
    assert isinstance(container.resolve(Store[User]), Table)
    container.register_instance(Table[Order], "the orders")
    assert container.resolve(Store[Order]) == "the orders"


def test_a_registered_generic_class_stands_for_all_its_arguments(
    container: SmartDependencyContainer,
) -> None:
    table: Table[Any] = Table(Pool(Config()))
    container.register_instance(Table, table)
    assert container.resolve(Table[User]) is table


def test_the_context_and_the_container_can_be_asked_for(
    container: SmartDependencyContainer,
) -> None:
    class Asks:
        def __init__(self, context: ExecutionContext, container: SmartDependencyContainer) -> None:
            self.all = (context, container)

    context = ExecutionContext()
    assert container.resolve(Asks, context).all == (context, container)


def test_a_class_whose_signature_is_unknown_is_called_without_arguments(
    container: SmartDependencyContainer,
) -> None:
    container.register_factory(sqlite3.Row, dict)
    assert container.resolve(sqlite3.Row) == {}


def test_a_factory_may_be_an_object_that_cannot_be_hashed(
    container: SmartDependencyContainer,
) -> None:
    @dataclass
    class Makes:
        size: int

        def __call__(self, config: Config) -> Repo:
            return Repo(Pool(config), config=config, size=self.size)

    container.register_factory(Repo, Makes(7))
    assert container.resolve(Repo).size == 7


def test_many_parameters_are_as_good_as_few(container: SmartDependencyContainer) -> None:
    class Many:
        def __init__(self, a: Config, b: Config, c: Config, d: Config, /, e: Config) -> None:
            self.all = (a, b, c, d, e)

    container.register_factory(Config, Config)
    assert set(container.resolve(Many).all) == {container.resolve(Config)}
